"""How far each poll has read, by the name of its link, so that it outlives edits of the link."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.model.moment import Micros
from tidings.rules.templates.numbers import read
from tidings.store.base import Db


class PollRow(msgspec.Struct, frozen=True, kw_only=True):
    """How far a poll has read."""

    link: str
    cursor: Any = None
    """The cursor of the last read; None if the link has never read anything."""
    filled: bool = False
    """Whether at least one run has read everything."""
    swept: Micros | None = None
    """When the last completed full read began."""
    run: str | None = None
    """The attempt that read last, and the number of pages that it has read."""
    page: int = 0


def of(db: Db, link: str) -> PollRow:
    """How far a poll has read."""
    row = db.one("poll", link=link)
    if row is None:
        return PollRow(link=link)
    cursor, filled, swept, run, page = row
    value = None if cursor is None else read(cursor)
    return PollRow(link=link, cursor=value, filled=bool(filled), swept=swept, run=run, page=page)


def put(db: Db, row: PollRow) -> None:
    """Store how far a poll has read."""
    cursor = None if row.cursor is None else msgspec.json.encode(row.cursor).decode()
    fields = msgspec.structs.asdict(row) | {"cursor": cursor, "filled": int(row.filled)}
    db.run("poll_put", **fields)


def move(db: Db, by: Micros) -> None:
    """The clock was set: full reads stay due when they were."""
    db.run("polls_move", by=by)


def forget(db: Db, link: str) -> bool:
    """The poll begins again. Returns whether it had read anything."""
    return db.run("poll_drop", link=link) > 0


def rename(db: Db, before: str, after: str) -> None:
    """Rename the link. What a deleted link of that name had read is dropped."""
    if db.one("poll", link=before) is not None:
        db.run("poll_drop", link=after)
        db.run("poll_rename", before=before, after=after)
