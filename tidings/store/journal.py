"""A journal: a run of event and delivery numbers that one node appends to, with its counters and its cursors.

A number names a fact and orders it among those of its journal: within one journal numbers become visible in order,
because taking some locks the counter's row until the transaction ends. Joined nodes share one journal. Between journals
numbers say nothing.
Of a number's 62 bits the lowest COUNTER_BITS count, and the next JOURNAL_BITS name the journal; those above are kept
for the day and the part of the links (docs/decisions/0026). A connection belongs to a node, so it knows its `journal`.
"""

from __future__ import annotations

import msgspec

from tidings.store.base import Db, Engine, Positions

COUNTER_BITS, JOURNAL_BITS = 34, 8
JOURNALS_MAX = 1 << JOURNAL_BITS
MOVED_HERE = frozenset({"event", "delivery", "route", "deliver", "tallied", "tally"})
"""The positions that only `take` and `move` change, so that the writer of a node that works alone has to read them
only once."""
MOVED_BY_SENDER = MOVED_HERE - {"event"}
"""Those of them that only the sender changes if nodes are joined. All nodes number events (store/log/numbering.py)."""
GAPS = "gaps"
"""The name of the stored value that lists the gaps."""
GAP_LEAST = 1 << 18
"""The minimum size of a gap (docs/decisions/0071). For a smaller range of numbers, the gaps need not be read."""


class Gap(msgspec.Struct, frozen=True):
    """Numbers of events that were jumped over after a restore: those after `after`, up to and with `until`."""

    after: int
    until: int


def of(number: int) -> int:
    """The journal that a number belongs to."""
    return number >> COUNTER_BITS & (JOURNALS_MAX - 1)


def end(journal: int) -> int:
    """The highest number that a journal can have."""
    return (journal + 1 << COUNTER_BITS) - 1


def known_to(engine: Engine) -> Positions:
    """The positions that a node's writer knows without asking."""
    if not engine.joined:
        return Positions(MOVED_HERE)
    return Positions(MOVED_BY_SENDER if engine.sends else frozenset(), keeps=True)


def begin(db: Db) -> None:
    """Create the counters and cursors of the connection's journal if they are missing. Raises ValueError."""
    if not 0 <= db.journal < JOURNALS_MAX:
        raise ValueError(f"A journal is a number from 0 to {JOURNALS_MAX - 1}, not {db.journal}.")
    db.begin()
    db.run("journal_begin", journal=db.journal, position=db.journal << COUNTER_BITS)
    if db.shares:
        db.run("journal_join", journal=db.journal)
    db.commit()


def take(db: Db, counter: str, count: int) -> int:
    """Take `count` numbers of a counter (`event`, `delivery`) of the node's own journal; returns the first of them."""
    if (positions := db.positions) is not None and counter in positions.own:
        at = position(db, counter)
        positions.move(counter, at + count)
        return at + 1
    row = db.one("numbers_take", name=counter, journal=db.journal, count=count)
    assert row is not None
    return int(row[0]) - count + 1


def position(db: Db, name: str) -> int:
    """Where a counter or a cursor of the node's own journal is."""
    if (positions := db.positions) is not None and (known := positions.known.get(name)) is not None:
        return known
    row = db.one("cursor_read", name=name, journal=db.journal)
    found = 0 if row is None else int(row[0])
    if positions is not None and name in positions.own:
        positions.known[name] = found
    return found


def positions(db: Db) -> dict[str, int]:
    """Where the counters and the stages of the node's own journal are: event, route, delivery and deliver."""
    return {row[0]: int(row[1]) for row in db.all("cursors", journal=db.journal)}


def move(db: Db, cursor: str, to: int) -> None:
    """Set a cursor of the node's own journal."""
    if (positions := db.positions) is not None and cursor in positions.own:
        positions.move(cursor, to)
    else:
        db.run_later("cursor_move", name=cursor, journal=db.journal, position=to)


def store(db: Db) -> None:
    """Store what has moved in this transaction: before anything reads it there, and before the commit."""
    positions = db.positions
    if positions is None or not positions.moved:
        return
    moved, positions.moved = positions.moved, {}
    if db.dialect == "sqlite":
        db.many("cursor_move", [{"name": name, "journal": db.journal, "position": at} for name, at in moved.items()])
    else:
        names, at = ",".join(moved), ",".join(map(str, moved.values()))
        db.run_later("cursors_move", names=f"{{{names}}}", positions=f"{{{at}}}", journal=db.journal)


def gaps(db: Db) -> list[Gap]:
    """All gaps, oldest first."""
    row = db.one("store_fact", name=GAPS)
    return [] if row is None or row[0] == "null" else msgspec.json.decode(row[0], type=list[Gap])


def events_between(db: Db, after: int, until: int) -> int:
    """How many numbers of events are after `after`, up to `until`, without those in gaps."""
    count = until - after
    if count < GAP_LEAST:
        return count
    return count - sum(max(0, min(until, gap.until) - max(after, gap.after)) for gap in gaps(db))
