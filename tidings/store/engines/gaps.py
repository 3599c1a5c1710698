"""What a start does if its database went back in time: a backup was restored, or PostgreSQL was reset to an earlier
moment.

Readers and receivers then know of events that the database does not know. Ids carry time and chance, so they do not
repeat. But a cursor of the feed is a number, and numbers would be given out again, to other events: a reader that
continues from its cursor would miss those. So the counter jumps over every number that may have been used, and cursors
in this *gap* are refused (docs/decisions/0071).

Three things show that a database went back: each server's note in its data folder of how far the database had come;
the fact that `tidings restore` leaves in the restored database; and PostgreSQL's own timeline.
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from tidings.model import moment
from tidings.model.moment import MINUTE, SECOND, Micros
from tidings.store import journal
from tidings.store.base import Db
from tidings.store.journal import GAPS, Gap, gaps

REACHED = "reached"
"""The name of the line in the folder's lock file that notes how far the database had come."""
RESTORED, TIMELINE = "restored", "timeline"
"""Names of stored values: that the store is a restored backup; PostgreSQL's timeline when it was last opened."""
EVENTS_PER_SECOND_MAX = 20_000
MARGIN = 1 << 20
"""How many numbers, at most, may have been used since the note was written, which is at most a second old."""
ROOM_PART = 4
"""A jump uses at most one part in this many of the numbers that are left."""
FAILOVER_SECONDS = 120
"""If the timeline changed within this time after the last use, it was probably a failover, which loses nothing."""

log = logging.getLogger("tidings.store")


class HowFar(msgspec.Struct, frozen=True):
    """The last event that a server knows to be stored, and when it was."""

    event: int
    at: Micros


class Restored(msgspec.Struct, frozen=True):
    """A note that a backup was restored, and the moment that it shows."""

    at: Micros
    of: Micros


def gap_after_restore(
    db: Db, folder: HowFar | None, seen: Micros | None, now: Micros, timeline: str | None = None
) -> Gap | None:
    """At a start, as a write job: jump over numbers that may have been used, and report it. None if nothing went back.

    `folder`: the note in the data folder. `seen`: when the store was last in use, according to itself.
    """
    head, last = journal.position(db, "event"), _last_time(db, seen)
    restored = _fact(db, RESTORED, Restored)
    before = db.one("store_fact", name=TIMELINE)
    if timeline is not None:
        db.run("store_fact_put", name=TIMELINE, value=timeline)
    moved = timeline is not None and before is not None and before[0] != timeline
    if folder is not None and folder.event > head:
        until = folder.event + MARGIN
        log.warning(
            "this database %s, but this server had stored %d more %s, until %s: an older copy was put in its place. %s",
            f"ends at {_moment(last)}" if last else "has no events",
            folder.event - head,
            "event" if folder.event - head == 1 else "events",
            _moment(folder.at),
            MISSING,
        )
    elif restored is not None:
        until = head + _most_since(restored.of, restored.at)
        log.warning(
            "this database was restored at %s from a backup of %s: what was stored after the backup is missing. %s",
            _moment(restored.at),
            _moment(restored.of) if restored.of else "an empty store",
            MISSING,
        )
    elif moved:
        until = head + _most_since(last, now)
        if now - last > FAILOVER_SECONDS * SECOND:
            log.warning(
                "PostgreSQL was restored or promoted since this database was last in use%s; what was stored after "
                "that is missing. %s",
                f", at {_moment(last)}" if last else "",
                MISSING,
            )
    else:
        return None
    if restored is not None:
        db.run("store_fact_put", name=RESTORED, value="null")
    return _jump(db, head, until)


MISSING = (
    "Deliveries made since then are made again, with the same webhook-id. Cursors of the feed from that time are "
    "refused: readers continue from start or end. Publish again what is missing, with the same ids"
)


def mark_restored(db: Db, at: Micros, seen_fact: str) -> None:
    """Leave a note in a restored database, for its first start.

    `seen_fact`: the fact that says when it was last in use.
    """
    row = db.one("store_fact", name=seen_fact)
    of = _last_time(db, None if row is None else int(row[0]))
    db.run("store_fact_put", name=RESTORED, value=_encode(Restored(at, of)))


def reached(note: Any) -> HowFar | None:
    """A data folder's note of how far the database had come; None if it has none."""
    try:
        return msgspec.convert(note, HowFar)
    except msgspec.ValidationError:
        return None


def _jump(db: Db, head: int, until: int) -> Gap:
    """Move the counter, and with it the stages that had reached its end."""
    if db.shares:
        # Other nodes may have moved it in the meantime; from now on they wait.
        row = db.one("cursor_lock", name="event", journal=db.journal)
        assert row is not None
        head, until = int(row[0]), until + int(row[0]) - head
    end = ((head >> journal.COUNTER_BITS) + 1) << journal.COUNTER_BITS
    until = min(until, head + (end - head) // ROOM_PART)
    gap = Gap(head, until)
    if not db.shares and journal.position(db, "route") == head:
        journal.move(db, "route", until)
    journal.move(db, "event", until)
    db.run("store_fact_put", name=GAPS, value=_encode([*gaps(db), gap]))
    return gap


def _most_since(since: Micros, until: Micros) -> int:
    """How many events may have been stored in this time."""
    return EVENTS_PER_SECOND_MAX * max(0, (until - since + MINUTE) // SECOND) + MARGIN


def _last_time(db: Db, seen: Micros | None) -> Micros:
    row = db.one("event_last_stored")
    return max(seen or 0, 0 if row is None else int(row[0]))


def _fact(db: Db, name: str, kind: Any) -> Any:
    row = db.one("store_fact", name=name)
    return None if row is None or row[0] == "null" else msgspec.json.decode(row[0], type=kind)


def _encode(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _moment(at: Micros) -> str:
    return f"{moment.to_text(at)[:19]}Z"
