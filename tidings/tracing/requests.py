"""A span for each request: the API's doors report theirs; other doors are wrapped and know nothing about it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Coroutine
from time import perf_counter
from typing import Any

from tidings.rules.tracing.context import is_sampled, read
from tidings.tracing.records import RequestRecord
from tidings.tracing.tracing import Entered, Tracing
from tidings.web.traces import Door, TracedRequest
from tidings.web.wire.request_ids import NAMED

UNTRACED = frozenset(("/healthz", "/readyz", "/metrics"))
"""Paths that are not traced, because probes request them again and again."""
ROUTES = {"in": "/in/{path}", "f": "/f/{path}", "console": "/console/{page}", "portal": "/portal/{page}"}
"""Patterns of paths, by their first segment. The actual paths may be known only to those who may use them, so only the
pattern is recorded."""
HIDDEN = frozenset(ROUTES.values())
TEXT_CHARS_MAX = 256
UNAUTHORIZED = 401

Traced = str | Entered
"""A request's own span, in the form that an event keeps. For a request with another system's context: `Entered`."""


class TracedRequests:
    """Traces requests. Belongs to the event loop."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing, self._spans, self._open = tracing, tracing.spans, tracing.open

    def begin(self, request: TracedRequest, path: str) -> Traced | None:
        """A request's trace; None if it has none. Until `end`, its events are part of that trace."""
        if path in UNTRACED:
            return None
        if "traceparent" in request.headers:
            trace = self.entered(request.scope, is_trusted=True)
        else:
            trace = self._tracing.begin()
        if trace is not None:
            self._open[request.request_id] = here(trace)
        return trace

    def entered(self, scope: Any, *, is_trusted: bool) -> Traced | None:
        """The trace of a request that may have arrived with a context; None if it has none."""
        given = read(scope.headers.get_all("traceparent"), scope.headers.get_all("tracestate"))
        return self._tracing.begin() if given is None else self._tracing.enter(given, is_trusted=is_trusted)

    def end(self, request: TracedRequest, method: str, path: str, route: str, status: int, began: float) -> None:
        """It was answered, and has a trace.

        `route`: its path's pattern, empty if there is none. `status`: 0 if the caller went away. `began`: seconds of
        `perf_counter`.
        """
        scope, trace, request_id, get = request.scope, request.trace, request.request_id, request.headers.get
        # It makes no more events.
        self._open.pop(request_id, None)
        parent = link = None
        if type(trace) is not str:
            found = self._sampled(trace, status)
            if found is None:
                return
            trace = found.here
            parent = None if found.parent is None else found.parent.span_id
            link = None if found.link is None else found.link.stored
        spans = self._spans
        if not spans.has_room:
            spans.drop()
            return
        host, agent = get("host"), get("user-agent")
        spans.add(
            RequestRecord(
                trace,
                parent,
                link,
                began,
                perf_counter(),
                method,
                scope.scheme,
                scope.http_version,
                route,
                None if path == route or route in HIDDEN else path[:TEXT_CHARS_MAX],
                scope.client,
                host and host[:TEXT_CHARS_MAX],
                agent and agent[:TEXT_CHARS_MAX],
                status,
                request_id or None,
            )
        )

    def _sampled(self, entered: Entered, status: int) -> Entered | None:
        """Whether to record a trace that another system knows."""
        found: Entered | None = entered
        if entered.parent is not None and status == UNAUTHORIZED:
            # No known caller sent it, so it counts like a request through a public door.
            found = self._tracing.enter(entered.parent, is_trusted=False)
        return found if found is not None and is_sampled(found.here) else None

    def around(self, door: Door, name: str) -> Door:
        """Trace the requests of a door that does not report them. `name`: the first step of their paths."""
        return TracedDoor(self, self._tracing, door, ROUTES[name])


class TracedDoor:
    """A door that knows nothing of traces."""

    def __init__(self, requests: TracedRequests, tracing: Tracing, door: Door, route: str) -> None:
        self._requests, self._open, self._door, self._route = requests, tracing.open, door, route

    def take(self, scope: Any, proto: Any) -> Coroutine[Any, Any, None]:
        """Answer a request."""
        trace = self._requests.entered(scope, is_trusted=False)
        if trace is None:
            return self._door.take(scope, proto)
        return self._take(scope, _Seen(scope, proto, self._open, trace))

    async def _take(self, scope: Any, seen: _Seen) -> None:
        began, token = perf_counter(), NAMED.set(seen.named)
        try:
            await self._door.take(scope, seen)
        finally:
            NAMED.reset(token)
            for name in seen.names:
                self._open.pop(name, None)
            self._requests.end(seen, scope.method, scope.path, self._route, seen.status, began)


def here(trace: Traced) -> str:
    """A request's own span, as an event keeps it."""
    return trace if isinstance(trace, str) else trace.here


class _Seen:
    """What the HTTP server gave to answer with; notes the status, and the request's ids while it is open."""

    __slots__ = ("_open", "_proto", "headers", "names", "scope", "status", "trace")

    def __init__(self, scope: Any, proto: Any, open_requests: dict[str, str], trace: Traced) -> None:
        self._proto, self._open, self.scope, self.headers, self.trace = (
            proto,
            open_requests,
            scope,
            scope.headers,
            trace,
        )
        self.status = 0
        self.names: list[str] = []

    @property
    def request_id(self) -> str:
        """The first of its ids; empty if it has none."""
        return self.names[0] if self.names else ""

    def named(self, ident: str) -> None:
        """What events that it makes keep is found by this id from now on."""
        self.names.append(ident)
        self._open[ident] = here(self.trace)

    def __call__(self) -> Awaitable[bytes]:
        whole: Awaitable[bytes] = self._proto()
        return whole

    def __aiter__(self) -> AsyncIterator[bytes]:
        pieces: AsyncIterator[bytes] = aiter(self._proto)
        return pieces

    def response_empty(self, status: int, headers: Any) -> Any:
        self.status = status
        return self._proto.response_empty(status, headers)

    def response_bytes(self, status: int, headers: Any, body: bytes) -> Any:
        self.status = status
        return self._proto.response_bytes(status, headers, body)

    def response_stream(self, status: int, headers: Any) -> Any:
        self.status = status
        return self._proto.response_stream(status, headers)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._proto, name)
