"""Replays: durable jobs that send a time range of events again, or act on deliveries that fit a filter."""

from __future__ import annotations

from typing import Literal

import msgspec

from tidings.model.delivery import State
from tidings.model.moment import Micros

Which = Literal["failed", "all"]
BulkAct = Literal["retry", "cancel"]
ReplayKind = Literal["failed", "all", "retry", "cancel"]
"""What a replay sends, or what a bulk job does. There is one type for both, because generated clients need that."""
ReplayState = Literal["running", "done", "cancelled"]


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """One replay. `position` is the number of the last event or delivery that was checked; all counts are numbers of
    deliveries.

    With a `filter` it is a bulk job: it retries or cancels the deliveries that match, whatever their link (`link` 0).
    """

    id: str
    tenant: str | None
    link: int
    which: ReplayKind
    since: Micros
    until: Micros
    state: ReplayState = "running"
    position: int = 0
    finish: int = 0
    total: int = 0
    sent: int = 0
    looked_at: int = 0
    created: Micros = 0
    updated: Micros = 0
    filter: str | None = None
    """A `DeliveryFilter` as JSON."""


class DeliveryFilter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which deliveries a bulk job acts on. `links`: only theirs; None for all."""

    links: tuple[int, ...] | None = None
    state: State | None = None
    type: str | None = None
    outcome: str | None = None
    status: str | None = None
