"""The hooks' door: a request as its sender sent it, and an answer that the sender understands.

The API's strictness does not apply here: Authorization, unknown query names, repeated headers, compressed bodies, HEAD
and OPTIONS are the sender's business. A sender gets a status and plain text. A response may echo what a stranger sent,
so it is sandboxed and never sniffed, and no browser treats it as a page.

The URL that a signature covers is the public URL with the hook's path and the query as received. The HTTP server gives
only decoded paths, but a hook's path has only characters that are never encoded, so nothing is lost.
"""

from __future__ import annotations

import logging
from time import perf_counter
from typing import Any

from tidings.intake.hooks.receive import Arrival
from tidings.model.errors import TidingsError, TooLarge
from tidings.rules.hooks.packed import work_bytes
from tidings.rules.network.origin import public_url
from tidings.rules.schemes import HookRequest
from tidings.web.callers.arrivals import Arrivals
from tidings.web.parts import Parts
from tidings.web.wire import problem
from tidings.web.wire.bodies.work import LARGE_BYTES

log = logging.getLogger("tidings.web")

PREFIX = "/in/"
NAME = "hook"
"""The name of the hooks door's requests in the metrics."""

_ALWAYS = [
    ("server", "tidings"),
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "default-src 'none'; sandbox"),
    ("cache-control", "no-store"),
]
_OURS = frozenset(
    (
        *(name for name, _ in _ALWAYS),
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "request-id",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
"""Headers that a hook's declared answer cannot set."""
_NO_HOOK = b"There is no hook here.\n"


class HooksDoor:
    """Takes everything below `/in/`."""

    def __init__(self, parts: Parts) -> None:
        settings = parts.settings
        self._parts = parts
        self._receiver = parts.receiver
        self._arrivals = Arrivals(parts)
        public = public_url(settings.public_url)
        self._base = public.whole if public else ""

    async def take(self, scope: Any, proto: Any) -> None:
        """Answer a request (RSGI 1.x)."""
        began = perf_counter()
        request_id = self._arrivals.next_id(began)
        unread = False
        try:
            status = await self._take(scope, proto, request_id)
            unread = status == 404
        except Exception as wrong:
            status, unread = _send_problem(proto, wrong, request_id), True
        self._arrivals.answered(NAME, status, began)
        if unread:
            await self._parts.bodies.discard(proto, dict(scope.headers.items()), status)

    async def _take(self, scope: Any, proto: Any, request_id: str) -> int:
        peer = self._arrivals.caller(scope)
        self._arrivals.count(peer)
        path, others = scope.path[len(PREFIX) :], self._parts.others
        hook = self._receiver.hook_at(path)
        if hook is None and others is not None:
            hook = await others.fresh.found(lambda: self._receiver.hook_at(path))
        if hook is None:
            return _send(proto, 404, {"content-type": "text/plain"}, _NO_HOOK, request_id)
        pairs = tuple(scope.headers.items())
        headers = dict(pairs)
        query = scope.query_string
        target = f"{scope.path}?{query}" if query else scope.path
        url = (self._base or f"{scope.scheme}://{headers.get('host', '')}") + target
        client = peer.rpartition(":")[0].strip("[]")
        try:
            most = self._receiver.bytes_max(hook)
            raw = await self._parts.bodies.read(proto, headers, most, hook.tenant)
            arrival = Arrival(HookRequest(scope.method, url, pairs, raw), pairs, target, client, request_id)
            size = work_bytes(raw, headers.get("content-encoding", ""), most)
            if size > LARGE_BYTES:
                async with self._parts.work.place(hook.tenant, size):
                    await self._parts.work.step()
                    answer = await self._receiver.take(hook, arrival)
            else:
                answer = await self._receiver.take(hook, arrival)
        except TooLarge as wrong:
            arrival = Arrival(HookRequest(scope.method, url, pairs), pairs, target, client, request_id)
            self._receiver.refuse_large(hook, arrival, wrong.detail)
            raise
        return _send(proto, answer.status, _permitted(answer.headers), answer.body, request_id)


def _permitted(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _OURS}


def _send(proto: Any, status: int, given: dict[str, str], body: bytes, request_id: str) -> int:
    headers = [*_ALWAYS, *((name.lower(), value) for name, value in given.items()), ("request-id", request_id)]
    if not body or status in (204, 304):
        proto.response_empty(status, headers)
    else:
        proto.response_bytes(status, headers, body)
    return status


def _send_problem(proto: Any, wrong: Exception, request_id: str) -> int:
    if not isinstance(wrong, TidingsError):
        log.error("%s a request to a hook failed", request_id, exc_info=wrong, extra={"request_id": request_id})
        wrong = problem.Internal(request_id)
    headers = [*_ALWAYS, *problem.headers(wrong), ("content-type", "text/plain; charset=utf-8")]
    proto.response_bytes(wrong.status, [*headers, ("request-id", request_id)], f"{wrong.detail}\n".encode())
    return wrong.status
