"""Hooks on behalf of callers: declare URLs for others' webhooks, and see what came to them and to forms."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from tidings.control.hooks.body import HookBody, NewHook, checked, scheme_of
from tidings.control.tenants import owner
from tidings.model.access import Caller
from tidings.model.errors import Conflict, NotFound
from tidings.model.hook import Hook, Receipt
from tidings.model.ids import new_id
from tidings.model.moment import Clock
from tidings.rules.hooks.masking import HIDDEN, kept, masked
from tidings.rules.revisions import check_revision
from tidings.store import receipts
from tidings.store.base import Db, R, Run
from tidings.store.catalog import Catalog
from tidings.store.readers import Readers
from tidings.store.receipts import ReceiptHeads, ReceiptQuery, ReceiptRow

READ, WRITE = "hooks:read", "hooks:write"
HOOKS_PER_TENANT_MAX = 1_000


class ReceiptPage(NamedTuple):
    """A page of receipts. `more`: the id of the last, if others follow; `total`: None if not counted, or too many."""

    rows: list[ReceiptRow]
    more: str | None
    total: int | None


class Hooks:
    """What callers may do with hooks and receipts. Belongs to one event loop."""

    def __init__(self, catalog: Catalog, readers: Readers, clock: Clock, heads: ReceiptHeads, bytes_max: int) -> None:
        self._catalog, self._readers, self._clock, self._heads = catalog, readers, clock, heads
        self._bytes_max = bytes_max

    def visible(self, caller: Caller, tenant: str | None = None) -> list[Hook]:
        """The hooks that the caller may see. `tenant`: only that one's. Raises NotFound."""
        caller.need(READ)
        wanted = caller.narrowed(tenant)
        return [hook for hook in self._catalog.now.hooks.values() if wanted in (None, hook.tenant)]

    def find(self, caller: Caller, ident: str, scope: str = READ) -> Hook:
        """One hook, for somebody who has this scope. Raises NotFound, also if it is another tenant's."""
        caller.need(scope)
        hook = self._catalog.now.hooks.get(ident)
        if hook is None or not caller.sees(hook.tenant):
            raise NotFound(f"There is no hook {ident[:100]}.")
        return hook

    async def create(self, caller: Caller, new: NewHook, run: Run[Hook, R]) -> R:
        """Declare a hook. Raises Invalid, or Conflict if its path is taken or the tenant has too many."""
        caller.need(WRITE)
        tenant = owner(caller, new.tenant)
        now = self._clock.now()
        options = checked(new, tenant, self._bytes_max)
        hook = Hook(
            id=new_id("hook", now),
            tenant=tenant,
            options=options,
            secrets=new.secrets,
            revision=1,
            created=now,
            updated=now,
        )

        def job(db: Db) -> Hook:
            check_free(db, options.path, hook.id)
            row = db.one("hooks_of_tenant", tenant=tenant)
            if tenant is not None and row is not None and row[0] >= HOOKS_PER_TENANT_MAX:
                raise Conflict(
                    f"The tenant already has {HOOKS_PER_TENANT_MAX:,} hooks, the maximum.", code="too_many_hooks"
                )
            self._catalog.put_hook(db, hook)
            return hook

        return await run(job)

    async def edit(self, caller: Caller, ident: str, expected: set[int] | None, body: HookBody, run: Run[Hook, R]) -> R:
        """Make a hook what `body` says. Raises NotFound, Invalid, Stale, or Conflict if its path is taken."""
        options = checked(body, self.find(caller, ident, WRITE).tenant, self._bytes_max)
        now = self._clock.now()

        def job(db: Db) -> Hook:
            before = self._at(db, ident, expected)
            check_free(db, options.path, before.id)
            hook = msgspec.structs.replace(
                before, options=options, secrets=body.secrets, revision=before.revision + 1, updated=now
            )
            self._catalog.put_hook(db, hook)
            return hook

        return await run(job)

    async def delete(self, caller: Caller, ident: str, expected: set[int] | None, run: Run[None, R]) -> R:
        """Delete a hook; what came to it is kept as long as any. Raises NotFound or Stale."""
        self.find(caller, ident, WRITE)

        def job(db: Db) -> None:
            self._catalog.drop_hook(db, self._at(db, ident, expected).id)

        return await run(job)

    # --- what came ----------------------------------------------------------------------------------------------------

    async def receipts(
        self, caller: Caller, query: ReceiptQuery, limit: int, hook: str | None = None, *, count: bool = False
    ) -> ReceiptPage:
        """A page of what came. `hook`: the id of one, or of a form; `count`: also how many there are on all pages."""
        caller.need(READ)
        wanted = query._replace(tenant=caller.narrowed(query.tenant), hook=hook)

        def job(db: Db) -> ReceiptPage:
            rows = receipts.page(db, wanted, limit + 1)
            shown = rows[:limit]
            more = shown[-1].id if len(rows) > limit else None
            return ReceiptPage(shown, more, receipts.count(db, wanted) if count else None)

        return await self._readers.call(job, caller.tenant)

    def sees_form(self, caller: Caller, ident: str) -> bool:
        """Whether there is a form with this id whose receipts the caller may see."""
        form = self._catalog.now.forms.get(ident)
        return form is not None and caller.sees(form.tenant)

    async def receipt(self, caller: Caller, ident: str, scope: str = READ) -> Receipt:
        """One receipt, whole. Raises NotFound."""
        caller.need(scope)
        found = await self._readers.call(lambda db: self._heads.find(db, ident), caller.tenant)
        if found is None or not caller.sees(found.tenant):
            raise NotFound(f"There is no receipt {ident[:100]}.")
        return found

    def shown(self, receipt: Receipt) -> Receipt:
        """A receipt as its readers see it: with what is a credential hidden in its URL and headers."""
        hook = self._catalog.now.hooks.get(receipt.hook)
        if hook is None:
            if receipt.sealed:
                return _without_head(receipt)
            return msgspec.structs.replace(receipt, headers=kept(receipt.headers))
        scheme = scheme_of(hook.options.scheme)
        target, headers = masked(scheme, hook.secrets, receipt.target, receipt.headers)
        return msgspec.structs.replace(receipt, target=target, headers=headers)

    def _at(self, db: Db, ident: str, expected: set[int] | None) -> Hook:
        before = self._catalog.hook(db, ident)
        if before is None:
            raise NotFound(f"There is no hook {ident[:100]}.")
        check_revision(expected, before.revision)
        return before


def _without_head(receipt: Receipt) -> Receipt:
    """A receipt of which nobody knows any more where its credential is."""
    headers = tuple((name, HIDDEN) for name, _ in receipt.headers)
    return msgspec.structs.replace(receipt, target=receipt.target.partition("?")[0], headers=headers)


def check_free(db: Db, path: str, ident: str) -> None:
    """Raise Conflict if another hook than this one has the path."""
    row = db.one("hook_at", path=path)
    if row is not None and row[0] != ident:
        raise Conflict(f"Another hook has the path {path}.", code="path_taken")
