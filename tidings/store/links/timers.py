"""The timers of links, as rows: when each is due next, and what ran last."""

from __future__ import annotations

import msgspec

from tidings.model.moment import Micros
from tidings.store.base import Db, Row


class TimerRow(msgspec.Struct, frozen=True, kw_only=True):
    """The timer of one link."""

    link: int
    due: Micros
    look: Micros | None
    """When to check the timer next; None if its link is paused."""
    last: Micros | None = None
    """When the timer's last run was due."""
    run: str | None = None
    """The id of the event for the timer's last run."""
    wall: bool
    """Whether the timer is due at times of day, which stay the same when the clock is set."""
    kick: str | None = None
    """The id of an event that makes the timer run at once; None if there was none since its last run began."""
    kick_hops: int = 0


def of(db: Db, link: int) -> TimerRow | None:
    """The timer of a link."""
    row = db.one("timer", link=link)
    return None if row is None else _row(row)


def to_check(db: Db, now: Micros, count: int) -> list[TimerRow]:
    """Those to check now, the longest overdue first."""
    return [_row(row) for row in db.all("timers_at", now=now, count=count)]


def next_look(db: Db) -> Micros | None:
    """When to check next; None if there is nothing to check."""
    row = db.one("timer_next")
    return None if row is None else int(row[0])


def put(db: Db, row: TimerRow) -> None:
    """Store the timer of a link."""
    db.run("timer_put", **(msgspec.structs.asdict(row) | {"wall": int(row.wall)}))


def kick(db: Db, link: int, event: int, now: Micros) -> None:
    """An event, given by its number, makes the link run now or after the present run.

    Several before that become one run.
    """
    db.run("timer_kick", link=link, event=event, now=now)


def drop(db: Db, link: int) -> None:
    """The link has no timer."""
    db.run("timer_drop", link=link)


def move(db: Db, by: Micros) -> list[TimerRow]:
    """The clock was set: move those that count durations. Returns the others."""
    db.run("timers_move", by=by)
    return [_row(row) for row in db.all("timers_of_day")]


def is_running(db: Db, row: TimerRow) -> bool:
    """Whether the last run is still going: its delivery was not made or tried yet, or waits for another try."""
    if row.run is None:
        return False
    runs = db.all("timer_run", link=row.link, run=row.run)
    return any(number is None or state in (None, "waiting") or waits for number, state, waits in runs)


def _row(row: Row) -> TimerRow:
    link, due, look, last, run, wall, kick, hops = row
    return TimerRow(link=link, due=due, look=look, last=last, run=run, wall=bool(wall), kick=kick, kick_hops=hops)
