"""Running a link with a timer by hand, and when it is due, on behalf of callers."""

from __future__ import annotations

import msgspec

from tidings.control.links import READ, WHOLE, WRITE, Links
from tidings.control.timers import rows
from tidings.model.access import Caller
from tidings.model.errors import Conflict, NotFound
from tidings.model.link import ALL_TENANTS, AnyLink
from tidings.model.moment import Clock
from tidings.rules.reading.refused import Refused
from tidings.store.base import Db, R, Run
from tidings.store.catalog import Catalog
from tidings.store.links import kept, mirror, polls, timers
from tidings.store.links.kept import KeptKey, KeptRow
from tidings.store.links.timers import TimerRow
from tidings.store.log.events import WithEvents
from tidings.store.readers import Readers


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """What a reset has deleted: a cursor or not, how many records of the mirror, and for how many subjects kept
    values (`kept`)."""

    link: str
    cursor: bool
    records: int
    kept: int = 0


class KeptFor(msgspec.Struct, frozen=True, kw_only=True):
    """The values kept for one subject of a link's events."""

    link: str
    row: KeptRow


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

    async def kept(self, caller: Caller, name: str, subject: str, tenant: str | None) -> KeptFor:
        """What is kept for a subject. Raises NotFound."""
        caller.need(READ)
        link = self._links.find(caller, name)
        key = KeptKey(_space(link), caller.narrowed(tenant) or "", subject)
        row = await self._readers.call(lambda db: kept.row_of(db, key), caller.tenant)
        if row is None:
            raise NotFound(f"{name} has no kept values for the subject {subject[:100]}.")
        return KeptFor(link=name, row=row)

    async def reset(
        self, caller: Caller, name: str, *, forget: bool, subject: str | None, is_kept: bool, run: Run[Forgotten, R]
    ) -> R:
        """Reset a poll; `forget`: also delete its mirror, so that every record is created again.

        `is_kept`: instead delete the kept values, of one subject or of all. Raises NotFound, or Conflict if it is
        running or has no `emit`.
        """
        caller.need(WRITE, WHOLE)
        if subject is not None and not is_kept:
            raise Refused("/subject", "not_together", "`subject` requires `kept`.")
        self._links.find(caller, name)
        if is_kept:
            return await run(lambda db: self._forget(db, name, subject))
        return await run(lambda db: self._reset(db, name, forget=forget))

    def _forget(self, db: Db, name: str, subject: str | None) -> Forgotten:
        found = kept.forget(db, _space(self._at(db, name)), subject)
        return Forgotten(link=name, cursor=False, records=0, kept=found)

    def _at(self, db: Db, name: str) -> AnyLink:
        link = self._catalog.declared_link(db, name)
        if link is None:
            raise NotFound(f"There is no link {name[:100]}.")
        return link

    def _reset(self, db: Db, name: str, *, forget: bool) -> Forgotten:
        link = self._at(db, name)
        if (rule := getattr(link.what, "emit", None)) is None:
            detail = f"{name} has no `emit`, so only its kept values can be reset. Pass `kept` to reset them."
            raise Conflict(detail, code="no_emit")
        row = timers.of(db, link.num)
        if row is not None and timers.is_running(db, row):
            detail = (
                f"{name} is still busy with run {row.run}. Reset the link once this run has ended; if the run is "
                "waiting for another attempt, you can cancel its delivery. To prevent further runs, pause the link."
            )
            raise Conflict(detail, code="running")
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
            raise Conflict(f"{name} acts on events, not on a timer. Publish an event to run it.", code="no_timer")
        if link.mode != "enabled":
            raise Conflict(f"{name} is {link.mode}: {link.reason}", code="paused")
        if timers.is_running(db, row):
            raise Conflict(
                f"{name} is still busy with run {row.run}. A link never has two runs at once.", code="running"
            )
        now = self._clock.now()
        event = rows.due_event(link, now, 0, now, caller.key.id)
        timers.put(db, msgspec.structs.replace(row, run=event.id))
        return WithEvents(event, (event,))


def _space(link: AnyLink) -> str:
    """Whose memory the link uses."""
    return kept.space(link.name, getattr(link.what, "via", None))
