"""How a server that stands by responds: it is alive, it is not ready, and another server works.

It cannot check keys, so `/metrics` says only that it stands by: monitoring would take a 503 for a server that is down.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST

from tidings.model.errors import Unavailable
from tidings.model.moment import SystemClock
from tidings.web.api.service import metrics
from tidings.web.wire import problem
from tidings.web.wire.request_ids import RequestIds

RETRY_SECONDS = 2.0
_ALIVE = b'{"status":"ok"}'


class StandbyApp:
    """The RSGI application of a server that waits for its turn."""

    def __init__(self, why: Callable[[], str]) -> None:
        """`why`: a sentence about what it waits for."""
        self._why = why
        self._ids = RequestIds(SystemClock())

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        if scope.path == "/healthz":
            proto.response_bytes(200, [("content-type", "application/json")], _ALIVE)
            return
        if scope.path == "/metrics":
            proto.response_bytes(200, [("content-type", CONTENT_TYPE_LATEST)], metrics.render_standby())
            return
        error = Unavailable(self._why(), retry_after_seconds=RETRY_SECONDS)
        problem.send_problem(proto, error, self._ids.next(perf_counter()))
