"""Charts of tallies, as their template and `static/charts.js` take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tidings.model import moment
from tidings.model.moment import HOUR, MINUTE, SECOND

CLASSES = ("delivered", "rejected", "timeout", "unreachable", "failed")
ROWS_MAX = 60


def charts(report: Any) -> list[dict[str, Any]]:
    """What came in and went out, and how attempts ended; for one link without what came in."""
    if report is None:
        return []
    step = "minute" if report.step == "minute" else "hour"
    flow = ("accepted", "delivered") if report.total.accepted is not None else ("delivered",)
    outcomes = [name for name in CLASSES if name == "delivered" or any(getattr(each, name) for each in report.points)]
    return [
        _chart(report, "lines", f"{'Events and deliveries' if len(flow) > 1 else 'Deliveries'}, each {step}", flow),
        _chart(report, "bars", f"Attempts by result, each {step}", outcomes),
    ]


def durations(report: Any) -> dict[str, Any] | None:
    """How long attempts took, as a tile says it."""
    if report is None or report.total.p50_ms is None:
        return None
    return {"p50": report.total.p50_ms, "p95": report.total.p95_ms}


def _chart(report: Any, kind: str, title: str, names: Sequence[str]) -> dict[str, Any]:
    size = MINUTE if report.step == "minute" else HOUR
    since, until = moment.from_text(report.since) // size * size, moment.from_text(report.until)
    by_time = {moment.from_text(each.time): each for each in report.points}
    times = range(since, until, size)
    series = [[getattr(by_time[at], name) if at in by_time else 0 for at in times] for name in names]
    content = {"names": names, "times": [at // SECOND for at in times], "series": series}
    return {
        "kind": kind,
        "title": title,
        "names": names,
        "json": msgspec.json.encode(content).decode(),
        "rows": [
            {"time": each.time, "values": [getattr(each, name) for name in names]}
            for each in report.points[::-1][:ROWS_MAX]
        ],
    }
