"""Replays in the store."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.model.replay import Replay, ReplayState
from tidings.store.base import Db, Row

LAST_ID = "rpl_z"
"""A text that sorts after every id, even with the collation of a language in PostgreSQL."""
COUNTED_MAX = 100_000


def put(db: Db, replay: Replay) -> None:
    """Create a replay, or store its progress."""
    db.run("replay_put", **msgspec.structs.asdict(replay))


def read(db: Db, replay_id: str) -> Replay | None:
    """One replay."""
    row = db.one("replay_of", id=replay_id)
    return None if row is None else _replay(row)


def running(db: Db) -> list[tuple[str, bool]]:
    """The ids of replays that have not ended, oldest first, and whether each is a bulk job."""
    return [(row[0], row[1] is not None) for row in db.all("replays_running")]


def under_way(db: Db, newest: int, most: int) -> list[Replay]:
    """The replays among the `newest` that have not ended, at most `most`, oldest first."""
    return [_replay(row) for row in db.all("replays_under_way", newest=newest, count=most)]


class ReplayQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which replays: every given field narrows."""

    tenant: str | None = None
    state: ReplayState | None = None
    link: int | None = None
    hidden: frozenset[int] = frozenset()
    """The numbers of links whose replays are left out."""


def page(db: Db, query: ReplayQuery, past: str | None, limit: int, *, oldest_first: bool = False) -> list[Replay]:
    """Replays by id, and so by when they were made: newest first, with ids below `past`, or the other way round."""
    if oldest_first:
        rows = db.all("replays_page_up", after=past or "", count=limit, **_params(query))
    else:
        rows = db.all("replays_page", before=past or LAST_ID, count=limit, **_params(query))
    return [_replay(row) for row in rows]


def count(db: Db, query: ReplayQuery) -> int | None:
    """How many there are; None if too many to count."""
    row = db.one("replays_count", most=COUNTED_MAX + 1, **_params(query))
    total = 0 if row is None else int(row[0])
    return total if total <= COUNTED_MAX else None


def _params(query: ReplayQuery) -> dict[str, Any]:
    return {"tenant": query.tenant, "state": query.state, "link": query.link or 0, "hidden": _listed(query.hidden)}


def _listed(links: frozenset[int]) -> str:
    """Values as text between commas, which both engines can search."""
    return f",{','.join(map(str, sorted(links)))},"


def _replay(row: Row) -> Replay:
    return Replay(**dict(zip(Replay.__struct_fields__, row, strict=True)))
