"""Answers kept for Idempotency-Key, in the transaction of the change itself."""

from __future__ import annotations

import msgspec

from tidings.model.moment import DAY, Micros
from tidings.store.base import Db

KEPT: Micros = DAY


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as it was given. `fingerprint` names the request that it answers."""

    fingerprint: str
    status: int
    headers: list[tuple[str, str]]
    body: str


def find(db: Db, key: str, idempotency_key: str, now: Micros) -> Kept | None:
    """The answer given under this key within the last 24 hours."""
    row = db.one("answer_find", key=key, idempotency_key=idempotency_key, since=now - KEPT)
    if row is None:
        return None
    headers = msgspec.json.decode(row[2], type=list[tuple[str, str]])
    return Kept(fingerprint=row[0], status=row[1], headers=headers, body=row[3])


def keep(db: Db, key: str, idempotency_key: str, kept: Kept, now: Micros) -> None:
    """Keep an answer, and drop old ones."""
    db.run("answers_prune", before=now - KEPT)
    db.run(
        "answer_put",
        key=key,
        idempotency_key=idempotency_key,
        fingerprint=kept.fingerprint,
        status=kept.status,
        headers=msgspec.json.encode(kept.headers).decode(),
        body=kept.body,
        created=now,
    )
