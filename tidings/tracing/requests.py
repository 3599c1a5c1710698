"""A span for each request: around a door, which knows nothing of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

from tidings.rules.tracing.context import Trace, is_sampled, read
from tidings.tracing.records import Nanos, RequestRecord
from tidings.tracing.tracing import Entered, Tracing
from tidings.web.app import Door
from tidings.web.wire.request_ids import NAMED

UNTRACED = ("/healthz", "/readyz", "/metrics")
"""What probes ask again and again."""
ROUTES = {"in": "/in/{path}", "f": "/f/{path}", "console": "/console/{page}", "portal": "/portal/{page}"}
"""By the first step of the path. These paths may be known only to those who may use them, so they are not recorded."""
TEXT_CHARS_MAX = 256
UNAUTHORIZED = 401
ROUTES_KEPT = 1_000


class TracedRequests:
    """Takes requests in a door's place. Belongs to the event loop."""

    def __init__(self, tracing: Tracing, route_of: Callable[[str, str], str]) -> None:
        """`route_of`: from a method and a path of the API to the path's pattern."""
        self._tracing, self._spans, self._route_of = tracing, tracing.spans, route_of
        self._open = tracing.open
        self._steady: Callable[[], Nanos] = tracing.spans.steady
        self._whole: set[tuple[str, str]] = set()
        """Methods and paths that are their own patterns, as far as they were asked for."""

    def take(self, door: Door, scope: Any, proto: Any) -> Coroutine[Any, Any, None]:
        """Answer a request."""
        path, headers, tracing = scope.path, scope.headers, self._tracing
        if path in UNTRACED:
            return door.take(scope, proto)
        entered = None
        if "traceparent" in headers and (given := _given(headers)) is not None:
            entered = tracing.enter(given, is_trusted=path[1:].partition("/")[0] not in ROUTES)
            here = None if entered is None else entered.here
        else:
            here = tracing.begin()
        if here is None:
            return door.take(scope, proto)
        return self._take(door, scope, _Seen(proto, self._open, here), entered)

    async def _take(self, door: Door, scope: Any, seen: _Seen, entered: Entered | None) -> None:
        began, token = self._steady(), NAMED.set(seen.named)
        try:
            await door.take(scope, seen)
        finally:
            NAMED.reset(token)
            # It makes no more events.
            for name in seen.names:
                self._open.pop(name, None)
            if entered is None:
                self._add(scope, seen, began)
            else:
                self._add_entered(scope, seen, began, entered)

    def _add_entered(self, scope: Any, seen: _Seen, began: Nanos, entered: Entered) -> None:
        found: Entered | None = entered
        if entered.parent is not None and seen.status == UNAUTHORIZED:
            # Nobody whom we know sent it, so it counts as what comes through a public door.
            found = self._tracing.enter(entered.parent, is_trusted=False)
        if found is not None and is_sampled(found.here):
            seen.here = found.here
            link = None if found.link is None else found.link.stored
            self._add(scope, seen, began, None if found.parent is None else found.parent.span_id, link)

    def _add(self, scope: Any, seen: _Seen, began: Nanos, parent: str | None = None, link: str | None = None) -> None:
        spans = self._spans
        if not spans.has_room:
            spans.drop()
            return
        method, path, get = scope.method, scope.path, scope.headers.get
        host, agent = get("host"), get("user-agent")
        if (method, path) in self._whole:
            route, other = path, None
        else:
            route, other = self._routed(method, path)
        spans.add(
            RequestRecord(
                seen.here,
                parent,
                link,
                began,
                self._steady(),
                method,
                scope.scheme,
                scope.http_version,
                route,
                other,
                scope.client,
                host and host[:TEXT_CHARS_MAX],
                agent and agent[:TEXT_CHARS_MAX],
                seen.status,
                seen.names[0] if seen.names else None,
            )
        )

    def _routed(self, method: str, path: str) -> tuple[str, str | None]:
        """The path's pattern, and the path if it is another and may be recorded."""
        if (hidden := ROUTES.get(path[1:].partition("/")[0])) is not None:
            return hidden, None
        route = self._route_of(method, path)
        if path != route:
            return route, path[:TEXT_CHARS_MAX]
        if len(self._whole) < ROUTES_KEPT:
            self._whole.add((method, path))
        return route, None


def _given(headers: Any) -> Trace | None:
    return read(headers.get_all("traceparent"), headers.get_all("tracestate"))


class _Seen:
    """What the HTTP server gave to answer with; notes the status, and the request's ids while it is open."""

    __slots__ = ("_open", "_proto", "here", "names", "status")

    def __init__(self, proto: Any, open_requests: dict[str, str], here: str) -> None:
        """`here`: its span, as an event keeps it (`Trace.stored`)."""
        self._proto, self._open, self.here = proto, open_requests, here
        self.status = 0
        self.names: list[str] = []

    def named(self, ident: str) -> None:
        """What events that it makes keep is found by this id from now on."""
        self.names.append(ident)
        self._open[ident] = self.here

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
