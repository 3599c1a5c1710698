"""A span for each request: around a door, which knows nothing of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

from tidings.model.moment import Micros
from tidings.rules.tracing.context import Trace, read
from tidings.tracing.spans import Attributes, TraceSpan
from tidings.tracing.tracing import Entered, Tracing
from tidings.web.app import Door
from tidings.web.wire.request_ids import NAMED

UNTRACED = ("/healthz", "/readyz", "/metrics")
"""What probes ask again and again."""
ROUTES = {"in": "/in/{path}", "f": "/f/{path}", "console": "/console/{page}", "portal": "/portal/{page}"}
"""By the first step of the path. These paths may be known only to those who may use them, so they are not recorded."""
TEXT_CHARS_MAX = 256
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "QUERY"))
UNAUTHORIZED = 401


class TracedRequests:
    """Takes requests in a door's place. Belongs to the event loop."""

    def __init__(self, tracing: Tracing, route_of: Callable[[str, str], str]) -> None:
        """`route_of`: from a method and a path of the API to the path's pattern."""
        self._tracing, self._route_of = tracing, route_of

    def take(self, door: Door, scope: Any, proto: Any) -> Coroutine[Any, Any, None]:
        """Answer a request."""
        path, headers = scope.path, scope.headers
        if path in UNTRACED:
            return door.take(scope, proto)
        parents = headers.get_all("traceparent")
        given = read(parents, headers.get_all("tracestate")) if parents else None
        entered = self._enter(given, scope, is_trusted=self._is_api(path))
        if entered is None:
            return door.take(scope, proto)
        return self._take(entered, door, scope, _Seen(proto))

    def _enter(self, given: Trace | None, scope: Any, *, is_trusted: bool) -> Entered | None:
        method = _method(scope)
        attributes: Attributes = {"http.request.method": method, "url.scheme": scope.scheme}
        return self._tracing.enter(given, is_trusted=is_trusted, name=method, attributes=attributes)

    def _is_api(self, path: str) -> bool:
        """Whether callers are known by their keys; everyone else may put what they like into a header."""
        return path[1:].partition("/")[0] not in ROUTES

    async def _take(self, entered: Entered, door: Door, scope: Any, seen: _Seen) -> None:
        tracing, began = self._tracing, self._tracing.now()
        requests, stored = tracing.open, entered.here.stored
        names: list[str] = []

        def named(ident: str) -> None:
            names.append(ident)
            requests[ident] = stored

        token = NAMED.set(named)
        try:
            await door.take(scope, seen)
        finally:
            NAMED.reset(token)
            for name in names:
                requests.pop(name, None)
            if entered.parent is not None and seen.status == UNAUTHORIZED:
                # Nobody whom we know sent it, so it counts as what comes through a public door.
                found = self._enter(entered.parent, scope, is_trusted=False)
            else:
                found = entered
            if found is not None and found.here.is_sampled and tracing.spans.has_room():
                self._record(found, scope, seen.status, began, names[0] if names else "")

    def _record(self, entered: Entered, scope: Any, status: int, began: Micros, ident: str) -> None:
        method, path = _method(scope), scope.path
        route = ROUTES.get(path[1:].partition("/")[0]) or self._route_of(method, path)
        headers = scope.headers
        attributes: Attributes = {
            "http.request.method": method,
            "url.scheme": scope.scheme,
            "url.path": path[:TEXT_CHARS_MAX] if self._is_api(path) else route,
            "network.protocol.version": scope.http_version,
            "network.peer.address": scope.client.rpartition(":")[0].strip("[]"),
        }
        if status:
            attributes["http.response.status_code"] = status
        if host := headers.get("host"):
            attributes["server.address"] = host.rpartition(":")[0] if ":" in host else host
        if agent := headers.get("user-agent"):
            attributes["user_agent.original"] = agent[:TEXT_CHARS_MAX]
        if route:
            attributes["http.route"] = route
        if ident:
            attributes["tidings.request.id"] = ident
        failed = status >= 500 or not status
        if failed:
            attributes["error.type"] = str(status or "cancelled")
        parent = entered.parent
        self._tracing.spans.add(
            TraceSpan(
                f"{method if method in METHODS else 'HTTP'} {route}".strip(),
                "server",
                entered.here,
                None if parent is None else parent.span_id,
                parent is not None,
                began,
                self._tracing.now(),
                attributes,
                "" if failed else None,
                () if entered.link is None else (entered.link,),
            )
        )


def _method(scope: Any) -> str:
    """Methods that nobody knows count as one, as the conventions ask."""
    method: str = scope.method
    return method if method in METHODS else "_OTHER"


class _Seen:
    """What the HTTP server gave to answer with; notes the status."""

    def __init__(self, proto: Any) -> None:
        self._proto = proto
        self.status = 0

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
