"""Tallies on behalf of callers: series for charts, and how each link is doing."""

from __future__ import annotations

from typing import Literal

import msgspec

from tidings.control.deliveries import READ, links_asked
from tidings.model import moment
from tidings.model.access import Caller
from tidings.model.errors import Invalid
from tidings.model.link import AnyLink
from tidings.model.moment import DAY, HOUR, MINUTE, Clock, Micros
from tidings.store.base import Db
from tidings.store.catalog import Catalog
from tidings.store.log import standing
from tidings.store.log import tallies as stored
from tidings.store.log.standing import Backlog
from tidings.store.log.tallies import ReasonRow, TallyRow
from tidings.store.readers import Readers

Step = Literal["minute", "hour"]
STEPS: dict[Step, tuple[int, Micros, Micros]] = {
    "minute": (stored.MINUTE_SECONDS, MINUTE, 1 * HOUR),
    "hour": (stored.HOUR_SECONDS, HOUR, 1 * DAY),
}
"""For each step: its length in seconds, its length in microseconds, and how far back a series begins by default."""
ROWS_MAX = 200_000
"""The maximum number of rows that a series may be made from: the number of links times the number of steps."""
REASON_ROWS_MAX = 5_000


class TallySeries(msgspec.Struct, frozen=True, kw_only=True):
    """The results of attempts, step by step, and why they failed. `whole`: for all links."""

    whole: bool
    since: Micros
    until: Micros
    rows: list[TallyRow]
    reasons: list[ReasonRow]
    reasons_are_complete: bool


class LinkStanding(msgspec.Struct, frozen=True, kw_only=True):
    """A link, the tallies of its last 24 hours, and what waits for it."""

    link: AnyLink
    hours: list[TallyRow]
    backlog: Backlog


class TallyReading:
    """What callers may read of tallies. Belongs to one event loop."""

    def __init__(self, catalog: Catalog, readers: Readers, clock: Clock) -> None:
        self._catalog, self._readers, self._clock = catalog, readers, clock

    async def series(
        self,
        caller: Caller,
        step: Step,
        *,
        since: Micros | None = None,
        until: Micros | None = None,
        endpoint: str | None = None,
        link: str | None = None,
        tenant: str | None = None,
    ) -> TallySeries:
        """The tallies of a range, which is widened to whole steps. Raises Invalid."""
        caller.need(READ)
        links = links_asked(self._catalog.now, caller, endpoint, link, tenant)
        seconds, length, usual = STEPS[step]
        until = (self._clock.now() if until is None else until) - 1
        until = until - until % length + length
        since = until - usual if since is None else since - since % length
        if since >= until:
            detail = f"time__gte must be earlier than the end of the range, {moment.to_text(until)}."
            raise Invalid.of_parameter("time__gte", "empty_range", detail)
        if (until - since) // length * (1 if links is None else len(links)) > ROWS_MAX:
            detail = "This request would read too many rows. Choose a shorter range, `step=hour`, or a single endpoint."
            raise Invalid.of_parameter("time__gte", "range_too_large", detail)
        first_hour = since - since % HOUR

        def read(db: Db) -> TallySeries:
            whole = [stored.ALL] if links is None else links
            reasons = stored.reasons(db, links, first_hour, until, REASON_ROWS_MAX)
            return TallySeries(
                whole=links is None,
                since=since,
                until=until,
                rows=stored.series(db, whole, seconds, since, until),
                reasons=reasons,
                reasons_are_complete=len(reasons) < REASON_ROWS_MAX,
            )

        return await self._readers.call(read, caller.tenant)

    def links(
        self, caller: Caller, *, endpoint: str | None = None, link: str | None = None, tenant: str | None = None
    ) -> list[AnyLink]:
        """The links that the caller may see and asks for, without deleted ones. Raises Invalid."""
        caller.need(READ)
        links = links_asked(self._catalog.now, caller, endpoint, link, tenant)
        every = self._catalog.now.links
        return [each for num, each in every.items() if each.deleted is None and (links is None or num in links)]

    async def standings(self, caller: Caller, links: list[AnyLink]) -> list[LinkStanding]:
        """How some links are doing: their last 24 hours, and what waits for them."""
        caller.need(READ)
        now = self._clock.now()
        numbers = [each.num for each in links]

        def read(db: Db) -> list[LinkStanding]:
            hours = stored.by_link(db, numbers, hours_since(now), now + HOUR)
            backlogs = standing.backlogs_of_many(db, numbers, standing.lagging(db))
            return [
                LinkStanding(link=each, hours=hours.get(each.num, []), backlog=backlogs[each.num]) for each in links
            ]

        return await self._readers.call(read, caller.tenant)


def hours_since(now: Micros) -> Micros:
    """When the last 24 hours begin, including the present hour."""
    return now - now % HOUR - 23 * HOUR
