"""Values that links keep from responses, by subject, such as another system's id for a record. They outlive edits of
links.

Links through one connection share them, because they act on the same records; a link without one has its own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from tidings.model.moment import Micros
from tidings.rules.templates.numbers import encode, read
from tidings.store.base import Db


class KeptKey(NamedTuple):
    """Whose it is, and for which subject. `tenant`: empty for events without one."""

    space: str
    tenant: str
    subject: str


class KeptRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept for a subject. `values`: a JSON object."""

    tenant: str
    subject: str
    values: str
    updated: Micros


def space(name: str, via: str | None) -> str:
    """Whose memory a link uses: its connection's, or its own."""
    return f"link:{name}" if via is None else f"connection:{via}"


def of(db: Db, key: KeptKey) -> dict[str, Any]:
    """The values by their names."""
    row = db.one("kept", **key._asdict())
    return {} if row is None else read(row[0])


def merged(values: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """The values merged with later ones; null removes a name."""
    return {name: value for name, value in {**values, **later}.items() if value is not None}


def put(db: Db, key: KeptKey, values: dict[str, Any], now: Micros) -> None:
    """Store the values; if there are none, store nothing."""
    if values:
        db.run("kept_put", **key._asdict(), value=encode(values).decode(), updated=now)
    else:
        db.run("kept_drop", **key._asdict())


def row_of(db: Db, key: KeptKey) -> KeptRow | None:
    """The stored row of a subject."""
    row = db.one("kept", **key._asdict())
    return None if row is None else KeptRow(tenant=key.tenant, subject=key.subject, values=row[0], updated=row[1])


def forget(db: Db, space: str, subject: str | None) -> int:
    """Delete everything, or the values of one subject. Returns how many subjects that affected."""
    return db.run("kept_forget", space=space, subject=subject)


def rename(db: Db, before: str, after: str) -> None:
    """Rename a link. Only one without a connection has its own memory."""
    old, new = space(before, None), space(after, None)
    if db.one("kept_any", space=old) is not None:
        db.run("kept_forget", space=new, subject=None)
        db.run("kept_rename", before=old, after=new)
