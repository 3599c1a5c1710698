"""Applications: tenants that are found by their id, a `uid`, or the id that they had at Svix."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from tidings.control.endpoints.endpoints import Endpoints
from tidings.control.portal.links import check_may
from tidings.control.svix.notes import FORMER_ID, UidTurns, names_of, noted, notes_of
from tidings.control.svix.tokens import ENDED
from tidings.control.tenants import WHOLE, NewTenant, TenantBody, Tenants
from tidings.control.tenants import WRITE as WRITE_TENANTS
from tidings.model.access import Caller, Tenant, is_tenant
from tidings.model.errors import Conflict, NotFound
from tidings.model.ids import ALPHABET, ID_CHARS, new_id
from tidings.model.link import Endpoint
from tidings.model.moment import Clock
from tidings.store.base import Db, R, Run
from tidings.store.catalog import Catalog

PREFIX = "app"
SESSION = "portal ptl_"
"""The prefix of the name of a portal session's key; the tenant's id follows it."""
MADE_ID = re.compile(rf"(?:{PREFIX}|evt)_[{ALPHABET}]{{{ID_CHARS}}}")
"""Matches ids that were generated here, not chosen by a caller."""


class ApplicationChange(msgspec.Struct, frozen=True, kw_only=True):
    """The members of an application to change; unset ones are kept."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    uid: str | msgspec.UnsetType | None = msgspec.UNSET
    metadata: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    former_id: str | msgspec.UnsetType = msgspec.UNSET
    """The id that the application had at Svix; it can be found by this id too."""


def uid_of(tenant: Tenant) -> str | None:
    """An application's `uid`: as it was given, or the tenant's id if that was chosen by a caller."""
    notes = notes_of(tenant)
    if "uid" in notes:
        uid: str | None = notes["uid"]
        return uid
    return None if MADE_ID.fullmatch(tenant.id) else tenant.id


class Applications:
    """What callers may do with applications. Belongs to one event loop."""

    def __init__(self, catalog: Catalog, clock: Clock, tenants: Tenants, endpoints: Endpoints) -> None:
        self._catalog, self._clock = catalog, clock
        self._tenants, self._endpoints = tenants, endpoints
        self._turns = UidTurns()
        self._by_uid: tuple[int, dict[str, str]] = (-1, {})

    def known(self, caller: Caller, ident: str) -> Tenant | None:
        """The application with this id, uid or former id, if it exists for the caller."""
        tenant = self._named(ident)
        return tenant if tenant is not None and caller.sees(tenant.id) else None

    def find(self, caller: Caller, ident: str) -> Tenant:
        """The same. Raises NotFound, also if it belongs to another tenant."""
        tenant = self.known(caller, ident)
        if tenant is None:
            raise NotFound(f"There is no application {ident[:100]}.")
        return tenant

    async def create(
        self, caller: Caller, name: str, uid: str | None, metadata: dict[str, str], run: Run[Tenant, R]
    ) -> R:
        """Make a tenant, whose id is the `uid` if it can be one. Raises Invalid, or Conflict if the uid is taken."""
        notes: dict[str, Any] = {"metadata": metadata}
        if uid is not None and is_tenant(uid) and not MADE_ID.fullmatch(uid):
            ident = uid
        else:
            ident = new_id(PREFIX, self._clock.now())
            notes |= {} if uid is None else {"uid": uid}

        def unless_taken(job: Callable[[Db], Tenant]) -> Awaitable[R]:
            def store(db: Db) -> Tenant:
                self._check_free(uid, None)
                return job(db)

            return run(store)

        async with self._turns.of("", uid):
            return await self._tenants.create(caller, NewTenant(id=ident, name=name), unless_taken, notes=noted(notes))

    async def edit(self, caller: Caller, ident: str, given: ApplicationChange, run: Run[Tenant, R]) -> R:
        """Change an application. Raises NotFound, Invalid, or Conflict if the uid is taken."""
        tenant = self.find(caller, ident)

        def change(before: Tenant) -> TenantBody:
            return TenantBody(name=before.name if given.name is msgspec.UNSET else given.name)

        def notes(before: Tenant) -> str:
            kept: dict[str, Any] = {"metadata": {}, **notes_of(before)}
            if given.metadata is not msgspec.UNSET:
                kept["metadata"] = given.metadata
            if given.uid is not msgspec.UNSET and given.uid != uid_of(before):
                self._check_free(given.uid, before.id)
                kept["uid"] = given.uid
            if given.former_id is not msgspec.UNSET and given.former_id != before.id:
                self._check_free(given.former_id, before.id)
                kept[FORMER_ID] = given.former_id
            return noted(kept)

        async with self._turns.of("", given.uid, given.former_id):
            return await self._tenants.edit(caller, tenant.id, None, change, run, noted=notes)

    async def end_tokens(self, caller: Caller, ident: str, run: Run[Tenant, R]) -> R:
        """End all portal tokens of an application. Raises NotFound, or Forbidden if the caller could not make them."""
        check_may(caller, "change")
        now = self._clock.now()
        return await self._tenants.edit(
            caller,
            self.find(caller, ident).id,
            None,
            lambda before: TenantBody(name=before.name),
            run,
            noted=lambda before: noted({"metadata": {}, **notes_of(before), ENDED: now}),
        )

    async def delete(
        self, caller: Caller, ident: str, of_endpoint: Run[Endpoint, Endpoint], of_tenant: Run[None, None]
    ) -> None:
        """Delete an application with its endpoints. Raises NotFound, or Conflict if it has keys, hooks or forms."""
        tenant = self.find(caller, ident)
        caller.need(WRITE_TENANTS, WHOLE)
        self._check_alone(tenant)
        for endpoint in self._endpoints.visible(caller, tenant.id):
            await self._endpoints.delete(caller, endpoint.id, None, of_endpoint)
        await self._tenants.delete(caller, tenant.id, None, of_tenant)

    def _check_alone(self, tenant: Tenant) -> None:
        """Raise Conflict, before an endpoint is deleted, if the tenant has things that applications do not have."""
        now = self._catalog.now
        keys = [each for each in now.keys.values() if each.revoked is None and not each.name.startswith(SESSION)]
        owners = {each.tenant for each in keys} | {each.tenant for each in now.hooks.values()}
        if tenant.id in owners | {each.tenant for each in now.forms.values()}:
            raise Conflict("The application's tenant still has keys, hooks or forms of its own. Delete them first.")

    def _check_free(self, uid: str | None, ident: str | None) -> None:
        """Raise Conflict if the uid names another application than the one with this id."""
        other = None if uid is None else self._named(uid)
        if other is not None and other.id != ident:
            raise Conflict(f"An application with the uid {uid} already exists.")

    def _named(self, ident: str) -> Tenant | None:
        now = self._catalog.now
        found = now.tenants.get(ident)
        if found is not None:
            return found
        version, by_uid = self._by_uid
        if version != now.version:
            noting = [each for each in now.tenants.values() if each.notes is not None]
            by_uid = {name: each.id for each in noting for name in names_of(each)}
            self._by_uid = (now.version, by_uid)
        return now.tenants.get(by_uid.get(ident, ""))
