"""Hooks on behalf of callers: declare URLs for others' webhooks, and see what came."""

from __future__ import annotations

from typing import Any, NamedTuple, get_args

import msgspec

from tidings.model.access import TENANT_RULE, Caller, is_tenant
from tidings.model.errors import Conflict, NotFound
from tidings.model.hook import Hook, HookOptions, Method, Receipt, Repeats
from tidings.model.ids import new_id
from tidings.model.moment import Clock
from tidings.rules import schemes
from tidings.rules.hooks import naming
from tidings.rules.hooks.masking import HIDDEN, masked
from tidings.rules.reading.refused import Refused
from tidings.rules.revisions import check_revision
from tidings.rules.schemes import HookReply
from tidings.rules.schemes.checked import check_reply
from tidings.rules.schemes.form import Basic, Signature, SortedParameters, Token, refused
from tidings.store import receipts
from tidings.store.base import Db, R, Run
from tidings.store.catalog import Catalog
from tidings.store.readers import Readers
from tidings.store.receipts import ReceiptHeads, ReceiptQuery, ReceiptRow

READ, WRITE = "hooks:read", "hooks:write"
HOOKS_PER_TENANT_MAX = 1_000
DESCRIPTION_CHARS_MAX = 2_000
SECRET_CHARS_MAX = 16_384
TOLERANCE_SECONDS_MAX = 10 * 365 * 86_400


class HookBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A hook: its URL is `/in/` and its `path`, and requests are let in as its `scheme` says.

    `scheme` is the name of one (`GET /v1/schemes`), or one of your own. All `secrets` are valid at once. `{type}` in
    `type` stands for what the sender calls an event, and `subject` says where the subject is found. `repeats` says what
    tells that a request came before: the sender's `delivery` id, its `content`, or nothing (`accept`).
    """

    path: str
    scheme: str | dict[str, Any]
    secrets: tuple[str, ...] = ()
    settings: dict[str, str] = {}
    description: str = ""
    type: str | None = None
    subject: str = ""
    methods: tuple[Method, ...] | None = None
    tolerance_seconds: float | None = None
    repeats: Repeats = "delivery"
    enabled: bool = True
    accepted: dict[str, Any] | None = None
    repeated: dict[str, Any] | None = None
    refused: dict[str, Any] | None = None


class NewHook(HookBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A hook to declare. Those of a tenant have paths that begin with its id."""

    tenant: str | None = None


class ReceiptPage(NamedTuple):
    """A page of receipts. `more`: the id of the last, if others follow; `total`: None if not counted, or too many."""

    rows: list[ReceiptRow]
    more: str | None
    total: int | None


class Hooks:
    """What callers may do with hooks and receipts. Belongs to one event loop."""

    def __init__(self, catalog: Catalog, readers: Readers, clock: Clock, heads: ReceiptHeads) -> None:
        self._catalog, self._readers, self._clock, self._heads = catalog, readers, clock, heads

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
        tenant = _tenant(caller, new.tenant)
        now = self._clock.now()
        options = _checked(new, tenant)
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
            _check_free(db, options.path, hook.id)
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
        options = _checked(body, self.find(caller, ident, WRITE).tenant)
        now = self._clock.now()

        def job(db: Db) -> Hook:
            before = self._at(db, ident, expected)
            _check_free(db, options.path, before.id)
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
        """A page of what came. `hook`: the id of one; `count`: also how many there are on all pages."""
        caller.need(READ)
        wanted = query._replace(tenant=caller.narrowed(query.tenant), hook=hook)

        def job(db: Db) -> ReceiptPage:
            rows = receipts.page(db, wanted, limit + 1)
            shown = rows[:limit]
            more = shown[-1].id if len(rows) > limit else None
            return ReceiptPage(shown, more, receipts.count(db, wanted) if count else None)

        return await self._readers.call(job, caller.tenant)

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
            return _without_head(receipt) if receipt.sealed else receipt
        scheme = _scheme(hook.options.scheme)
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


def _tenant(caller: Caller, given: str | None) -> str | None:
    if caller.tenant is not None:
        if given not in (None, caller.tenant):
            detail = f"This key belongs to the tenant {caller.tenant}; leave tenant out."
            raise Refused("/tenant", "not_permitted", detail)
        return caller.tenant
    if given is not None and not is_tenant(given):
        raise Refused("/tenant", "tenant", TENANT_RULE)
    return given


def _check_free(db: Db, path: str, ident: str) -> None:
    row = db.one("hook_at", path=path)
    if row is not None and row[0] != ident:
        raise Conflict(f"Another hook has the path {path}.", code="path_taken")


def _checked(given: HookBody, tenant: str | None) -> HookOptions:
    """The options to store. Raises Refused with the place of what is wrong."""
    _check_plainly(given, tenant)
    scheme = _scheme(given.scheme)
    if tenant is not None and not isinstance(given.scheme, str):
        _check_cost(scheme)
    schemes.Verifier(scheme, given.secrets, settings=given.settings, tolerance_seconds=given.tolerance_seconds)
    if given.subject:
        try:
            schemes.source(given.subject)
        except Refused as wrong:
            raise wrong.under("/subject") from None
    replies = {name: getattr(given, name) for name in ("accepted", "repeated", "refused")}
    for name, reply in replies.items():
        if reply is not None:
            _check_reply(reply, f"/{name}")
    return HookOptions(
        path=given.path,
        scheme=given.scheme,
        settings=given.settings,
        description=given.description,
        type=naming.check_type(given.type) if given.type is not None else naming.default_type(given.path),
        subject=given.subject,
        methods=tuple(dict.fromkeys(given.methods)) if given.methods is not None else _methods(scheme),
        tolerance_seconds=given.tolerance_seconds,
        repeats=given.repeats,
        enabled=given.enabled,
        **replies,
    )


def _check_plainly(given: HookBody, tenant: str | None) -> None:
    naming.check_path(given.path)
    if tenant is not None and not given.path.startswith(f"{tenant}/"):
        raise Refused("/path", "path", f"Paths of hooks of the tenant {tenant} begin with {tenant}/.")
    if len(given.description) > DESCRIPTION_CHARS_MAX:
        raise Refused("/description", "too_long", f"At most {DESCRIPTION_CHARS_MAX:,} characters.")
    for index, secret in enumerate(given.secrets):
        if len(secret) > SECRET_CHARS_MAX:
            raise Refused(f"/secrets/{index}", "too_long", f"At most {SECRET_CHARS_MAX:,} characters.")
    if given.methods is not None and not given.methods:
        raise Refused("/methods", "missing", "Name at least one method.")
    tolerance = given.tolerance_seconds
    if tolerance is not None and not 0 < tolerance <= TOLERANCE_SECONDS_MAX:
        detail = f"A tolerance is more than 0 and at most {TOLERANCE_SECONDS_MAX:,} seconds."
        raise Refused("/tolerance_seconds", "wrong_value", detail)


def _methods(scheme: schemes.Scheme) -> tuple[Method, ...]:
    """The methods that a hook takes if it does not say: POST, and what its sender uses."""
    used = [method for method in get_args(Method) if method == scheme.sample.method]
    return ("POST", *(method for method in used if method != "POST"))


def _scheme(given: str | dict[str, Any]) -> schemes.Scheme:
    if isinstance(given, str):
        return schemes.named(given)
    try:
        return schemes.read(given)
    except Refused as wrong:
        raise wrong.under("/scheme") from None


def _check_cost(scheme: schemes.Scheme) -> None:
    """Raise Refused for what only operators may declare: URLs to fetch from, and patterns, which may cost anything."""
    for index, check in enumerate(scheme.checks):
        if not isinstance(check, Signature | Token | Basic | SortedParameters) or getattr(check, "keys", None):
            at = f"/scheme/check/{index}" if isinstance(scheme.check, tuple) else "/scheme/check"
            detail = "Only an operator can declare a scheme that fetches keys or certificates. Named schemes may."
            raise Refused(at, "not_permitted", detail)
    for index, handshake in enumerate(scheme.handshakes):
        if not isinstance(handshake, str) and handshake.fetch:
            detail = "Only an operator can declare a handshake that fetches a URL. Named handshakes may."
            raise Refused(f"/scheme/handshakes/{index}/fetch", "not_permitted", detail)


def _check_reply(given: dict[str, Any], pointer: str) -> None:
    try:
        reply = msgspec.convert(given, HookReply)
    except msgspec.ValidationError as wrong:
        raise refused(str(wrong)).under(pointer) from None
    check_reply(reply, pointer)
