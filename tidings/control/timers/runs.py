"""Running a link with a timer by hand, and when it is due, on behalf of callers."""

from __future__ import annotations

import msgspec

from tidings.control.links import WHOLE, WRITE, Links
from tidings.control.timers import rows
from tidings.model.access import Caller
from tidings.model.errors import Conflict, NotFound
from tidings.model.link import ALL_TENANTS, AnyLink
from tidings.model.moment import Clock
from tidings.store.base import Db, R, Run
from tidings.store.catalog import Catalog
from tidings.store.links import mirror, polls, timers
from tidings.store.links.timers import TimerRow
from tidings.store.log.events import WithEvents
from tidings.store.readers import Readers


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """What a poll has forgotten: whether it had a cursor, and how many records of the mirror."""

    link: str
    cursor: bool
    records: int


class TimerRuns:
    """What callers may do with the timers of links."""

    def __init__(self, links: Links, catalog: Catalog, readers: Readers, clock: Clock) -> None:
        self._links, self._catalog, self._readers, self._clock = links, catalog, readers, clock

    async def of(self, caller: Caller, link: AnyLink) -> TimerRow | None:
        """When a link is due, and its last run."""
        if link.timer is None:
            return None
        return await self._readers.call(lambda db: timers.of(db, link.num), caller.tenant)

    async def run(self, caller: Caller, name: str, run: Run[WithEvents, R]) -> R:
        """Run a link now, in addition to its times. The job returns the event, to be stored with it.

        Raises NotFound, or Conflict if it is paused, is running, or has no timer.
        """
        caller.need(WRITE, WHOLE)
        self._links.find(caller, name)
        return await run(lambda db: self._ran(db, caller, name))

    async def reset(self, caller: Caller, name: str, *, forget: bool, run: Run[Forgotten, R]) -> R:
        """Let a poll begin again; `forget`: without its mirror, so that every record is created once more.

        Raises NotFound, or Conflict if it reads at this moment, or has no `emit`.
        """
        caller.need(WRITE, WHOLE)
        self._links.find(caller, name)
        return await run(lambda db: self._reset(db, name, forget=forget))

    def _reset(self, db: Db, name: str, *, forget: bool) -> Forgotten:
        link = self._catalog.declared_link(db, name)
        if link is None:
            raise NotFound(f"There is no link {name[:100]}.")
        if (rule := getattr(link.what, "emit", None)) is None:
            raise Conflict(f"{name} has no `emit`, so it remembers nothing.", code="no_emit")
        row = timers.of(db, link.num)
        if row is not None and timers.is_running(db, row):
            raise Conflict(
                f"{name} is still busy with the run {row.run}. Pause the link, or reset it once the run has ended.",
                code="running",
            )
        records = 0
        if forget:
            tenant = None if link.tenant == ALL_TENANTS else link.tenant
            known = mirror.known(db, tenant, rule.type)
            records = 0 if known is None else mirror.forget(db, known)
        return Forgotten(link=name, cursor=polls.forget(db, name), records=records)

    def _ran(self, db: Db, caller: Caller, name: str) -> WithEvents:
        link = self._catalog.declared_link(db, name)
        row = None if link is None else timers.of(db, link.num)
        if link is None:
            raise NotFound(f"There is no link {name[:100]}.")
        if link.timer is None or row is None:
            raise Conflict(f"{name} acts on events, not at times. Publish an event to run it.", code="no_timer")
        if link.mode != "enabled":
            raise Conflict(f"{name} is {link.mode}: {link.reason}", code="paused")
        if timers.is_running(db, row):
            raise Conflict(
                f"{name} is still busy with the run {row.run}. A link never has two runs at once.", code="running"
            )
        now = self._clock.now()
        event = rows.due_event(link, now, 0, now, caller.key.id)
        timers.put(db, msgspec.structs.replace(row, run=event.id))
        return WithEvents(event, (event,))
