"""What happens to a link's timer when the link is edited, when it is due, and when the clock is set. Write jobs.

A due time becomes an event that is aimed at the link; from then on it is handled like any other. A link never has two
runs at once: due times wait until its last run has ended. Missed times become one run, whatever the cause: the server
was down, the link was paused, or the last run took long.
"""

from __future__ import annotations

import msgspec

from tidings.model.event import Event
from tidings.model.ids import new_id
from tidings.model.link import ALL_TENANTS, DUE, AnyLink, Timer
from tidings.model.moment import DAY, MINUTE, SECOND, Micros, to_text
from tidings.rules.mirror.cursors import moved
from tidings.rules.timers.due import first_due, next_due, passed
from tidings.store.base import Db
from tidings.store.catalog import Catalog
from tidings.store.links import polls, timers
from tidings.store.links.timers import TimerRow
from tidings.store.log.events import WithEvents

TIMERS_PER_STEP = 500
LATE: Micros = 1 * MINUTE
"""With `missed: skip`, a run that is late by more than this is skipped."""
BUSY_LEAST, BUSY_MOST = 1 * SECOND, 1 * MINUTE
"""Lower and upper bound of the time after which a timer is checked again if its last run has not ended. Within the
bounds, that is an eighth of the time that the timer is overdue."""


def follow(db: Db, link: AnyLink, before: AnyLink | None, now: Micros, *, skip_missed: bool = False) -> None:
    """Update the timer of a link that was declared, edited, paused, resumed or deleted.

    An edit keeps what is overdue, and how long ago the last run was. `skip_missed`: missed times are skipped.
    """
    timer = link.timer
    if timer is None or link.deleted is not None:
        if before is not None and before.timer is not None:
            timers.drop(db, link.num)
        return
    row = timers.of(db, link.num)
    if row is None:
        due, last, run, kick = first_due(timer, now), None, None, None
    else:
        due, last, run, kick = row.due, row.last, row.run, None if skip_missed else row.kick
        edited = before is not None and before.timer is not None and _times(before.timer) != _times(timer)
        if edited and due > now:
            due = first_due(timer, now) if last is None else max(now, next_due(timer, last, _since(timer, last, now)))
        elif skip_missed and due <= now:
            due = next_due(timer, due, now)
    look = (due if kick is None else min(due, now)) if link.mode == "enabled" else None
    hops = 0 if row is None or kick is None else row.kick_hops
    wall = timer.every_seconds is None
    timers.put(
        db, TimerRow(link=link.num, due=due, look=look, last=last, run=run, wall=wall, kick=kick, kick_hops=hops)
    )


def fire(db: Db, catalog: Catalog, now: Micros) -> WithEvents:
    """Make the events that are due. Returns when to check next; None if there is nothing to check."""
    events = []
    for row in timers.to_check(db, now, TIMERS_PER_STEP):
        link = catalog.link(db, row.link)
        if link is None or link.deleted is not None or link.timer is None:
            timers.drop(db, row.link)
        elif link.mode != "enabled":
            timers.put(db, msgspec.structs.replace(row, look=None))
        elif timers.is_running(db, row):
            pause = min(max((now - row.due) // 8, BUSY_LEAST), BUSY_MOST)
            timers.put(db, msgspec.structs.replace(row, look=now + pause))
        else:
            # An event that came first makes it run now, and intervals start again from that.
            due, missed = (now, 0) if row.due > now else passed(link.timer, row.due, now)
            later = next_due(link.timer, due, now)
            fired = msgspec.structs.replace(row, due=later, look=later, kick=None, kick_hops=0)
            if row.kick is not None or link.timer.missed == "once" or now - due <= LATE:
                event = due_event(link, due, missed, now, row=row)
                events.append(event)
                fired = msgspec.structs.replace(fired, last=due, run=event.id)
            timers.put(db, fired)
    return WithEvents(timers.next_look(db), events)


def move(db: Db, catalog: Catalog, by: Micros, now: Micros) -> None:
    """The clock was set by `by`: durations last as long as before, and times of day are those of the new time."""
    for row in timers.move(db, by):
        link = catalog.link(db, row.link)
        if link is None or link.timer is None:
            continue
        due = row.due
        if due > now:
            # If the last run is far ahead, a wrong clock had made it due. If it is only just ahead, it was due, and
            # does not run again.
            last = row.last if row.last is not None and now < row.last < now + DAY else None
            due = next_due(link.timer, due, now if last is None else last)
        look = None if row.look is None else due
        timers.put(db, msgspec.structs.replace(row, due=due, look=look))
    _move_polls(db, catalog, by)


def _move_polls(db: Db, catalog: Catalog, by: Micros) -> None:
    """Move the cursors of polls that are moments on our clock: what changed until then was read, but nothing later."""
    polls.move(db, by)
    for link in catalog.declared_links(db).values():
        emit = getattr(link.what, "emit", None)
        if emit is not None and emit.cursor is not None:
            row = polls.of(db, link.name)
            if (cursor := moved(emit.cursor, row.cursor, by)) != row.cursor:
                polls.put(db, msgspec.structs.replace(row, cursor=cursor))


def due_event(
    link: AnyLink, due: Micros, missed: int, now: Micros, actor: str | None = None, row: TimerRow | None = None
) -> Event:
    """The event of a time at which a link is due. `missed`: how many earlier times are part of this run.

    `row`: its timer, with the event that makes it run now, if that is the reason.
    """
    kick = None if row is None else row.kick
    return Event(
        id=new_id("evt", now),
        type=DUE,
        time=due,
        tenant=None if link.tenant == ALL_TENANTS else link.tenant,
        subject=link.name,
        data=msgspec.json.encode({"due": to_text(due), "missed": missed}).decode(),
        actor=actor if kick is None else link.id,
        target=link.num,
        cause=kick,
        hops=0 if row is None or kick is None else row.kick_hops + 1,
    )


def _times(timer: Timer) -> Timer:
    """The parts of a timer that determine when it is due."""
    return msgspec.structs.replace(timer, missed="once")


def _since(timer: Timer, last: Micros, now: Micros) -> Micros:
    """The moment after which an edited timer is due; durations count from the last run."""
    return last if timer.every_seconds is not None else now
