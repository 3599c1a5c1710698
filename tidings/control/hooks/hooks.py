"""Hooks on behalf of callers: declare URLs for others' webhooks, and see the requests to them and to forms."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from tidings.control.hooks.body import HookBody, NewHook, checked, scheme_of
from tidings.control.paths.kept import KeptPaths, hooks_of
from tidings.control.tenants import owner
from tidings.model.access import Caller
from tidings.model.errors import NotFound
from tidings.model.hook import Hook, Receipt
from tidings.model.ids import new_id
from tidings.model.moment import Clock
from tidings.rules.hooks.masking import HIDDEN, kept, masked
from tidings.store import receipts
from tidings.store.base import Db, R, Run
from tidings.store.catalog import Catalog
from tidings.store.readers import Readers
from tidings.store.receipts import ReceiptHeads, ReceiptQuery, ReceiptRow

READ, WRITE = "hooks:read", "hooks:write"


class ReceiptPage(NamedTuple):
    """A page of receipts. `more`: the id of the last, if others follow; `total`: None if not counted, or too many."""

    rows: list[ReceiptRow]
    more: str | None
    total: int | None


class Hooks(KeptPaths[Hook]):
    """What callers may do with hooks and receipts. Belongs to one event loop."""

    def __init__(self, catalog: Catalog, readers: Readers, clock: Clock, heads: ReceiptHeads, bytes_max: int) -> None:
        super().__init__(hooks_of(catalog), clock)
        self._catalog, self._readers, self._heads, self._bytes_max = catalog, readers, heads, bytes_max

    async def create(self, caller: Caller, new: NewHook, run: Run[Hook, R]) -> R:
        """Declare a hook. Raises Invalid, or Conflict if its path is taken or the tenant has too many."""
        caller.need(WRITE)
        tenant, now = owner(caller, new.tenant), self._clock.now()
        hook = Hook(
            id=new_id("hook", now),
            tenant=tenant,
            options=checked(new, tenant, self._bytes_max),
            secrets=new.secrets,
            revision=1,
            created=now,
            updated=now,
        )
        return await self._add(hook, run)

    async def edit(self, caller: Caller, ident: str, expected: set[int] | None, body: HookBody, run: Run[Hook, R]) -> R:
        """Change a hook to match `body`. Raises NotFound, Invalid, Stale, or Conflict if its path is taken."""
        options = checked(body, self.find(caller, ident, WRITE).tenant, self._bytes_max)
        return await self._change(ident, expected, run, options=options, secrets=body.secrets)

    # --- what came ----------------------------------------------------------------------------------------------------

    async def receipts(
        self, caller: Caller, query: ReceiptQuery, limit: int, hook: str | None = None, *, count: bool = False
    ) -> ReceiptPage:
        """A page of receipts.

        `hook`: the id of a hook or form; `count`: also return how many there are on all pages.
        """
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
        """A receipt as its readers see it, with credentials hidden in its URL and headers."""
        hook = self._catalog.now.hooks.get(receipt.hook)
        if hook is None:
            if receipt.sealed:
                return _without_head(receipt)
            return msgspec.structs.replace(receipt, headers=kept(receipt.headers))
        scheme = scheme_of(hook.options.scheme)
        target, headers = masked(scheme, hook.secrets, receipt.target, receipt.headers)
        return msgspec.structs.replace(receipt, target=target, headers=headers)


def _without_head(receipt: Receipt) -> Receipt:
    """A receipt whose credential could be anywhere, since its hook no longer says where."""
    headers = tuple((name, HIDDEN) for name, _ in receipt.headers)
    return msgspec.structs.replace(receipt, target=receipt.target.partition("?")[0], headers=headers)
