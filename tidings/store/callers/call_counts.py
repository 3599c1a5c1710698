"""How many calls a key made in a window of time, for limits that a restart should not reset.

If several nodes work at once, the calls that they have reserved are counted (rules/limits/reserves.py).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tidings.rules.limits.reserves import Ask, Got, Rest
from tidings.store.base import Db


class CallCount(msgspec.Struct, frozen=True):
    """Calls of one key in one window."""

    key: str
    seconds: int
    """How long the window is."""
    window_start: int
    """In seconds since the epoch."""
    calls: int


def read(db: Db) -> list[CallCount]:
    """Everything that is kept."""
    return [CallCount(*row) for row in db.all("call_counts")]


def put(db: Db, counts: Iterable[CallCount]) -> None:
    """Keep these instead of earlier ones with the same key and length."""
    db.many("call_count_put", [msgspec.structs.asdict(each) for each in counts])


def reserve(db: Db, ask: Ask) -> Got:
    """Reserve a chunk, in one statement, so that no lock is held while its result is on the way."""
    named = {"key": ask.owner, "seconds": ask.seconds, "start": ask.start}
    row = db.one("call_count_reserve", **named, limit=ask.limit, most=ask.most)
    while row is None:
        # There is no row yet, or retention has just removed that of an earlier window.
        db.run("call_count_begin", **named)
        row = db.one("call_count_reserve", **named, limit=ask.limit, most=ask.most)
    return Got(row[0], int(row[1]), int(row[2]))


def give_back(db: Db, rest: Rest) -> None:
    """Give back calls that were reserved but not needed."""
    db.run("call_count_give_back", key=rest.owner, seconds=rest.seconds, start=rest.start, calls=rest.calls)
