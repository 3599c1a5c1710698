"""Charts of tallies, as their template and `static/charts.js` take them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tidings.model import moment
from tidings.model.moment import HOUR, MINUTE, SECOND

CLASSES = ("delivered", "rejected", "timeout", "unreachable", "failed")
QUANTILES = {"p50": 0.5, "p95": 0.95}
ROWS_MAX = 60

Read = Callable[[Any, str], int | None]
"""Reads the value of a series, by its name, from a point of a chart; None if there is no value."""


def charts(report: Any) -> list[dict[str, Any]]:
    """Charts of what came in and went out, and of the results of attempts; for one link, without what came in."""
    if report is None:
        return []
    step = "minute" if report.step == "minute" else "hour"
    outcomes = [name for name in CLASSES if name == "delivered" or any(getattr(each, name) for each in report.points)]
    bars = _chart(report, "bars", f"Attempts by result, each {step}", outcomes, _count)
    if report.total.accepted is not None:
        names = ("accepted", "delivered")
        return [_chart(report, "lines", f"Events and deliveries, each {step}", names, _count), bars]
    return [
        bars,
        _chart(report, "lines", f"Duration of attempts in ms, each {step}", tuple(QUANTILES), _quantile(report)),
    ]


def durations(report: Any) -> dict[str, Any] | None:
    """How long attempts took, as a tile shows it."""
    if report is None or report.total.p50_ms is None:
        return None
    return {"p50": report.total.p50_ms, "p95": report.total.p95_ms}


def _count(point: Any, name: str) -> int | None:
    value: int | None = getattr(point, name)
    return value


def _quantile(report: Any) -> Read:
    """The duration that this share of a point's attempts did not exceed, from the point's buckets."""
    bounds = report.bounds_ms

    def read(point: Any, name: str) -> int | None:
        wanted, seen = sum(point.buckets) * QUANTILES[name], 0
        for bound, count in zip((*bounds, bounds[-1]), point.buckets, strict=False):
            seen += count
            if count and seen >= wanted:
                return int(bound)
        return None

    return read


def _chart(report: Any, kind: str, title: str, names: Sequence[str], read: Read) -> dict[str, Any]:
    size = MINUTE if report.step == "minute" else HOUR
    since, until = moment.from_text(report.since) // size * size, moment.from_text(report.until)
    by_time = {moment.from_text(each.time): each for each in report.points}
    # Otherwise the line would fall at the end, just because the last step is not over.
    times = range(since, until // size * size if kind == "lines" and until - since > size else until, size)
    nothing = 0 if read is _count else None
    series = [[read(by_time[at], name) if at in by_time else nothing for at in times] for name in names]
    content = {"names": names, "times": [at // SECOND for at in times], "series": series}
    return {
        "kind": kind,
        "title": title,
        "names": names,
        "json": msgspec.json.encode(content).decode(),
        "rows": [
            {"time": each.time, "values": [read(each, name) for name in names]}
            for each in report.points[::-1][:ROWS_MAX]
        ],
    }
