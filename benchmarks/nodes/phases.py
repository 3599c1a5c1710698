"""What a node does when it is frozen: where in its statements to stop it, and what makes it get there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.mark import batch_template
from benchmarks.nodes.way import Message, Place

ITEMS = "benched"
"""The collection whose items are edited."""
OTHERS = "bench.other"
"""Events that no link wants."""
BATCH, PADDING = 500, 3_000
"""Of events so large that together they are copied."""

Request = tuple[str, str, bytes]


@dataclass(frozen=True)
class Phase:
    """One of those in which a node is frozen."""

    name: str
    place: Place | None = None
    """Where in what it sends to the database; None: it is looked at from outside."""
    request: Callable[[int, int], Request] | None = None
    """What makes it get there, with the number of the run and of the fault; None: the load does."""
    at_any_node: bool = False
    """Whether a node that takes in gets there as well as the sender."""
    is_slow: bool = False
    """Whether a receiver answers late, so that requests are always under way."""
    edits: float = 0.0
    """How often each node edits the item that the frozen one has locked, in a second."""


def _between(message: Message) -> int | None:
    """Before the next statement of a transaction that was begun."""
    is_writer = message.is_inside and message.done[:1] == [b"BEGIN"]
    return 0 if is_writer and message.kind in (b"P", b"B", b"Q") else None


def _copying(message: Message) -> int | None:
    return len(message.whole) // 2 if message.kind == b"d" and b"copied_event" in message.text else None


def _holding(message: Message) -> int | None:
    """After it has locked an item, and before its next statement."""
    locked = any(b"c_" + ITEMS.encode() in each and b"FOR NO KEY UPDATE" in each for each in message.done)
    return 0 if locked and message.kind in (b"P", b"B", b"Q") else None


def _settling(message: Message) -> int | None:
    """In the middle of the attempts, or when they are stored and the COMMIT is still to come."""
    if not message.text.startswith(b"INSERT INTO attempt"):
        return None
    if message.kind == b"B" and len(message.whole) % 2:
        return len(message.whole) // 2
    return len(message.whole) if message.kind == b"E" else None


def _batch(run: int, _: int) -> Request:
    body = json.loads(batch_template(OTHERS, run, BATCH) % ((0, 0) * BATCH))
    for event in body["events"]:
        event["data"]["padding"] = "." * PADDING
    return "POST", "/v1/events:batch", json.dumps(body).encode()


def _edit(item: str) -> Callable[[int, int], Request]:
    return lambda _, fault: ("PATCH", f"/v1/items/{ITEMS}/{item}", b'{"number":%d}' % (10**9 + fault))


PHASES = {
    phase.name: phase
    for phase in (
        Phase("at rest"),
        Phase("between statements", _between, _edit("two"), at_any_node=True),
        Phase("in COPY", _copying, _batch, at_any_node=True),
        Phase("in HTTP", is_slow=True),
        Phase("holding an item's row", _holding, _edit("one"), at_any_node=True, edits=2.0),
        Phase("in settlement", _settling),
    )
}
