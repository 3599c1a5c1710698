"""The API's door: one request from its first byte to its response.

Route by the menu, identify the caller, count the call, read the body, convert it, run the operation, respond. Every
published event pays the cost of this path, so the common case is kept short. Whatever suits an API but not other
systems' webhooks is here: keys, strict queries, refusals as problems.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

import msgspec

from tidings.intake.items.change import Changing
from tidings.model.access import EVERYTHING, Key
from tidings.model.errors import Elsewhere, Malformed, TidingsError
from tidings.rules.network.origin import origins_of, public_url
from tidings.web.callers.access import Access
from tidings.web.callers.arrivals import Arrivals
from tidings.web.callers.forwarded import passed_on
from tidings.web.callers.limits import Limits
from tidings.web.callers.shared_limits import SharedLimits
from tidings.web.callers.tickets import PARAMETER, Ticket, merged
from tidings.web.habits import given, shaping
from tidings.web.operation import Answer, Operation, Request, Stream
from tidings.web.parts import Parts
from tidings.web.wire import problem, query
from tidings.web.wire.bodies import body, slices
from tidings.web.wire.bodies.work import BESIDE_BYTES, LARGE_BYTES
from tidings.web.wire.cors import METHODS, Cors
from tidings.web.wire.forwarding import Arrived
from tidings.web.wire.headers import check as check_headers
from tidings.web.wire.packing import PACKED_BYTES_MIN, Packer
from tidings.web.wire.public import from_outside
from tidings.web.wire.routes import Routes
from tidings.web.wire.streaming import run_stream

log = logging.getLogger("tidings.web")

AGAIN = frozenset({401, 403, 404, 405, 409, 412, 422})
"""The statuses of refusals that a newer catalogue could turn into a success, because they depend on
something in the catalogue, such as a key or a collection."""

ANYBODY = Key(id="", hash="", name="", scopes=())
"""The caller if no key was sent, for operations that need none."""

_COMMON = [
    ("server", "tidings"),
    ("x-content-type-options", "nosniff"),
]
_ALWAYS = [*_COMMON, ("cache-control", "no-store")]
JSON = [*_ALWAYS, ("content-type", "application/json")]
_PROBLEM = [*_ALWAYS, ("content-type", problem.MEDIA)]
_encode = msgspec.json.Encoder().encode
Run = Callable[[Operation, dict[str, str], "Exchange"], Awaitable[Answer | None]]


class Exchange(msgspec.Struct, gc=False):
    """One request from the HTTP server, and what its response needs."""

    scope: Any
    proto: Any
    headers: dict[str, str]
    request_id: str
    client: str
    """The caller's `address:port`, as reported by trusted proxies if there are any."""
    extra: list[tuple[str, str]] = []
    """Headers that the response has, even if it is a refusal."""
    ticket: Ticket | None = None
    """The ticket that the caller used instead of a key."""
    raw: bytes | None = None
    """The body, once it has been read."""
    limits: list[tuple[str, str]] | None = None
    """The RateLimit headers, once the call has been counted."""
    is_taken: bool = False
    """Whether part of the body has already been used, so that the request cannot start over."""
    status: int = 200
    """The status of the response, if the response was written elsewhere."""
    waited: bool = False
    """Whether the request stayed open to wait for events, or for as long as its caller wanted, so that its duration
    means nothing."""
    trace: Any = None
    """The request's trace, if it is traced."""


class ApiDoor:
    """Handles every request that belongs to no other door: `/v1`, the pages `/docs`, `/healthz` and the like."""

    def __init__(self, parts: Parts, routes: Routes) -> None:
        self._parts = parts
        self._clock = parts.clock
        self.access = Access(parts.catalog, parts.tickets, None if parts.others is None else parts.others.fresh)
        self.limits: Limits | SharedLimits = Limits(parts.clock, parts.writer)
        self._fresh = None
        if parts.others is not None:
            self.limits = SharedLimits(parts.clock, parts.others.reserving)
            self._fresh = parts.others.fresh
        self._bodies = parts.bodies
        self._arrivals = Arrivals(parts)
        self._packer = Packer()
        self._cors = Cors(origins_of(parts.settings.cors_origins), parts.catalog)
        public = public_url(parts.settings.public_url)
        self._base = public.whole if public else ""
        self._routes = routes
        self._max_body = int(parts.settings.max_body_bytes)
        self._max_batch = int(parts.settings.max_batch_bytes)
        self._max_import = int(parts.settings.max_import_bytes)
        self._forwarding, self._traces = parts.forwarding, parts.traces

    async def start(self) -> None:
        """Before the first request: read the stored call counts."""
        await self.limits.load(self._parts.readers)

    async def stop(self) -> None:
        """Before the writer is closed: end long polls and streams, and store the counts kept in memory."""
        self._parts.feed.close()
        await self.limits.stop()

    async def take(self, scope: Any, proto: Any) -> None:
        """Answer a request."""
        began = perf_counter()
        pairs = scope.headers.items()
        headers = dict(pairs)
        client = self._arrivals.caller(scope)
        at = Exchange(scope, proto, headers, self._arrivals.next_id(began), client)
        if (passed := passed_on(scope)) is not None:
            at.limits = passed.limits
        if "origin" in headers or self._cors.varies:
            at.extra = self._cors.headers(headers.get("origin"))
        operation: Operation | None = None
        method, target = scope.method, scope.path
        status, refused = 0, False
        if (traces := self._traces) is not None:
            at.trace = traces.begin(at, target)
        try:
            self._arrivals.count(client)
            operation = self._routes.fixed.get((method, target))
            path: dict[str, str] = {}
            if operation is None:
                if method == "OPTIONS":
                    self._options(at)
                    status = 204
                    return
                operation, path = self._routes.find(method, target)
            if len(headers) != len(pairs) or "host" not in headers:
                check_headers(pairs, headers, scope.http_version)
            run = self._run if self._fresh is None else self._run_fresh
            if self._forwarding is None:
                answer = await run(operation, path, at)
            else:
                answer = await self._run_or_pass_on(run, operation, path, at)
            if answer is None:
                status = at.status
            else:
                status = answer.status
                if _encoded(answer) >= PACKED_BYTES_MIN:
                    await self._packer.pack(answer, operation, headers)
                if self._base:
                    answer.headers = from_outside(answer.headers, self._base)
                _send(at, answer)
        except Exception as wrong:
            status, refused = self.refuse(at, wrong, operation), True
        finally:
            if traces is not None and at.trace is not None:
                traces.end(at, method, target, "" if operation is None else operation.path, status, began)
        self._arrivals.answered("none" if operation is None else operation.name, status, None if at.waited else began)
        if refused:
            await self._bodies.discard(proto, headers, status)

    async def _run_fresh(self, operation: Operation, path: dict[str, str], at: Exchange) -> Answer | None:
        """`_run` if other nodes change the catalogue: if a request may be refused because the catalogue is outdated,
        try again with the latest one.
        """
        await self.access.look_for(self.shown_key(at))
        version, extra = self._parts.catalog.now.version, at.extra
        at.extra = list(extra)
        try:
            return await self._run(operation, path, at)
        except TidingsError as wrong:
            assert self._fresh is not None
            reads = wrong.status == 503 and operation.method == "GET"
            may_change = wrong.status in AGAIN or reads or isinstance(wrong, Changing)
            if not may_change or at.is_taken or not await self._fresh.newer_than(version):
                raise
        at.extra = extra
        return await self._run(operation, path, at)

    async def _run_or_pass_on(
        self, run: Run, operation: Operation, path: dict[str, str], at: Exchange
    ) -> Answer | None:
        """On a node that takes in: pass on, as received, what only the sender can do, before identifying the caller."""
        if not operation.at_sender:
            try:
                return await run(operation, path, at)
            except Elsewhere:
                if at.is_taken:
                    raise
        assert self._forwarding is not None
        most = self._max_batch if operation.large else self._max_body
        arrived = Arrived(
            scope=at.scope, proto=at.proto, client=at.client, bytes_max=most, raw=at.raw, limits=at.limits
        )
        at.status = await self._forwarding.pass_on(self._parts, arrived)
        return None

    async def _run(self, operation: Operation, path: dict[str, str], at: Exchange) -> Answer | None:
        """Run the operation; returns the response, or None if it was streamed."""
        headers, scope = at.headers, at.scope
        key = ANYBODY
        if operation.scope is not None or "authorization" in headers:
            key = self._known(operation, at)
            if key.limits or key.shared_limits:
                await self.count(key, at)
            if operation.per_key is not None:
                operation = operation.per_key(self._parts, key, path)
        if "if-match" in headers or "if-none-match" in headers:
            shaping.refuse_conditions(operation, headers)
        text = scope.query_string
        given = query.read(text, operation) if text or operation.parameters else {}
        if operation.ticketed:
            given = merged(at.ticket, given)
        raw, pieces = b"", None
        if "content-encoding" in headers:
            body.check_encoding(headers["content-encoding"])
        if operation.incoming:
            body.check_file(headers.get("content-type"), tuple(operation.incoming))
            at.is_taken = True
            pieces = self._bodies.pieces(at.proto, headers, self._max_import)
        elif scope.method != "GET" or "content-length" in headers or "transfer-encoding" in headers:
            most = self._max_batch if operation.large else self._max_body
            if at.raw is None:
                at.raw = await self._bodies.read(at.proto, headers, most, key.tenant)
            raw = at.raw
        request = Request(
            operation, key, at.request_id, path, given, headers, raw, None, self._parts.cursors, None, pieces
        )
        if operation.addressed:
            request.client, request.connected_from = at.client, scope.client
        if "fields" in given:
            request.chosen = shaping.chosen_fields(request)
        if len(raw) > LARGE_BYTES:
            return await self._run_large(request, at)
        self._parse(request)
        # Only operations with `item` have long polls, since a field of a collection may be called `wait`.
        waits = operation.item is not None and given.get("wait")
        if operation.stream or operation.incoming or operation.outgoing or waits:
            at.waited = not operation.incoming
            with self._parts.open_calls.one_more(key):
                return await self._answer(request, at)
        answer = await operation.handler(self._parts, request)
        if operation.item is None and isinstance(answer, Answer):
            return answer
        return await self._finished(request, answer, at)

    def _known(self, operation: Operation, at: Exchange) -> Key:
        """Who calls, by a key, or by a ticket if the operation takes one. The caller has the required scope.

        Raises Unauthorized, Forbidden or LimitReached.
        """
        authorization, now = at.headers.get("authorization"), self._clock.now()
        if operation.ticketed and authorization is None and (text := query.one(at.scope.query_string, PARAMETER)):
            at.ticket = self.access.ticket(text, at.client, now)
            key = at.ticket.key
        else:
            key = self.access.key(authorization, at.client, now)
        if "origin" in at.headers:
            self._cors.narrow(at.extra, at.headers["origin"], key)
        scope = operation.scope
        if scope is not None and scope not in key.scopes and EVERYTHING not in key.scopes and operation.per_key is None:
            key.need(scope)
        return key

    def shown_key(self, at: Exchange) -> str | None:
        """The Authorization header, if it should contain a key."""
        return at.headers.get("authorization")

    async def count(self, key: Key, at: Exchange) -> None:
        """Count a call of a key with limits, once. Raises LimitReached."""
        if at.limits is None:
            at.limits = await self.limits.take(key)
        at.extra.extend(at.limits)

    async def _run_large(self, request: Request, at: Exchange) -> Answer | None:
        """A large body is parsed and stored in its tenant's turn; see work.py."""
        work, size = self._parts.work, len(request.raw)
        listing = request.operation.listing
        await work.step()
        if listing is not None:
            self._parse(request)
            size += listing.weight * sum(each.elements for each in request.slices)
        async with work.place(request.key.tenant, size):
            await work.step()
            if listing is None and size > BESIDE_BYTES:
                # Parsing a megabyte of oddly written numbers takes a tenth of a second.
                await self._parts.receiver.beside.run(True, self._parse, request)
            elif listing is None:
                self._parse(request)
            return await self._answer(request, at)

    def _parse(self, request: Request) -> None:
        """Read the body into the form that its operation takes. Raises BadMedia, Malformed or Invalid."""
        operation, raw = request.operation, request.raw
        if operation.request is None or not (raw or not operation.request_optional):
            if raw:
                raise Malformed("This operation takes no body.", code="body_not_expected")
            return
        body.check_media(request.headers.get("content-type"), merge_patch=operation.merge_patch)
        if operation.listing is not None:
            request.slices = slices.split(raw, operation.listing, self._max_body)
        elif operation.method == "POST":
            request.body, request.value = body.read_body(raw, operation.request)
        else:
            given.read(request, raw)

    async def _answer(self, request: Request, at: Exchange) -> Answer | None:
        return await self._finished(request, await request.operation.handler(self._parts, request), at)

    async def _finished(self, request: Request, answer: Answer | Stream, at: Exchange) -> Answer | None:
        if isinstance(answer, Stream):
            self._packer.pack_stream(answer, at.headers)
            headers = [*_ALWAYS, *at.extra, ("request-id", at.request_id)]
            await run_stream(at.scope, at.proto, answer, headers, self._parts.feed)
            return None
        return answer if request.operation.item is None else shaping.finish(request, answer)

    def refuse(self, at: Exchange, wrong: Exception, operation: Operation | None) -> int:
        """Write the response for the exception; returns its status."""
        if operation is not None and operation.refusal is not None:
            return send_refusal(at, wrong, operation, JSON, operation.refusal)
        return send_refusal(at, wrong, operation, _PROBLEM, problem.problem)

    def _options(self, at: Exchange) -> None:
        path, asked = at.scope.path, at.headers
        if "access-control-request-method" in asked and "origin" in asked and self._cors.allows(asked["origin"]):
            # The preflight succeeds whatever the path: if it failed, the page could not read the refusal that follows.
            at.proto.response_empty(
                204, [*_ALWAYS, *self._cors.preflight(asked["origin"]), ("request-id", at.request_id)]
            )
            return
        allowed = list(METHODS) if path == "*" else self._routes.allowed(path)
        if not allowed:
            self._routes.find("OPTIONS", path)
        headers = [*_ALWAYS, *at.extra, ("request-id", at.request_id), ("allow", ", ".join(allowed))]
        at.proto.response_empty(204, headers)


def _encoded(answer: Answer) -> int:
    """Turn the body into bytes; returns how many there are."""
    if answer.body is None:
        return 0
    if type(answer.body) is not bytes:
        answer.body = _encode(answer.body)
    return len(answer.body)


def _send(at: Exchange, answer: Answer) -> None:
    """Write a whole response, whose body is bytes or None."""
    content = answer.body
    always = _ALWAYS if answer.cache is None else [*_COMMON, ("cache-control", answer.cache)]
    if content is None:
        headers = [*always, *answer.headers, *at.extra, ("request-id", at.request_id)]
        at.proto.response_empty(answer.status, headers)
        return
    base = JSON if answer.media == "application/json" else [*always, ("content-type", answer.media)]
    headers = [*base, *answer.headers, *at.extra, ("request-id", at.request_id)]
    at.proto.response_bytes(answer.status, headers, content)


def send_refusal(
    at: Exchange,
    wrong: Exception,
    operation: Operation | None,
    always: list[tuple[str, str]],
    body_of: Callable[[TidingsError, str], Any],
) -> int:
    """Write the response for the exception, with the body that `body_of` makes; returns its status."""
    if not isinstance(wrong, TidingsError):
        name = operation.name if operation else "request"
        about = {"request_id": at.request_id, "client": at.client}
        log.error("%s %s from %s failed", at.request_id, name, at.client, exc_info=wrong, extra=about)
        wrong = problem.Internal(at.request_id)
    headers = [*always, *problem.headers(wrong), *at.extra, ("request-id", at.request_id)]
    at.proto.response_bytes(wrong.status, headers, _encode(body_of(wrong, at.request_id)))
    return wrong.status
