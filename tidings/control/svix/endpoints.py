"""Endpoints of applications: found by their id or `uid`, and what our own endpoints have no members for."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.control.endpoints.body import EndpointBody, NewEndpoint
from tidings.control.endpoints.edit import Also
from tidings.control.endpoints.endpoints import Endpoints
from tidings.control.svix.notes import UidTurns, noted, notes_of
from tidings.model.access import Caller
from tidings.model.errors import Conflict, NotFound
from tidings.model.link import Endpoint
from tidings.store.base import R, Run
from tidings.store.catalog import Catalog

DISABLED = "It was disabled through the Svix API."


class EndpointNotes(msgspec.Struct, frozen=True, kw_only=True):
    """What our own endpoints have no members for; what is unset stays."""

    uid: str | msgspec.UnsetType | None = msgspec.UNSET
    metadata: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    disabled: bool = False
    """Whether it is paused in the same change."""


class AppEndpoints:
    """What callers may do with the endpoints of an application. Belongs to one event loop."""

    def __init__(self, catalog: Catalog, endpoints: Endpoints) -> None:
        self._catalog, self._endpoints = catalog, endpoints
        self._turns = UidTurns()

    def known(self, caller: Caller, tenant: str, ident: str) -> bool:
        """Whether an application has an endpoint with this id or uid."""
        found = self._catalog.now.endpoints_by_id.get(ident) or self._with_uid(tenant, ident)
        return found is not None and found.tenant == tenant and caller.sees(tenant)

    def find(self, caller: Caller, tenant: str, ident: str, scope: str) -> Endpoint:
        """An application's endpoint, by id or uid, for a caller with this scope. Raises NotFound."""
        caller.need(scope)
        found = self._catalog.now.endpoints_by_id.get(ident) or self._with_uid(tenant, ident)
        if found is None or not self.known(caller, tenant, ident):
            raise NotFound(f"There is no endpoint {ident[:100]}.")
        return found

    async def create(self, caller: Caller, new: NewEndpoint, notes: EndpointNotes, run: Run[Endpoint, R]) -> R:
        """Register a URL. Raises Invalid, or Conflict if the uid is taken."""
        also = self._also(notes)
        async with self._turns.of(new.tenant or "", notes.uid):
            return await self._endpoints.create(caller, new, run, also=also)

    async def edit(
        self, caller: Caller, endpoint: Endpoint, patch: dict[str, Any], notes: EndpointNotes, run: Run[Endpoint, R]
    ) -> R:
        """Apply a merge patch and change the notes. Raises NotFound, Invalid, or Conflict if the uid is taken."""
        also = self._also(notes)
        async with self._turns.of(endpoint.tenant or "", notes.uid):
            return await self._endpoints.edit(caller, endpoint.id, patch, _read, _any_revision, run, also=also)

    def _with_uid(self, tenant: str, uid: str) -> Endpoint | None:
        for each in self._catalog.now.endpoints_by_id.values():
            if each.tenant == tenant and each.notes is not None and notes_of(each).get("uid") == uid:
                return each
        return None

    def _also(self, given: EndpointNotes) -> Also:
        def change(endpoint: Endpoint) -> Endpoint:
            notes: dict[str, Any] = {"metadata": {}, **notes_of(endpoint)}
            if given.metadata is not msgspec.UNSET:
                notes["metadata"] = given.metadata
            if given.uid is not msgspec.UNSET and given.uid != notes.get("uid"):
                notes["uid"] = given.uid
                there = None if given.uid is None else self._with_uid(endpoint.tenant or "", given.uid)
                if there is not None and there.id != endpoint.id:
                    raise Conflict(f"The application already has an endpoint with the uid {given.uid}.")
            changed: dict[str, Any] = {"notes": noted(notes)}
            if given.disabled and endpoint.mode == "enabled":
                changed |= {"mode": "paused", "reason": DISABLED}
            return msgspec.structs.replace(endpoint, **changed)

        return change


def _read(document: Any) -> EndpointBody:
    return msgspec.convert(document, EndpointBody)


def _any_revision(endpoint: Endpoint) -> None:
    return None
