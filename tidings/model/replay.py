"""Replays: durable jobs that send a time range of events to an endpoint again."""

from __future__ import annotations

from typing import Literal

import msgspec

from tidings.model.moment import Micros

Which = Literal["failed", "all"]
ReplayState = Literal["running", "done", "cancelled"]


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """One replay. `position` is the number of the last fact looked at; all counts are numbers of deliveries."""

    id: str
    tenant: str | None
    link: int
    which: Which
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
