"""Small arithmetic on measured numbers: percentiles, medians, and whether a backlog grows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


def percentiles(values: Iterable[float], scale: float = 1.0) -> dict[str, float]:
    """p50, p90, p99 and max of the values times `scale`; empty when there are none."""
    ordered = sorted(values)
    if not ordered:
        return {}
    last = len(ordered) - 1
    marks = {"p50": 0.50, "p90": 0.90, "p99": 0.99, "p999": 0.999, "max": 1.0}
    return {name: round(ordered[round(last * share)] * scale, 4) for name, share in marks.items()}


def median(values: Sequence[float]) -> float:
    """The middle value; the mean of the two middle ones when their number is even."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def backlog(accepted: Mapping[int, int], arrived: Mapping[int, int], per_event: int = 1) -> list[int]:
    """Deliveries owed at the end of each second: accepted events times `per_event`, less arrivals so far.

    Both maps go from a second of the same monotonic clock to a count. The list covers the seconds of `accepted`.
    """
    if not accepted:
        return []
    owed, series = 0, []
    for second in range(min(accepted), max(accepted) + 1):
        owed += accepted.get(second, 0) * per_event - arrived.get(second, 0)
        series.append(owed)
    return series
