"""The RSGI application: one request from its first byte to its answer.

Route by the menu, know the caller, count the call, read the body, convert it, run the operation, answer. What a
request costs here is paid by every event that is published, so the common way through is straight.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from tidings.model.access import Key
from tidings.model.errors import Malformed, Place, TidingsError
from tidings.web import body, habits, problem, query
from tidings.web.access import Access, check_scope
from tidings.web.addresses import Addresses
from tidings.web.limits import Limits
from tidings.web.menu import Answer, Call, Operation, Stream
from tidings.web.parts import Parts
from tidings.web.request_ids import RequestIds
from tidings.web.routes import Routes
from tidings.web.streaming import run_stream

log = logging.getLogger("tidings.web")

ANYBODY = Key(id="", hash="", name="", scopes=())
"""The caller of operations that need no key, when none was sent."""
ONCE_ONLY = ("authorization", "content-type", "idempotency-key", "if-match", "if-none-match", "last-event-id")
"""Headers that must not be repeated: two readers could choose differently."""

_COMMON = [
    ("server", "tidings"),
    ("x-content-type-options", "nosniff"),
]
_ALWAYS = [*_COMMON, ("cache-control", "no-store")]
_JSON = [*_ALWAYS, ("content-type", "application/json")]
_PROBLEM = [*_ALWAYS, ("content-type", problem.MEDIA)]
_encode = msgspec.json.Encoder().encode


class App:
    """What the HTTP server calls for each request (RSGI 1.x)."""

    def __init__(self, parts: Parts, operations: Sequence[Operation] | None = None) -> None:
        if operations is None:
            from tidings.web.operations import TABLE

            operations = TABLE
        self._parts = parts
        self._clock = parts.clock
        self._routes = Routes(operations)
        self._access = Access(parts.catalog)
        self._limits = Limits(parts.clock, parts.writer)
        self._addresses = Addresses(parts.clock, parts.settings.max_calls_per_address)
        self._bodies = parts.bodies
        self._ids = RequestIds(parts.clock)
        self._max_body = int(parts.settings.max_body_bytes)
        self._max_batch = int(parts.settings.max_batch_bytes)
        self._max_import = int(parts.settings.max_import_bytes)
        self.answers: dict[tuple[str, int], int] = parts.answers

    async def start(self) -> None:
        """Read the call counts that were kept; before the first request."""
        await self._limits.load(self._parts.readers)

    async def stop(self) -> None:
        """Let long polls and streams end, and write what is counted in memory; before the writer is closed."""
        self._parts.feed.close()
        await self._limits.stop()

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        request_id = self._ids.next()
        operation: Operation | None = None
        extra: list[tuple[str, str]] = []
        try:
            self._addresses.take(scope.client)
            operation = self._routes.fixed.get((scope.method, scope.path))
            path: dict[str, str] = {}
            if operation is None:
                if scope.method == "OPTIONS":
                    self._options(scope.path, proto, request_id)
                    return
                operation, path = self._routes.find(scope.method, scope.path)
            pairs = scope.headers.items()
            headers = dict(pairs)
            if len(headers) != len(pairs):
                _refuse_repeated(pairs)
            answer = await self._run(operation, path, scope, proto, headers, request_id, extra)
            if answer is None:
                status = 200
            else:
                status = answer.status
                _send(proto, answer, extra, request_id)
        except Exception as wrong:
            status = _send_problem(proto, wrong, extra, request_id, operation)
        name = operation.name if operation is not None else "none"
        self.answers[name, status] = self.answers.get((name, status), 0) + 1

    async def _run(
        self,
        operation: Operation,
        path: dict[str, str],
        scope: Any,
        proto: Any,
        headers: dict[str, str],
        request_id: str,
        extra: list[tuple[str, str]],
    ) -> Answer | None:
        """The answer; None where it was streamed. `extra` collects headers that even a refusal carries."""
        key = ANYBODY
        authorization = headers.get("authorization")
        if operation.scope is not None or authorization is not None:
            key = self._access.key(authorization, scope.client, self._clock.now())
            if operation.own is None:
                check_scope(key, operation)
            if key.limits:
                extra.extend(self._limits.take(key))
            if operation.own is not None:
                operation = operation.own(self._parts, key, path)
        if "if-match" in headers or "if-none-match" in headers:
            habits.refuse_conditions(operation, headers)
        text = scope.query_string
        given = query.read(text, operation) if text or operation.parameters else {}
        raw, pieces = b"", None
        if "content-encoding" in headers:
            body.check_encoding(headers["content-encoding"])
        if operation.incoming:
            body.check_file(headers.get("content-type"), tuple(operation.incoming))
            pieces = self._bodies.pieces(proto, headers, self._max_import)
        elif scope.method != "GET" or "content-length" in headers or "transfer-encoding" in headers:
            most = self._max_batch if operation.large else self._max_body
            raw = await self._bodies.read(proto, headers, most, key.tenant)
        struct = value = None
        if operation.request is not None and (raw or not operation.request_optional):
            body.check_media(headers.get("content-type"), merge_patch=operation.merge_patch)
            struct, value = body.read_body(raw, operation.request)
        elif raw:
            raise Malformed("This operation takes no body.", code="body_not_expected")
        call = Call(operation, key, request_id, path, given, headers, raw, struct, value, pieces)
        if "fields" in given:
            call.chosen = habits.chosen_fields(call)
        # Only what has `item` knows long polls: a field of a collection may be called `wait`.
        waits = operation.item is not None and given.get("wait")
        if operation.stream or operation.incoming or operation.outgoing or waits:
            with self._parts.open_calls.one_more(key):
                return await self._answer(call, scope, proto, extra)
        return await self._answer(call, scope, proto, extra)

    async def _answer(self, call: Call, scope: Any, proto: Any, extra: list[tuple[str, str]]) -> Answer | None:
        answer = await call.operation.handler(self._parts, call)
        if isinstance(answer, Stream):
            headers = [*_ALWAYS, *extra, ("request-id", call.request_id)]
            await run_stream(scope, proto, answer, headers, self._parts.feed)
            return None
        return answer if call.operation.item is None else habits.finish(call, answer)

    def _options(self, path: str, proto: Any, request_id: str) -> None:
        allowed = (
            ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"] if path == "*" else self._routes.allowed(path)
        )
        headers = [*_ALWAYS, ("request-id", request_id)]
        if allowed:
            proto.response_empty(204, [*headers, ("allow", ", ".join(allowed))])
        else:
            self._routes.find("OPTIONS", path)


def _send(proto: Any, answer: Answer, extra: list[tuple[str, str]], request_id: str) -> None:
    """Write a whole answer."""
    content = answer.body
    always = _ALWAYS if answer.cache is None else [*_COMMON, ("cache-control", answer.cache)]
    if content is None:
        proto.response_empty(answer.status, [*always, *answer.headers, *extra, ("request-id", request_id)])
        return
    base = _JSON if answer.media == "application/json" else [*always, ("content-type", answer.media)]
    if type(content) is not bytes:
        content = _encode(content)
    proto.response_bytes(answer.status, [*base, *answer.headers, *extra, ("request-id", request_id)], content)


def _send_problem(
    proto: Any, wrong: Exception, extra: list[tuple[str, str]], request_id: str, operation: Operation | None
) -> int:
    """Write the problem answer for what was raised; its status."""
    if not isinstance(wrong, TidingsError):
        log.error("%s %s failed", request_id, operation.name if operation else "request", exc_info=wrong)
        wrong = problem.Internal(request_id)
    headers = [*_PROBLEM, *problem.headers(wrong), *extra, ("request-id", request_id)]
    proto.response_bytes(wrong.status, headers, _encode(problem.problem(wrong, request_id)))
    return wrong.status


def _refuse_repeated(pairs: list[tuple[str, str]]) -> None:
    names = [name for name, _ in pairs]
    for name in ONCE_ONLY:
        if names.count(name) > 1:
            detail = f"The header {name} is given twice."
            raise Malformed(detail, errors=[Place(parameter=name, code="repeated", detail=detail)])
