"""Tenants: their entries, and which tenant owns a new thing. A tenant needs no entry; an entry gives it a name."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tidings.control.keys import NAME_CHARS_MAX
from tidings.model.access import TENANT_RULE, Caller, Tenant, is_tenant
from tidings.model.errors import Conflict, Invalid, NotFound
from tidings.model.moment import Clock
from tidings.rules.reading.refused import Refused
from tidings.rules.revisions import check_revision
from tidings.store.base import Db, R, Run
from tidings.store.callers import portal
from tidings.store.catalog import Catalog

READ, WRITE = "tenants:read", "tenants:write"
WHOLE = "Tenants"


class NewTenant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tenant: the id that events and endpoints use, and a name for people."""

    id: str
    name: str = ""


class TenantBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parts of a tenant that can be changed."""

    name: str = ""


class Tenants:
    """Keeps the entries of tenants, on behalf of callers."""

    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self._catalog, self._clock = catalog, clock

    def visible(self, caller: Caller) -> list[Tenant]:
        """Every tenant that exists for the caller."""
        caller.need(READ)
        return [tenant for tenant in self._catalog.now.tenants.values() if caller.sees(tenant.id)]

    def find(self, caller: Caller, ident: str) -> Tenant:
        """One tenant. Raises NotFound."""
        caller.need(READ)
        return self._find(caller, ident)

    async def create(self, caller: Caller, new: NewTenant, run: Run[Tenant, R], *, notes: str | None = None) -> R:
        """Add an entry. Raises Invalid, or Conflict if there is one."""
        caller.need(WRITE, WHOLE)
        if not is_tenant(new.id):
            raise Invalid.at("/id", "tenant", TENANT_RULE)
        _check_name(new.name)
        now = self._clock.now()
        tenant = Tenant(id=new.id, name=new.name, created=now, updated=now, notes=notes)

        def job(db: Db) -> Tenant:
            if _present(db, tenant.id) is not None:
                raise Conflict(f"A tenant {tenant.id} already exists.")
            self._catalog.put_tenant(db, tenant)
            return tenant

        return await run(job)

    async def edit(
        self,
        caller: Caller,
        ident: str,
        expected: set[int] | None,
        change: Callable[[Tenant], TenantBody],
        run: Run[Tenant, R],
        *,
        noted: Callable[[Tenant], str | None] = lambda before: before.notes,
    ) -> R:
        """Replace an entry with the result of `change`, and its notes with that of `noted`. What these raise is raised.

        Raises NotFound, Invalid, or Stale if the entry is not at one of the `expected` revisions.
        """
        caller.need(WRITE, WHOLE)
        self._find(caller, ident)
        now = self._clock.now()

        def job(db: Db) -> Tenant:
            before = _at(db, ident, expected)
            name = change(before).name
            _check_name(name)
            changed = {"name": name, "notes": noted(before), "revision": before.revision + 1, "updated": now}
            tenant = msgspec.structs.replace(before, **changed)
            self._catalog.put_tenant(db, tenant)
            return tenant

        return await run(job)

    async def delete(self, caller: Caller, ident: str, expected: set[int] | None, run: Run[None, R]) -> R:
        """Delete an entry, and end its portal links; its events stay.

        Raises NotFound, Stale, or Conflict while it owns anything.
        """
        caller.need(WRITE, WHOLE)
        self._find(caller, ident)

        def job(db: Db) -> None:
            before = _at(db, ident, expected)
            endpoints = int((db.one("tenant_endpoints", tenant=before.id) or (0,))[0])
            keys = int((db.one("tenant_keys", tenant=before.id) or (0,))[0]) - portal.sessions(db, before.id)
            hooks = int((db.one("hooks_of_tenant", tenant=before.id) or (0,))[0])
            forms = int((db.one("forms_of_tenant", tenant=before.id) or (0,))[0])
            if endpoints or keys or hooks or forms:
                counts = {"endpoint": endpoints, "hook": hooks, "form": forms, "key": keys}
                has = (f"{count} {what}{'' if count == 1 else 's'}" for what, count in counts.items() if count)
                raise Conflict(f"The tenant still has {', '.join(has)}. Delete them first.")
            portal.revoke_all(db, self._catalog, before.id, self._clock.now())
            self._catalog.drop_tenant(db, before.id)

        return await run(job)

    def _find(self, caller: Caller, ident: str) -> Tenant:
        tenant = self._catalog.now.tenants.get(ident)
        if tenant is None or not caller.sees(tenant.id):
            raise _absent(ident)
        return tenant


def _at(db: Db, ident: str, expected: set[int] | None) -> Tenant:
    """The entry as the present transaction sees it."""
    before = _present(db, ident)
    if before is None:
        raise _absent(ident)
    check_revision(expected, before.revision)
    return before


def _absent(ident: str) -> NotFound:
    return NotFound(f"There is no tenant {ident[:64]}.")


def _present(db: Db, ident: str) -> Tenant | None:
    row = db.one("tenant_of", id=ident)
    return None if row is None else Tenant(**dict(zip(Tenant.__struct_fields__, row, strict=True)))


def _check_name(name: str) -> None:
    if len(name) > NAME_CHARS_MAX:
        detail = f"A name may have at most {NAME_CHARS_MAX} characters."
        raise Invalid.at("/name", "too_long", detail)


def owner(caller: Caller, given: str | None) -> str | None:
    """The tenant of something new: the key's own, or the `given` one; None for the operator. Raises Refused."""
    if caller.tenant is not None:
        if given not in (None, caller.tenant):
            detail = f"This key belongs to the tenant {caller.tenant}. Leave `tenant` out."
            raise Refused("/tenant", "not_permitted", detail)
        return caller.tenant
    check_tenant(given)
    return given


def check_tenant(given: str | None) -> None:
    """Raise Refused if this is not a tenant; None is the operator."""
    if given is not None and not is_tenant(given):
        raise Refused("/tenant", "tenant", TENANT_RULE)
