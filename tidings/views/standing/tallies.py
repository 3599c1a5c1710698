"""Tallies as callers see them: a series for a chart, with its totals and reasons; and how each link is doing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from tidings.control.delivery_ids import DeliveryIds
from tidings.control.standing.tallies import LinkStanding, Step, TallySeries
from tidings.deliver.lane.view import LaneView
from tidings.model import moment
from tidings.model.link import AnyLink
from tidings.model.moment import SECOND, Micros
from tidings.rules.deliver import tally
from tidings.store.catalog import Snapshot
from tidings.store.log.standing import Backlog
from tidings.store.log.tallies import ReasonRow
from tidings.views.health.links import last_failure, of
from tidings.views.health.reasons import LINKS_SHOWN, FailingLink
from tidings.views.times import time_text

REASONS_MAX = 20


class TallyPoint(msgspec.Struct, frozen=True, kw_only=True):
    """The attempts of one minute or hour, which begins at `time`.

    `accepted`: the number of accepted events, in a series of all links. The other numbers are those of attempts, by
    result: `delivered`; `rejected`, if there was a response, but not a success; `timeout`; `unreachable`, if DNS, the
    connection or TLS failed; `failed`, for every other failure; `skipped`, if nothing was tried, as with a cancelled
    delivery. `buckets`: the number of attempts by duration, each counted once: in order, those that took at most each
    of the report's `bounds_ms`, and those that took longer.
    """

    time: str
    accepted: int | None
    delivered: int
    rejected: int
    timeout: int
    unreachable: int
    failed: int
    skipped: int
    ms_sum: int
    buckets: list[int]


class TallyTotal(msgspec.Struct, frozen=True, kw_only=True):
    """The totals of a series. Null means that there were no attempts."""

    accepted: int | None
    attempts: int
    delivered: int
    rejected: int
    timeout: int
    unreachable: int
    failed: int
    skipped: int
    success_rate: float | None
    """From 0 to 1."""
    mean_ms: int | None
    p50_ms: int | None
    p95_ms: int | None


class TallyReason(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts that failed for one reason. In `reason`, `#` stands for numbers and `*` for ids.

    `example`: the delivery that failed last. `links`: the ten with the most, of `links_total`.
    """

    outcome: str
    status: int | None
    reason: str | None
    count: int
    first: str
    last: str
    example: str
    links: list[FailingLink]
    links_total: int


class TallyReport(msgspec.Struct, frozen=True, kw_only=True):
    """The results of attempts from `since` until `until`. Steps in which nothing happened are left out.

    `reasons`: the most frequent first, at most 20, of whole hours.
    """

    step: Step
    since: str
    until: str
    bounds_ms: list[int]
    points: list[TallyPoint]
    total: TallyTotal
    reasons: list[TallyReason]
    reasons_are_complete: bool


class TallyHour(msgspec.Struct, frozen=True, kw_only=True):
    """One hour of a link: what was delivered, and what failed in whatever way."""

    time: str
    delivered: int
    failed: int


class LinkTally(msgspec.Struct, frozen=True, kw_only=True):
    """How an endpoint or an operator's link is doing: its last 24 hours, and what waits for it now.

    `waiting` is counted up to 1,000.
    """

    endpoint_id: str | None
    link: str | None
    tenant: str | None
    mode: str
    created: str
    failing_since: str | None
    total: TallyTotal
    hours: list[TallyHour]
    waiting: int
    waiting_is_more: bool
    oldest_waiting_since: str | None
    oldest_waiting_seconds: int | None
    last_failure: str | None
    """The reason why the last failed attempt failed, with the response if it is short."""
    next_attempt: str | None
    """When the next attempt may be made; null if it may be made now, if nothing waits, or if nothing is sent."""


def tally_report(series: TallySeries, step: Step, snapshot: Snapshot, ids: DeliveryIds) -> TallyReport:
    """A series as callers see it."""
    groups = _grouped(series.reasons)
    return TallyReport(
        step=step,
        since=moment.to_text(series.since),
        until=moment.to_text(series.until),
        bounds_ms=list(tally.BOUNDS_MS),
        points=[_point(row.at, row.tally, whole=series.whole) for row in series.rows],
        total=_total(tally.added(row.tally for row in series.rows), whole=series.whole),
        reasons=[_reason(key, rows, snapshot, ids) for key, rows in groups[:REASONS_MAX]],
        reasons_are_complete=series.reasons_are_complete and len(groups) <= REASONS_MAX,
    )


def link_tally(standing: LinkStanding, lanes: Mapping[int, LaneView], now: Micros) -> LinkTally:
    """How a link is doing."""
    link, backlog, lane = standing.link, standing.backlog, lanes.get(standing.link.num)
    oldest, failure = backlog.oldest, backlog.failure
    return LinkTally(
        **of(link),
        mode=link.mode,
        created=moment.to_text(link.created),
        failing_since=None if lane is None else time_text(lane.failing_since),
        total=_total(tally.added(row.tally for row in standing.hours), whole=False),
        hours=[_hour(row.at, row.tally) for row in standing.hours],
        waiting=backlog.count,
        waiting_is_more=backlog.is_more,
        oldest_waiting_since=None if oldest is None else moment.to_text(oldest.created),
        oldest_waiting_seconds=None if oldest is None else max(0, now - oldest.created) // SECOND,
        next_attempt=time_text(_next_attempt(link, lane, backlog)),
        last_failure=last_failure(lane, None if failure is None else failure[2]),
    )


def _next_attempt(link: AnyLink, lane: LaneView | None, backlog: Backlog) -> Micros | None:
    """When something may be sent to it next; None if now, or never."""
    if lane is None or not backlog.count or link.mode != "enabled":
        return None
    return max((lane.probe_at if lane.open else lane.next_due) or 0, lane.held_until or 0) or None


def _classes(counts: Sequence[int]) -> dict[str, Any]:
    return {name: counts[tally.COLUMNS.index(name)] for name in tally.CLASSES}


def _point(at: Micros, counts: Sequence[int], *, whole: bool) -> TallyPoint:
    return TallyPoint(
        time=moment.to_text(at),
        accepted=counts[0] if whole else None,
        ms_sum=counts[tally.MS_SUM],
        buckets=list(counts[tally.BUCKETS :]),
        **_classes(counts),
    )


def _total(counts: Sequence[int], *, whole: bool) -> TallyTotal:
    attempts = tally.attempts(counts)
    return TallyTotal(
        accepted=counts[0] if whole else None,
        attempts=attempts,
        success_rate=tally.success_rate(counts),
        mean_ms=None if not attempts else round(counts[tally.MS_SUM] / attempts),
        p50_ms=tally.quantile_ms(counts, 0.5),
        p95_ms=tally.quantile_ms(counts, 0.95),
        **_classes(counts),
    )


def _hour(at: Micros, counts: Sequence[int]) -> TallyHour:
    delivered = counts[tally.DELIVERED]
    return TallyHour(time=moment.to_text(at), delivered=delivered, failed=tally.attempts(counts) - delivered)


Why = tuple[str, int, str]


def _grouped(rows: Iterable[ReasonRow]) -> list[tuple[Why, list[ReasonRow]]]:
    groups: dict[Why, list[ReasonRow]] = {}
    for row in rows:
        groups.setdefault((row.outcome, row.status, row.reason), []).append(row)
    return sorted(groups.items(), key=lambda group: (-sum(row.count for row in group[1]), group[0]))


def _reason(why: Why, rows: Sequence[ReasonRow], snapshot: Snapshot, ids: DeliveryIds) -> TallyReason:
    latest, counts = max(rows, key=lambda row: row.last), dict[int, int]()
    for row in rows:
        counts[row.link] = counts.get(row.link, 0) + row.count
    worst = sorted((num for num in counts if num in snapshot.links), key=lambda num: (-counts[num], num))
    return TallyReason(
        outcome=why[0],
        status=why[1] or None,
        reason=why[2] or None,
        count=sum(counts.values()),
        first=moment.to_text(min(row.first for row in rows)),
        last=moment.to_text(latest.last),
        example=ids.of(latest.delivery, latest.created),
        links=[FailingLink(**of(snapshot.links[num]), count=counts[num]) for num in worst[:LINKS_SHOWN]],
        links_total=len(worst),
    )
