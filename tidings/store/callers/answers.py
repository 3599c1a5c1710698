"""Answers kept for Idempotency-Key, in the transaction of the change itself."""

from __future__ import annotations

import msgspec

from tidings.model.moment import DAY, Micros
from tidings.store.base import Db

KEPT: Micros = DAY


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A response as it was sent. `fingerprint` identifies the request that it belongs to."""

    fingerprint: str
    status: int
    headers: list[tuple[str, str]]
    body: str


def find(db: Db, key: str, idempotency_key: str, now: Micros) -> Kept | None:
    """The response sent for this key within the last 24 hours."""
    row = db.one("answer_find", key=key, idempotency_key=idempotency_key, since=now - KEPT)
    if row is None:
        return None
    headers = msgspec.json.decode(row[2], type=list[tuple[str, str]])
    return Kept(fingerprint=row[0], status=row[1], headers=headers, body=row[3])


def claim(db: Db, key: str, idempotency_key: str, fingerprint: str, now: Micros) -> Kept | None:
    """The response sent earlier for this key. None if the caller is the first, which then has to `keep` one or
    `release`.

    If other nodes write to the database, this waits for another transaction that has claimed the same key.
    """
    named = {"key": key, "idempotency_key": idempotency_key}
    while not db.run("answer_claim", **named, fingerprint=fingerprint, created=now, since=now - KEPT):
        if (before := find(db, key, idempotency_key, now)) is not None:
            return before
        # It has been released or dropped as too old since then.
    return None


def release(db: Db, key: str, idempotency_key: str) -> None:
    """Release a claim: the request was refused."""
    db.run_later("answer_drop", key=key, idempotency_key=idempotency_key)


def keep(db: Db, key: str, idempotency_key: str, kept: Kept, now: Micros) -> None:
    """Keep the response to a claimed request, and drop old ones."""
    db.run_later("answers_prune", before=now - KEPT)
    db.run_later(
        "answer_put",
        key=key,
        idempotency_key=idempotency_key,
        status=kept.status,
        headers=msgspec.json.encode(kept.headers).decode(),
        body=kept.body,
    )
