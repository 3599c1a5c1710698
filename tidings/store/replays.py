"""Replays in the store."""

from __future__ import annotations

import msgspec

from tidings.model.replay import Replay, ReplayState
from tidings.store.base import Db, Row

LAST_ID = "rpl_~"
"""Sorts after every id."""


def put(db: Db, replay: Replay) -> None:
    """Create it, or write how far it has come."""
    db.run("replay_put", **msgspec.structs.asdict(replay))


def read(db: Db, replay_id: str) -> Replay | None:
    """One replay."""
    row = db.one("replay_of", id=replay_id)
    return None if row is None else _replay(row)


def running(db: Db) -> list[str]:
    """The ids of those that have not ended, oldest first."""
    return [row[0] for row in db.all("replays_running")]


def page(
    db: Db, *, before: str | None, limit: int, tenant: str | None, state: ReplayState | None, link: int | None
) -> list[Replay]:
    """Replays newest first, with ids below `before`."""
    rows = db.all("replays_page", before=before or LAST_ID, count=limit, tenant=tenant, state=state, link=link or 0)
    return [_replay(row) for row in rows]


def _replay(row: Row) -> Replay:
    return Replay(**dict(zip(Replay.__struct_fields__, row, strict=True)))
