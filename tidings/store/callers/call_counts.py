"""How many calls a key made in a window of time, kept where a restart should not reset that."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

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
    """Keep these instead of earlier ones of their key and length."""
    db.many("call_count_put", [msgspec.structs.asdict(each) for each in counts])
