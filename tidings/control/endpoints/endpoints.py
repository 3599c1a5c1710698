"""Endpoints on behalf of callers: who may do what, in which order, and which parts have to be notified afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import msgspec

from tidings.control.delivery_ids import DeliveryIds
from tidings.control.endpoints.body import EndpointBody, NewEndpoint
from tidings.control.endpoints.cancelling import Cancelling
from tidings.control.endpoints.edit import Also, EndpointEdits, valid_secrets
from tidings.control.tenants import owner
from tidings.model.access import Caller
from tidings.model.calls.trial import Tried
from tidings.model.errors import Invalid, NotFound
from tidings.model.event import Event
from tidings.model.link import Endpoint, Mode, Secret
from tidings.model.moment import Clock
from tidings.rules.revisions import check_revision
from tidings.store.base import Db, R, Run
from tidings.store.catalog import Catalog, Snapshot
from tidings.store.log import lists
from tidings.store.readers import Readers

READ, WRITE = "endpoints:read", "endpoints:write"
Missed = Literal["send", "cancel"]


class Resuming(Protocol):
    """What resuming needs from the deliver stage."""

    def resume(self, link: int) -> None:
        """Make everything that waits for this link due now."""


def narrowed_to(snapshot: Snapshot, caller: Caller, ident: str) -> Endpoint:
    """The endpoint that a list is narrowed to, which may be deleted.

    Raises Invalid if the caller can see no such endpoint.
    """
    for endpoint in snapshot.links.values():
        if endpoint.id == ident and not endpoint.name and caller.sees(endpoint.tenant):
            return endpoint
    raise Invalid.of_parameter("endpoint", "not_found", f"There is no endpoint {ident[:100]}.")


class Resumed(msgspec.Struct, frozen=True):
    """A resumed endpoint, and how many deliveries had been waiting: they are sent now, or were cancelled."""

    endpoint: Endpoint
    waiting: int


class Endpoints:
    """What callers may do with endpoints. Belongs to one event loop."""

    def __init__(
        self,
        catalog: Catalog,
        readers: Readers,
        clock: Clock,
        edits: EndpointEdits,
        cancelling: Cancelling,
        sending: Resuming,
        delivery_ids: DeliveryIds,
    ) -> None:
        self._catalog, self._readers, self._clock = catalog, readers, clock
        self._edits, self._cancelling, self._sending = edits, cancelling, sending
        self._delivery_ids = delivery_ids

    # --- look ---------------------------------------------------------------------------------------------------------

    def visible(
        self, caller: Caller, tenant: str | None = None, mode: Mode | None = None, url: str | None = None
    ) -> list[Endpoint]:
        """The endpoints that the caller may see and asks for: of one tenant, in one mode, with exactly this URL.

        Raises NotFound.
        """
        caller.need(READ)
        tenant = caller.narrowed(tenant)
        return [
            endpoint
            for endpoint in self._catalog.now.endpoints_by_id.values()
            if (tenant is None or endpoint.tenant == tenant)
            and (mode is None or endpoint.mode == mode)
            and (url is None or endpoint.what.url == url)
        ]

    def find(self, caller: Caller, ident: str, scope: str = READ) -> Endpoint:
        """One endpoint, for a caller with this scope. Raises NotFound, also if it belongs to another tenant."""
        caller.need(scope)
        endpoint = self._catalog.now.endpoints_by_id.get(ident)
        if endpoint is None or not caller.sees(endpoint.tenant):
            raise NotFound(f"There is no endpoint {ident[:100]}.")
        return endpoint

    async def waiting(self, caller: Caller, endpoints: Sequence[Endpoint]) -> dict[int, int]:
        """How many deliveries wait for each of these endpoints, by its number."""
        caller.need(READ)
        return await self._waiting(caller, endpoints)

    def secrets(self, caller: Caller, ident: str) -> list[Secret]:
        """The secrets that sign now, newest first.

        Requires the write scope, because anyone who has a secret can sign as this server.
        """
        return valid_secrets(self.find(caller, ident, WRITE), self._clock.now())

    # --- change -------------------------------------------------------------------------------------------------------

    async def create(self, caller: Caller, new: NewEndpoint, run: Run[Endpoint, R], *, also: Also | None = None) -> R:
        """Register a URL. Raises Invalid, or Conflict if the tenant has too many endpoints."""
        caller.need(WRITE)
        if caller.tenant is not None:
            new = msgspec.structs.replace(new, tenant=owner(caller, new.tenant))
        return await run(await self._edits.create(new, operator=caller.is_operator, caller=caller.tenant, also=also))

    async def edit(
        self,
        caller: Caller,
        ident: str,
        patch: dict[str, Any],
        read: Callable[[Any], EndpointBody],
        expected_of: Callable[[Endpoint], set[int] | None],
        run: Run[Endpoint, R],
        *,
        also: Also | None = None,
    ) -> R:
        """Apply a merge patch; it applies from the next attempt on. `read` turns the merged document into a body.

        `expected_of` gets the present endpoint, may refuse, and returns the revisions that the caller would overwrite;
        None for any. Raises NotFound, Invalid or Stale.
        """
        endpoint = self.find(caller, ident, WRITE)
        expected = expected_of(endpoint)
        return await run(await self._edits.edit(endpoint, patch, read, expected, caller=caller.tenant, also=also))

    async def delete(self, caller: Caller, ident: str, expected: set[int] | None, run: Run[Endpoint, Endpoint]) -> None:
        """Delete an endpoint; its waiting deliveries are cancelled in the background. Raises NotFound or Stale."""
        endpoint = self.find(caller, ident, WRITE)
        self._cancelling.sweep(await run(self._edits.delete(endpoint, expected)))

    async def pause(
        self, caller: Caller, ident: str, reason: str | None, expected: set[int] | None, run: Run[Endpoint, R]
    ) -> R:
        """Send nothing for now; deliveries wait in the meantime. Raises NotFound, Invalid, Stale or Conflict."""
        endpoint = self.find(caller, ident, WRITE)
        return await run(self._edits.pause(endpoint, reason, expected))

    async def resume(
        self, caller: Caller, ident: str, missed: Missed, expected: set[int] | None, run: Run[Resumed, R]
    ) -> R:
        """Send again, starting with what was missed, retries included; or cancel that first, if the caller asks for it.

        Raises NotFound, Stale, or Conflict if the endpoint is sending and its waiting deliveries are to be cancelled.
        """
        endpoint = self.find(caller, ident, WRITE)
        check_revision(expected, endpoint.revision)
        waiting = (await self._waiting(caller, [endpoint]))[endpoint.num]
        if missed == "cancel":
            waiting = await self._cancelling.cancel_waiting(endpoint)
        job = self._edits.resume(endpoint, expected)
        done = await run(lambda db: Resumed(job(db), waiting))
        self._sending.resume(endpoint.num)
        return done

    async def rotate(
        self,
        caller: Caller,
        ident: str,
        secret: str | None,
        overlap_seconds: int | None,
        expected: set[int] | None,
        run: Run[list[Secret], R],
    ) -> R:
        """Sign with a new secret, and with the previous one until the overlap ends.

        Returns the secrets that sign now, newest first.

        Raises NotFound, Invalid or Stale.
        """
        job = self._edits.rotate(self.find(caller, ident, WRITE), secret, overlap_seconds, expected)
        return await run(lambda db: valid_secrets(job(db), self._clock.now()))

    # --- try ----------------------------------------------------------------------------------------------------------

    async def try_out(self, caller: Caller, new: NewEndpoint) -> Tried:
        """Send a test event to an endpoint that is not stored; nothing is kept. Raises Invalid or Unavailable."""
        caller.need(WRITE)
        if caller.tenant is not None:
            new = msgspec.structs.replace(new, tenant=owner(caller, new.tenant))
        return await self._edits.try_out(new, operator=caller.is_operator, caller=caller.tenant)

    async def test(self, caller: Caller, ident: str, run: Run[Event, R], example: tuple[str, str] | None = None) -> R:
        """Send a test event to this endpoint only. Raises NotFound, or Conflict if it is not sending.

        `example`: the type of the event and its data, as JSON; by default it is of Tidings' own type.
        """
        return await run(self._edits.test(self.find(caller, ident, WRITE), caller.request_id, example))

    async def tested(self, caller: Caller, ident: str, event_id: str) -> str | None:
        """The id of a test event's delivery, which is made in the event's transaction; None if there is none."""
        endpoint = self.find(caller, ident, WRITE)

        def read(db: Db) -> tuple[Any, ...] | None:
            return db.one("delivery_of_event", id=event_id, link=endpoint.num)

        row = await self._readers.call(read, caller.tenant)
        return None if row is None else self._delivery_ids.of(row[0], row[1])

    async def _waiting(self, caller: Caller, endpoints: Sequence[Endpoint]) -> dict[int, int]:
        def read(db: Db) -> dict[int, int]:
            return {each.num: lists.waiting_count(db, each.num) for each in endpoints}

        return await self._readers.call(read, caller.tenant)
