"""Deliveries: one event on its way through one link, its attempts, and when it is due again."""

from __future__ import annotations

from typing import Literal

import msgspec

from tidings.model.moment import Micros

ANSWER_BYTES_KEPT = 16 * 1024

State = Literal["waiting", "delivered", "dead", "cancelled", "replaced"]


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try, a fact. `state` is the delivery's state after it."""

    delivery: int
    n: int
    at: Micros
    outcome: str
    state: State
    status: int | None = None
    duration_ms: int = 0
    request: str | None = None
    """The request's headers, as a JSON object."""
    response: str | None = None
    """The first 16 KiB of the response."""
    reason: str | None = None
    """The outcome in words."""
    ended_link: int | None = None
    """The number of the delivery's link, if this attempt ended the delivery without delivering it. So a link's dead
    deliveries are found quickly."""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery with its own due time: a retry, or one held behind another of its subject."""

    delivery: int
    link: int
    event: int
    due: Micros
    n: int
    """Attempts made so far."""
    earlier: int = 0
    """How many of the attempts belong to earlier rounds: before a retry by hand or a replay."""
    first: Micros
    """When this round began."""
    created: Micros
    """When the delivery was made."""
    subject: str | None = None
    held: bool = False
    """Whether it waits behind an earlier delivery of the same subject."""
