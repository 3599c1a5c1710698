"""The states of a delivery and its moves between them, as one table. The documentation's picture is drawn from it.

A replay of failed deliveries moves only dead ones: a cancelled one was cancelled by a person. A replay of all events
moves none: it makes a new delivery for every event, so existing ones keep their history.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from tidings.model.delivery import State

Cause = Literal[
    "success",
    "failure",
    "hold",
    "split",
    "park",
    "exhausted",
    "given_up",
    "refused",
    "unsendable",
    "cancel",
    "delete",
    "replace",
    "edit",
    "recovery",
    "retry",
    "replay",
]


class Move(msgspec.Struct, frozen=True):
    """One permitted change of state: what causes it, and why."""

    source: State
    cause: Cause
    target: State
    reason: str


STATES: tuple[State, ...] = ("waiting", "delivered", "dead", "cancelled", "replaced")
UNDELIVERED: frozenset[State] = frozenset({"dead", "cancelled", "replaced"})
"""The states of deliveries that have ended without being delivered."""

MOVES: tuple[Move, ...] = (
    Move("waiting", "success", "delivered", "the endpoint answered with a 2xx status"),
    Move("waiting", "failure", "waiting", "an attempt failed and another is planned"),
    Move("waiting", "hold", "waiting", "the endpoint asked for a pause: the attempt is not counted"),
    Move(
        "waiting",
        "split",
        "waiting",
        ("its batch was refused: it is sent again in a batch of half the size, and the attempt is not counted"),
    ),
    Move(
        "waiting",
        "park",
        "waiting",
        ("it held up its line for too long: the deliveries behind it go ahead, and it is retried separately"),
    ),
    Move("waiting", "exhausted", "dead", "the last planned attempt failed"),
    Move("waiting", "given_up", "dead", "the status is in its endpoint's `give_up_on`"),
    Move("waiting", "refused", "dead", "its link could not make this edit or call, and retrying would not help"),
    Move("waiting", "unsendable", "dead", "the request cannot be built, and retrying would not help"),
    Move("waiting", "cancel", "cancelled", "somebody cancelled it"),
    Move("waiting", "delete", "cancelled", "its endpoint was deleted"),
    Move(
        "waiting",
        "replace",
        "replaced",
        "a newer event with the same subject is waiting, and the link acts only on the newest",
    ),
    Move(
        "waiting",
        "edit",
        "waiting",
        "the endpoint's settings were edited, so it is due at once, with a new schedule",
    ),
    Move(
        "waiting",
        "recovery",
        "waiting",
        "the endpoint recovered from an outage, so it is due at once, with a new schedule",
    ),
    Move("waiting", "retry", "waiting", "it was retried by hand, so it is due at once, with a new schedule"),
    Move("delivered", "retry", "waiting", "a retry was requested"),
    Move("dead", "retry", "waiting", "a retry was requested"),
    Move("dead", "replay", "waiting", "a replay of failed deliveries sends it again"),
    Move("cancelled", "retry", "waiting", "a retry was requested after all"),
    Move("replaced", "retry", "waiting", "a retry was requested after all"),
)

_AFTER: dict[State, dict[Cause, State]] = {
    source: {move.cause: move.target for move in MOVES if move.source == source} for source in STATES
}
_WAITING = _AFTER["waiting"]


def after(state: State, cause: Cause) -> State | None:
    """The state after something happened; None if that is not permitted in this state."""
    return _AFTER[state].get(cause)


def fate(cause: Cause) -> State:
    """The state of a waiting delivery after something happened that is permitted there. Raises KeyError otherwise."""
    return _WAITING[cause]


def state(last_attempt_state: State | None, has_waiting_row: bool, link_deleted: bool) -> State:
    """The state of a delivery, derived from the facts.

    `last_attempt_state` is the one its last attempt left behind, None before any.

    A row in `waiting` means that more will follow, whatever the last attempt's result was. Without one, an unfinished
    delivery still waits: it is after its endpoint's cursor. A deleted endpoint gets nothing more.
    """
    if has_waiting_row or last_attempt_state in (None, "waiting"):
        return "cancelled" if link_deleted else "waiting"
    return last_attempt_state


def as_mermaid() -> str:
    """The table as a Mermaid state diagram, for the documentation."""
    lines = [
        "stateDiagram-v2",
        "    [*] --> waiting: an event matched an endpoint, or a replay of all events sends the event once more",
    ]
    lines += [f"    {move.source} --> {move.target}: {move.cause} ({move.reason})" for move in MOVES]
    return "\n".join(lines) + "\n"
