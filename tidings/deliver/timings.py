"""How long attempts and deliveries took; `/metrics` reads it."""

from __future__ import annotations

from tidings.deliver.actions.action import Result
from tidings.deliver.results import Flight
from tidings.model import outcome as outcomes
from tidings.model.moment import SECOND, Micros
from tidings.rules.histogram import ATTEMPT_SECONDS, DELIVERY_SECONDS, Histogram, Histograms


class Timings:
    """Counts durations. Only the deliver thread adds to it."""

    def __init__(self) -> None:
        self.attempts = Histograms(ATTEMPT_SECONDS)
        """By outcome."""
        self.deliveries = Histogram(DELIVERY_SECONDS)
        """The time from storing an event to its delivery."""
        self._took: list[float] = []
        self._waited: list[float] = []

    def arrived(self, flight: Flight, result: Result, now: Micros) -> None:
        """Record one attempt and the deliveries that it ended; successes are counted by `count`."""
        if result.outcome is not outcomes.OK:
            self.attempts.observe(result.outcome.name, (now - flight.left) / SECOND)
            return
        self._took.append((now - flight.left) / SECOND)
        for item in flight.items:
            self._waited.append((now - item.created) / SECOND)

    def count(self) -> None:
        """Count what has arrived since the last call, all at once, since this happens for every delivery."""
        if self._took:
            self.attempts.of(outcomes.OK.name).observe_all(self._took)
            self.deliveries.observe_all(self._waited)
            self._took.clear()
            self._waited.clear()
