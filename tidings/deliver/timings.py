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
        """From being stored to being delivered."""

    def arrived(self, flight: Flight, result: Result, now: Micros) -> None:
        """Count one attempt and the deliveries that it ended."""
        self.attempts.observe(result.outcome.name, (now - flight.left) / SECOND)
        if result.outcome is outcomes.OK:
            for item in flight.items:
                self.deliveries.observe((now - item.created) / SECOND)
