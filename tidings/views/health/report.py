"""The shapes of a report on health."""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal["ok", "attention", "trouble"]
What = Literal["store", "stage", "disk", "network", "endpoint", "link", "timer", "dead", "hook"]
JobKind = Literal["replay", "retry", "cancel", "declaration", "indexes", "imports"]


class HealthProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Something that needs attention: what, for whom, since when, why, and what to do."""

    what: What
    state: State
    sentence: str
    reason: str | None = None
    advice: str
    since: str | None = None
    age_seconds: int | None = None
    endpoint_id: str | None = None
    link: str | None = None
    hook_id: str | None = None
    tenant: str | None = None
    waiting: int | None = None
    waiting_is_more: bool = False
    expected_end: str | None = None
    """When all waiting deliveries will have been sent, at the speed of the last minutes."""


class OldestWaiting(msgspec.Struct, frozen=True, kw_only=True):
    """The oldest delivery that waits, of those to enabled endpoints and through enabled links."""

    delivery_id: str
    since: str
    age_seconds: int
    endpoint_id: str | None
    link: str | None
    tenant: str | None


class ModeCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many there are, by state. `failing`: of the enabled ones."""

    enabled: int
    paused: int
    disabled: int
    failing: int


class RefusedRequests(msgspec.Struct, frozen=True, kw_only=True):
    """What a hook or form refused in the last hour, with the newest receipt as an example."""

    hook_id: str | None
    form_id: str | None
    count: int
    is_more: bool
    example: str
    reason: str | None


class StoreHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the store accepts writes, and if not, why. `free_bytes`: on the disk of the data folder."""

    accepts_writes: bool
    refusal: str | None
    free_bytes: int | None


class StageHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How far the stages are behind: events that are not routed yet, and deliveries that the deliver stage has not
    reached yet.
    """

    deliver_alive: bool
    unrouted_events: int
    unrouted_since: str | None
    unseen_deliveries: int


class JobUnderWay(msgspec.Struct, frozen=True, kw_only=True):
    """A long job under way. `id`: of a replay, or of a bulk retry or cancellation; `done`, `total`, `expected_end`: as
    far as they are known.
    """

    what: JobKind
    id: str | None = None
    endpoint_id: str | None = None
    link: str | None = None
    since: str | None = None
    done: int | None = None
    total: int | None = None
    expected_end: str | None = None


class RecentRates(msgspec.Struct, frozen=True, kw_only=True):
    """What happened since a few minutes ago: events accepted, attempts that succeeded and that failed, each second."""

    since: str
    accepted: float
    delivered: float
    failed: float
    success_rate: float | None


class HealthReport(msgspec.Struct, frozen=True, kw_only=True):
    """The state of everything, in one sentence and in detail. `problems`: the worst first.

    `problems_total`: how many problems there are, as far as they are known; `dead_last_hour`: the number of deliveries
    that became dead in the last hour.
    """

    state: State
    sentence: str
    time: str
    rates: RecentRates | None
    oldest_waiting: OldestWaiting | None
    problems: list[HealthProblem]
    problems_total: int
    dead_last_hour: int
    dead_is_more: bool
    endpoints: ModeCounts
    links: ModeCounts
    refused: list[RefusedRequests]
    store: StoreHealth
    stages: StageHealth | None
    jobs: list[JobUnderWay]
