"""Deliveries on behalf of callers: list, inspect, retry, cancel."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from tidings.control.delivery_ids import DeliveryIds
from tidings.control.endpoints.endpoints import narrowed_to
from tidings.model.access import Caller
from tidings.model.delivery import Attempt
from tidings.model.errors import Conflict, Invalid, NotFound
from tidings.model.link import AnyLink
from tidings.model.moment import Clock, Micros
from tidings.rules.deliver import lifecycle
from tidings.store.base import Db, R, Run
from tidings.store.catalog import Catalog, Snapshot
from tidings.store.log import failures, lists
from tidings.store.log.failures import FailedDeliveries
from tidings.store.log.lists import DeliveryQuery, DeliveryRow
from tidings.store.readers import Readers

READ, WRITE = "deliveries:read", "deliveries:write"


class Sending(Protocol):
    """What retrying and cancelling need from the deliver stage."""

    def notice(self, link: int) -> None:
        """Report that something of this link is due now, because a person asked for it."""

    async def cancel(self, numbers: list[int]) -> list[bool]:
        """Cancel waiting deliveries. Returns False for each that had already ended."""


class DeliveryPage(msgspec.Struct, frozen=True):
    """Some deliveries of a list."""

    rows: list[DeliveryRow]
    position: int | None
    """The position where the next page starts; None if this is the last page."""
    total: int | None
    """The number of deliveries on all pages; None if there are too many to count, or the total was not requested."""


class DeliveryTrace(msgspec.Struct, frozen=True):
    """A delivery with every attempt, oldest first."""

    row: DeliveryRow
    attempts: list[Attempt]


class Deliveries:
    """What callers may do with deliveries. Belongs to one event loop."""

    def __init__(
        self, catalog: Catalog, readers: Readers, clock: Clock, sending: Sending, delivery_ids: DeliveryIds
    ) -> None:
        self._catalog, self._readers, self._clock = catalog, readers, clock
        self._sending, self._ids = sending, delivery_ids

    async def page(
        self,
        caller: Caller,
        query: DeliveryQuery,
        *,
        endpoint: str | None = None,
        link: str | None = None,
        tenant: str | None = None,
        count: bool = False,
    ) -> DeliveryPage:
        """Some of the deliveries that the caller may see.

        `endpoint`, `link`, `tenant`: only deliveries to these. `link` is a name, and also stands for deleted links of
        that name. Raises Invalid.
        """
        caller.need(READ)
        snapshot = self._catalog.now
        query = msgspec.structs.replace(query, links=links_asked(snapshot, caller, endpoint, link, tenant))

        def read(db: Db) -> DeliveryPage:
            total = lists.count(db, snapshot, query) if count else None
            return DeliveryPage(*lists.deliveries(db, snapshot, query), total)

        return await self._readers.call(read, caller.tenant)

    async def failures(
        self,
        caller: Caller,
        since: Micros,
        *,
        endpoint: str | None = None,
        link: str | None = None,
        tenant: str | None = None,
    ) -> FailedDeliveries:
        """Deliveries whose last attempt failed, at `since` or later. Raises Invalid."""
        caller.need(READ)
        snapshot = self._catalog.now
        links = links_asked(snapshot, caller, endpoint, link, tenant)
        known = frozenset(num for num, each in snapshot.links.items() if each.deleted is None)
        chosen = None if links is None else known & links
        found = await self._readers.call(lambda db: failures.since(db, since, chosen), caller.tenant)
        return (
            found if links is not None else found._replace(found=[each for each in found.found if each.link in known])
        )

    async def find(self, caller: Caller, ident: str, scope: str = READ) -> DeliveryRow:
        """One delivery, for a caller with this scope. Raises NotFound, also if it belongs to another tenant."""
        caller.need(scope)
        snapshot, numbers = self._catalog.now, self._ids.numbers(ident)
        if not numbers:
            raise _unknown(ident)
        rows = await self._readers.call(lambda db: lists.rows_of(db, snapshot, numbers), caller.tenant)
        row = next((row for row in rows if self._ids.means(ident, row.number, row.created)), None)
        endpoint = None if row is None else snapshot.links.get(row.link)
        if row is None or endpoint is None or not caller.sees_link(endpoint):
            raise _unknown(ident)
        return row

    async def trace(self, caller: Caller, ident: str) -> DeliveryTrace:
        """One delivery with every attempt. Raises NotFound."""
        row = await self.find(caller, ident)
        return await self._readers.call(lambda db: self._trace(db, ident, row.number), caller.tenant)

    async def traces(
        self, caller: Caller, query: DeliveryQuery, *, endpoint: str | None = None, tenant: str | None = None
    ) -> tuple[list[DeliveryTrace], int | None]:
        """Some of the deliveries that the caller may see, with every attempt, and where the next page starts."""
        caller.need(READ)
        snapshot = self._catalog.now
        query = msgspec.structs.replace(query, links=links_asked(snapshot, caller, endpoint, None, tenant))

        def read(db: Db) -> tuple[list[DeliveryTrace], int | None]:
            rows, position = lists.deliveries(db, snapshot, query)
            return [DeliveryTrace(row, lists.attempts_of(db, row.number)) for row in rows], position

        return await self._readers.call(read, caller.tenant)

    async def retry(self, caller: Caller, ident: str, run: Run[DeliveryTrace, R]) -> R:
        """Retry a delivery now, with a full new round of attempts. Raises NotFound, or Conflict as `retry` does."""
        row = await self.find(caller, ident, WRITE)

        def job(db: Db) -> DeliveryTrace:
            retry(db, self._catalog, self._clock, row.number)
            return self._trace(db, ident, row.number)

        done = await run(job)
        self._sending.notice(row.link)
        return done

    async def cancel(self, caller: Caller, ident: str, run: Run[DeliveryTrace, R]) -> R:
        """Cancel a delivery. Raises NotFound, or Conflict if it has ended."""
        row = await self.find(caller, ident, WRITE)
        # The deliver stage stores the cancellation when it can, so `run` comes after it.
        if row.state != "waiting" or not (await self._sending.cancel([row.number]))[0]:
            row = await self.find(caller, ident, WRITE)
            raise Conflict(f"The delivery is already {row.state}, so there is nothing to cancel.")
        return await run(lambda db: self._trace(db, ident, row.number))

    def _trace(self, db: Db, ident: str, number: int) -> DeliveryTrace:
        found = lists.delivery(db, self._catalog.now, number)
        if found is None:
            raise _unknown(ident)
        return DeliveryTrace(*found)


def links_asked(
    snapshot: Snapshot, caller: Caller, endpoint: str | None, link: str | None, tenant: str | None
) -> frozenset[int] | None:
    """The links that the caller may see and asks for; None for all. Raises Invalid or NotFound."""
    tenant = caller.narrowed(tenant)
    if endpoint is None and link is None and tenant is None:
        return None
    asked: list[AnyLink] = [*snapshot.links.values()]
    if endpoint is not None:
        asked = [narrowed_to(snapshot, caller, endpoint)]
    if link is not None:
        named = links_named(snapshot, caller, link)
        asked = named if endpoint is None else []
    visible = [each for each in asked if caller.sees_link(each)]
    return frozenset(each.num for each in visible if tenant is None or each.tenant == tenant)


def links_named(snapshot: Snapshot, caller: Caller, name: str) -> list[AnyLink]:
    """The operator's links with this name or id, oldest first, including deleted ones. Raises Invalid."""
    named = [
        each
        for each in snapshot.links.values()
        if each.name and name in (each.name, each.id) and caller.sees_link(each)
    ]
    if not named:
        raise Invalid.of_parameter("link", "not_found", f"There is no link {name[:100]}.")
    return sorted(named, key=lambda each: each.num)


def _unknown(ident: str) -> NotFound:
    return NotFound(f"There is no delivery {ident[:100]}.")


def retry(db: Db, catalog: Catalog, clock: Clock, number: int) -> int:
    """Make a delivery due now, with a full new round of attempts, inside a write job. Returns its link.

    Raises NotFound, or Conflict if its endpoint is not sending or it is held behind an earlier one.
    """
    row = db.one("delivery_of", delivery=number)
    if row is None:
        raise NotFound("There is no such delivery.")
    _, link, event, created, n, last = row
    waiting = db.one("waiting_of", delivery=number)
    endpoint = enabled(catalog.link(db, link))
    state = lifecycle.state(last, waiting is not None, False)
    now = clock.now()
    if lifecycle.after(state, "retry") is None:
        raise Conflict(f"The delivery is {state}, so it cannot be retried.")
    if state == "waiting":
        _hurry(db, number, waiting, now)
    else:
        db.many("waiting_put", [new_round(number, endpoint.num, event, created, n, now)])
    return int(link)


def new_round(number: int, link: int, event: int, created: Micros, n: int, now: Micros) -> dict[str, Any]:
    """The row of `waiting` that starts a new round of attempts, due now."""
    return {
        "delivery": number,
        "link": link,
        "event": event,
        "due": now,
        "n": n,
        "earlier": n,
        "first": now,
        "subject": None,
        "held": 0,
        "created": created,
    }


def enabled(link: AnyLink | None) -> AnyLink:
    """The link, if something can be sent through it again. Raises Conflict."""
    kind = "link" if link is not None and link.name else "endpoint"
    if link is None or link.deleted is not None:
        raise Conflict(f"The {kind} was deleted, so its deliveries cannot be sent again.")
    if link.mode != "enabled":
        raise Conflict(f"The {kind} {link.name or link.id} is {link.mode}: {link.reason} Resume it first.")
    return link


def _hurry(db: Db, number: int, waiting: tuple[Any, ...] | None, now: Micros) -> None:
    # Without a row it was never attempted, and is already in its endpoint's line.
    if waiting is None:
        return
    if waiting[8]:
        raise Conflict(
            "This delivery is waiting behind an earlier one with the same subject, because the two are sent in "
            "order. Retry or cancel the earlier one."
        )
    db.run("waiting_hurry", delivery=number, now=now)
