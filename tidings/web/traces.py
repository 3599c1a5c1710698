"""How doors report their requests if requests are traced (`tracing/requests.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Door(Protocol):
    """Takes the requests below one first segment of the path."""

    async def take(self, scope: Any, proto: Any) -> None:
        """Answer a request, whatever it is (RSGI 1.x)."""


class TracedRequest(Protocol):
    """A request that may be traced."""

    @property
    def scope(self) -> Any:
        """The scope from the HTTP server."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers, one value for each name."""

    @property
    def request_id(self) -> str:
        """The request id that its events keep."""

    @property
    def trace(self) -> Any:
        """The trace that `begin` returned."""


class RequestTraces(Protocol):
    """Traces requests. Belongs to the event loop."""

    def begin(self, request: TracedRequest, path: str) -> Any:
        """A request's trace; None if it has none. Until `end`, its events are part of that trace."""

    def end(self, request: TracedRequest, method: str, path: str, route: str, status: int, began: float) -> None:
        """Record a request that has a trace and was answered.

        `route`: its path's pattern, empty if there is none. `status`: 0 if the caller went away. `began`: seconds of
        `perf_counter`.
        """

    def around(self, door: Door, name: str) -> Door:
        """Trace the requests of a door that does not report them. `name`: the first segment of their paths."""
