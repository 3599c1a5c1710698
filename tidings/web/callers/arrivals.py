"""What every door does with a request before reading it, and after the response."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from tidings.rules.network.address import parse_networks
from tidings.web.callers.addresses import Addresses
from tidings.web.callers.forwarded import passed_on
from tidings.web.callers.proxies import Callers
from tidings.web.parts import Parts
from tidings.web.wire.request_ids import RequestIds


class Arrivals:
    """Gives each request an id, finds its caller, and counts it. Each door has its own, and so its own call limit."""

    def __init__(self, parts: Parts) -> None:
        self.next_id = RequestIds(parts.clock).next
        """Makes a new request id, given the seconds of `perf_counter`."""
        self._addresses = Addresses(parts.clock, parts.settings.max_calls_per_address)
        self.count = self._addresses.take
        """Count a request of a caller (`address:port`). Raises LimitReached."""
        trusted = parse_networks(parts.settings.trusted_proxies)
        self._behind = Callers(trusted) if trusted else None
        self._answers, self._seconds = parts.answers, parts.request_seconds

    def caller(self, scope: Any) -> str:
        """The caller's `address:port`, seen through trusted proxies and through a node that passed the request on."""
        if (passed := passed_on(scope)) is not None:
            return passed.client
        return str(scope.client) if self._behind is None else self._behind.of(scope)

    def answered(self, operation: str, status: int, began: float | None) -> None:
        """Count a response for the metrics. `began`: seconds of `perf_counter`; None if its duration means nothing."""
        self._answers[operation, status] = self._answers.get((operation, status), 0) + 1
        if began is not None:
            self._seconds.observe(operation, perf_counter() - began)
