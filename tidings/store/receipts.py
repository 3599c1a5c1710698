"""Receipts: requests to hooks, byte for byte, and their results."""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

import msgspec

from tidings.model.hook import Receipt, State
from tidings.model.ids import lowest_id
from tidings.model.moment import Micros
from tidings.store.base import Db, Row
from tidings.store.seal import Sealer

FIRST, LAST = "", "rcp_" + "z" * 26
"""Below and above every id."""

COUNTED_MAX = 100_000
SEALED = "sealed:"
"""The prefix of encrypted headers. Headers without it are a JSON array."""

_HEAD = msgspec.json.Decoder(tuple[str, tuple[tuple[str, str], ...]])
_HEADERS = msgspec.json.Decoder(tuple[tuple[str, str], ...])


class ReceiptRow(NamedTuple):
    """A receipt in a list: without headers and body."""

    id: str
    hook: str
    tenant: str | None
    state: State
    received: Micros
    client: str
    method: str
    target: str
    size: int
    """Bytes of its body."""
    event: str | None
    reason: str | None
    detail: str | None


class ReceiptQuery(NamedTuple):
    """Which receipts a list shows. None means any."""

    tenant: str | None = None
    hook: str | None = None
    refused: bool = False
    after: str = FIRST
    before: str = LAST
    oldest_first: bool = False


class ReceiptHeads:
    """Converts the heads of requests to rows and back. Those that contain a credential are sealed."""

    def __init__(self, sealer: Sealer) -> None:
        # They have a separate key, because there are far more of them than secrets.
        self._sealer = Sealer(sealer.derived("receipts"))

    def fields(self, receipt: Receipt, key: str | None = None, *, sealed: bool) -> dict[str, Any]:
        """The parameters of `put`. `key` identifies the delivery; `sealed`: the sender sends the secret itself."""
        fields = msgspec.structs.asdict(receipt)
        fields["key"] = key
        del fields["sealed"]
        fields["headers"] = msgspec.json.encode(receipt.headers).decode()
        if sealed:
            head = msgspec.json.encode((receipt.target, receipt.headers))
            fields["headers"] = SEALED + base64.b64encode(self._sealer.seal(head, receipt.id)).decode()
            fields["target"] = receipt.target.partition("?")[0]
        return fields

    def find(self, db: Db, ident: str) -> Receipt | None:
        """One receipt, whole."""
        row = db.one("receipt_of", id=ident)
        if row is None:
            return None
        fields = dict(zip(_COLUMNS, row, strict=True))
        head = fields["headers"]
        if head.startswith(SEALED):
            opened = self._sealer.open(base64.b64decode(head[len(SEALED) :]), ident)
            fields["target"], fields["headers"] = _HEAD.decode(opened)
            fields["sealed"] = True
        else:
            fields["headers"] = _HEADERS.decode(head)
        fields["body"] = bytes(fields["body"])
        return Receipt(**fields)


def put(db: Db, fields: dict[str, Any]) -> bool:
    """Keep a request; False if its delivery, identified by its key, was already received."""
    return db.run("receipt_put", **fields) == 1


def accept(db: Db, receipt: Receipt, key: str | None, event: str) -> bool:
    """Let a refused request in; False if that was done before, or if its delivery has arrived in another way."""
    return db.run("receipt_accept", id=receipt.id, key=key, event=event) == 1


_COLUMNS = (
    "id",
    "hook",
    "tenant",
    "state",
    "received",
    "client",
    "method",
    "target",
    "headers",
    "body",
    "event",
    "reason",
    "detail",
)


def page(db: Db, query: ReceiptQuery, limit: int) -> list[ReceiptRow]:
    """A page of receipts, by time."""
    statements = ("refusals_page", "refusals_page_up") if query.refused else ("receipts_page", "receipts_page_up")
    rows: list[Row] = db.all(
        statements[query.oldest_first],
        tenant=query.tenant,
        hook=query.hook,
        after=query.after,
        before=query.before,
        count=limit,
    )
    return [ReceiptRow(*row) for row in rows]


def count(db: Db, query: ReceiptQuery) -> int | None:
    """How many receipts a list has on all pages; None if there are too many to count."""
    statement = "refusals_count" if query.refused else "receipts_count"
    row = db.one(statement, tenant=query.tenant, hook=query.hook, most=COUNTED_MAX + 1)
    total = 0 if row is None else int(row[0])
    return total if total <= COUNTED_MAX else None


def trim(db: Db, hook: str, most: int, size: int) -> int:
    """Keep at most `most` of a hook's refused requests, with bodies of `size` bytes in all; returns how many were
    dropped.

    Each address keeps its newest ones first, so that many from one address do not drive out the few of another.
    """
    return db.run("refusals_trim", hook=hook, count=most, size=size)


def prune(db: Db, before: Micros, most: int, *, refused: bool = False) -> int:
    """Drop some receipts from before a time, of either accepted or refused requests; returns how many were dropped."""
    return db.run("refusals_prune" if refused else "receipts_prune", before=lowest_id("rcp", before), count=most)
