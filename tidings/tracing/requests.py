"""A span for each request: around a door, which knows nothing of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import lru_cache
from typing import Any

from tidings.model.moment import Micros
from tidings.rules.tracing.context import read
from tidings.tracing.otlp import Attributes, attribute, common, span
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
        entered = self._tracing.enter(given, is_trusted=self._is_api(path))
        if entered is None:
            return door.take(scope, proto)
        return self._take(entered, door, scope, _Seen(proto, self._tracing.open, entered.here.stored))

    def _is_api(self, path: str) -> bool:
        """Whether callers are known by their keys; everyone else may put what they like into a header."""
        return path[1:].partition("/")[0] not in ROUTES

    async def _take(self, entered: Entered, door: Door, scope: Any, seen: _Seen) -> None:
        tracing, began = self._tracing, self._tracing.now()
        token = NAMED.set(seen.named)
        try:
            await door.take(scope, seen)
        finally:
            NAMED.reset(token)
            seen.close()
            if entered.parent is not None and seen.status == UNAUTHORIZED:
                # Nobody whom we know sent it, so it counts as what comes through a public door.
                found = tracing.enter(entered.parent, is_trusted=False)
            else:
                found = entered
            if found is not None and found.here.is_sampled and tracing.spans.has_room():
                self._record(found, scope, seen, began)

    def _record(self, entered: Entered, scope: Any, seen: _Seen, began: Micros) -> None:
        method, path, headers, status = _method(scope), scope.path, scope.headers, seen.status
        hidden = ROUTES.get(path[1:].partition("/")[0])
        route = hidden or self._route_of(method, path)
        is_whole = hidden is not None or path == route
        host, agent = headers.get("host") or "", headers.get("user-agent") or ""
        peer = scope.client.rpartition(":")[0].strip("[]")
        about = (method, scope.scheme, route, is_whole, scope.http_version, peer, status)
        shared = _common(*about, host[:TEXT_CHARS_MAX], agent[:TEXT_CHARS_MAX])
        own = b"" if is_whole else attribute("url.path", path[:TEXT_CHARS_MAX])
        if seen.names:
            own += attribute("tidings.request.id", seen.names[0])
        parent = entered.parent
        self._tracing.spans.add(
            span(
                shared,
                own,
                entered.here,
                None if parent is None else parent.span_id,
                began,
                self._tracing.now(),
                is_remote=parent is not None,
                links=() if entered.link is None else (entered.link,),
                error="" if _has_failed(status) else None,
            )
        )


def _has_failed(status: int) -> bool:
    """Whether it was our fault, or the caller went away."""
    return status >= 500 or not status


@lru_cache(maxsize=1_000)
def _common(
    method: str, scheme: str, route: str, is_whole: bool, version: str, peer: str, status: int, host: str, agent: str
) -> bytes:
    """What one caller's requests have in common, if they end alike. `is_whole`: the route is the path."""
    attributes: Attributes = {
        "http.request.method": method,
        "url.scheme": scheme,
        "network.protocol.version": version,
        "network.peer.address": peer,
    }
    if is_whole:
        attributes["url.path"] = route
    if status:
        attributes["http.response.status_code"] = status
    if host:
        attributes["server.address"] = host.rpartition(":")[0] if ":" in host else host
    if agent:
        attributes["user_agent.original"] = agent
    if route:
        attributes["http.route"] = route
    if _has_failed(status):
        attributes["error.type"] = str(status or "cancelled")
    return common(f"{method if method in METHODS else 'HTTP'} {route}".strip(), "server", attributes)


def _method(scope: Any) -> str:
    """Methods that nobody knows count as one, as the conventions ask."""
    method: str = scope.method
    return method if method in METHODS else "_OTHER"


class _Seen:
    """What the HTTP server gave to answer with; notes the status, and the request's ids while it is open."""

    __slots__ = ("_open", "_proto", "_stored", "names", "status")

    def __init__(self, proto: Any, open_requests: dict[str, str], stored: str) -> None:
        self._proto, self._open, self._stored = proto, open_requests, stored
        self.status = 0
        self.names: list[str] = []

    def named(self, ident: str) -> None:
        """What events that it makes keep is found by this id from now on."""
        self.names.append(ident)
        self._open[ident] = self._stored

    def close(self) -> None:
        """It makes no more events."""
        for name in self.names:
            self._open.pop(name, None)

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
