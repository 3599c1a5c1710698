"""Endpoints of applications: found by id, uid or former id, and the values for which our own endpoints have no
members."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.control.endpoints.body import EndpointBody, NewEndpoint
from tidings.control.endpoints.edit import Also
from tidings.control.endpoints.endpoints import Endpoints
from tidings.control.svix.notes import FORMER_ID, UidTurns, names_of, noted, notes_of
from tidings.model.access import Caller
from tidings.model.errors import Conflict, NotFound
from tidings.model.link import Endpoint
from tidings.store.base import R, Run
from tidings.store.catalog import Catalog

DISABLED = "The endpoint was disabled through the Svix API."


class EndpointNotes(msgspec.Struct, frozen=True, kw_only=True):
    """The values for which our own endpoints have no members; unset ones are kept."""

    uid: str | msgspec.UnsetType | None = msgspec.UNSET
    metadata: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    former_id: str | msgspec.UnsetType = msgspec.UNSET
    """The id that the endpoint had at Svix; it can be found by this id too."""
    disabled: bool = False
    """Whether the same change also pauses the endpoint."""


class AppEndpoints:
    """What callers may do with the endpoints of an application. Belongs to one event loop."""

    def __init__(self, catalog: Catalog, endpoints: Endpoints) -> None:
        self._catalog, self._endpoints = catalog, endpoints
        self._turns = UidTurns()

    def known(self, caller: Caller, tenant: str, ident: str) -> bool:
        """Whether an application has an endpoint with this id, uid or former id."""
        return self._named(tenant, ident) is not None and caller.sees(tenant)

    def find(self, caller: Caller, tenant: str, ident: str, scope: str) -> Endpoint:
        """An application's endpoint, by id, uid or former id, for a caller with this scope. Raises NotFound."""
        caller.need(scope)
        found = self._named(tenant, ident)
        if found is None or not caller.sees(tenant):
            raise NotFound(f"There is no endpoint {ident[:100]}.")
        return found

    async def create(self, caller: Caller, new: NewEndpoint, notes: EndpointNotes, run: Run[Endpoint, R]) -> R:
        """Register a URL. Raises Invalid, or Conflict if the uid is taken."""
        also = self._also(notes)
        async with self._turns.of(new.tenant or "", notes.uid, notes.former_id):
            return await self._endpoints.create(caller, new, run, also=also)

    async def edit(
        self, caller: Caller, endpoint: Endpoint, patch: dict[str, Any], notes: EndpointNotes, run: Run[Endpoint, R]
    ) -> R:
        """Apply a merge patch and change the notes. Raises NotFound, Invalid, or Conflict if the uid is taken."""
        also = self._also(notes)
        async with self._turns.of(endpoint.tenant or "", notes.uid, notes.former_id):
            return await self._endpoints.edit(caller, endpoint.id, patch, _read, _any_revision, run, also=also)

    def _named(self, tenant: str, name: str) -> Endpoint | None:
        found = self._catalog.now.endpoints_by_id.get(name)
        if found is not None and found.tenant == tenant:
            return found
        for each in self._catalog.now.endpoints_by_id.values():
            if each.tenant == tenant and name in names_of(each):
                return each
        return None

    def _check_free(self, name: str | None, endpoint: Endpoint) -> None:
        there = None if name is None else self._named(endpoint.tenant or "", name)
        if there is not None and there.id != endpoint.id:
            raise Conflict(f"The application already has an endpoint with the uid {name}.")

    def _also(self, given: EndpointNotes) -> Also:
        def change(endpoint: Endpoint) -> Endpoint:
            notes: dict[str, Any] = {"metadata": {}, **notes_of(endpoint)}
            if given.metadata is not msgspec.UNSET:
                notes["metadata"] = given.metadata
            if given.uid is not msgspec.UNSET and given.uid != notes.get("uid"):
                notes["uid"] = given.uid
                self._check_free(given.uid, endpoint)
            if given.former_id is not msgspec.UNSET and given.former_id != endpoint.id:
                notes[FORMER_ID] = given.former_id
                self._check_free(given.former_id, endpoint)
            changed: dict[str, Any] = {"notes": noted(notes)}
            if given.disabled and endpoint.mode == "enabled":
                changed |= {"mode": "paused", "reason": DISABLED}
            return msgspec.structs.replace(endpoint, **changed)

        return change


def _read(document: Any) -> EndpointBody:
    return msgspec.convert(document, EndpointBody)


def _any_revision(endpoint: Endpoint) -> None:
    return None
