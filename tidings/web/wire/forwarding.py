"""Requests that only the node that sends can answer, passed on to it by a node that takes in (docs/decisions/0074).

A request leaves as received: method, path, query, headers, and body; so does the response. What belongs to a
connection is left out, and a sealed header says who the caller is (callers/forwarded.py). A request that was passed on
is never passed on again: if the sender has just changed, or cannot be reached, it is refused. Nothing is sent anywhere
except to the present sender's address in the store.

A small body is read before a place is taken, so a slow caller keeps nobody else waiting. A large one is passed on
as it arrives; such requests have places of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import msgspec

from tidings.model.errors import Malformed, TidingsError, TooLarge, Unavailable
from tidings.net.onward import DISCARDED_BYTES_MAX, SAFE, BrokenOff, NotConnected, Onward, OnwardReply, OnwardRequest
from tidings.rules.share import Share
from tidings.store.catalog_rows import stored_version
from tidings.store.engines.nodes import FROZEN_SECONDS, Sender
from tidings.store.engines.nodes import sender as find_sender
from tidings.store.readers import OWN_READS
from tidings.store.writer import Writer
from tidings.web.callers.forwarded import HEADER, ForwardedSeal, Line, passed_on
from tidings.web.wire import problem
from tidings.web.wire.bodies.reading import LARGE_BYTES
from tidings.web.wire.streaming import CutOff, pour

if TYPE_CHECKING:
    # One of the parts is a Forwarding.
    from tidings.web.parts import Parts

CATCH_UP_SECONDS = 2.0
ASK_SECONDS = 2.0
LOOK_SECONDS = 1.0
"""How often to ask the store which node sends, while requests wait for the answer."""
AGAIN_SECONDS = 1.0
MOST, LARGE_MOST = 1_000, 250
"""The maximum number of requests in progress to the sender, and separately of those with large bodies; one address may
hold its share of each (rules/share.py)."""
HEADERS_MAX = 100
"""The HTTP server accepts no request with more headers."""
WHOLE_BYTES_MAX = 64 * 1024
"""Responses up to this size are passed on in one piece, as received."""
LOG_SECONDS = 10.0
PATH_SAFE = "/:@!$&'()*+,;=~"
"""What a path may contain unencoded (RFC 3986), in addition to letters, digits and `-._`."""

OF_CONNECTIONS = {
    "connection",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
"""Headers that concern only one connection (RFC 9110, 7.6.1)."""

UNKNOWN = (
    "It is unknown whether the request was carried out: check before you repeat it, or repeat it with the same "
    "Idempotency-Key."
)
_AS_IT_IS = "!\"#$%&'()*+,/:;<=>?@[\\]^`{|}~"
"""What a query may contain unencoded: it was never decoded, so only characters outside ASCII are encoded."""

log = logging.getLogger("tidings.nodes")


class Arrived(msgspec.Struct, frozen=True, kw_only=True):
    """A request to pass on."""

    scope: Any
    proto: Any
    client: str
    """The caller's `address:port`."""
    bytes_max: int
    """The maximum size of the request's body."""
    raw: bytes | None = None
    """The body, if it has already been read."""
    limits: list[Line] | None = None
    """The RateLimit headers, if the call has already been counted."""


class _Body(NamedTuple):
    """A body: whole, or in pieces as they arrive; if both are None, there is none."""

    whole: bytes | None = None
    pieces: AsyncGenerator[bytes] | None = None
    length: int | None = None
    """The length of all pieces together, if it is known."""


class Forwarding:
    """Passes requests on to the node that sends. Belongs to one event loop."""

    def __init__(self, node: str, seal: ForwardedSeal, ca_file: str = "") -> None:
        """`node`: the id of this one. `ca_file`: certificates to trust, if the nodes are behind TLS."""
        self._node, self._seal = node, seal
        self._onward = Onward(ca_file or None)
        self._share, self._large = Share("forwarded", MOST), Share("forwarded large", LARGE_MOST)
        self._known: Sender | None = None
        self._known_until = self._ask_at = self._log_at = 0.0
        self._asking: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Break off requests in progress, because the server is stopping."""
        self._onward.close()

    async def pass_on(self, parts: Parts, arrived: Arrived) -> int:
        """Have the sender answer a request; returns the status.

        Raises Unavailable if that is impossible, and what reading the body raises.
        """
        if passed_on(arrived.scope) is not None:
            raise _unavailable("The sending node has just changed.")
        body = await _body(parts, arrived)
        share, host = self._share if body.pieces is None else self._large, arrived.client.rpartition(":")[0]
        if not share.take(host):
            raise _unavailable("Too many requests to the sending node are in progress.")
        try:
            sender = await self._sender(parts)
            request = self._request(parts, arrived, sender, body)
            reply = await self._reply(parts, arrived.proto, sender, request)
            try:
                if request.method not in SAFE and reply.status < 400:
                    # The caller that reads the response may call this node next.
                    await catch_up(parts.writer)
                return await _give(parts, arrived.scope, arrived.proto, reply)
            finally:
                await reply.end()
        finally:
            share.give_back(host)

    # --- who sends ---------------------------------------------------------------------------------------------------

    async def find(self, parts: Parts) -> Sender | None:
        """Ask the store who sends. Raises TidingsError or TimeoutError."""
        async with asyncio.timeout(ASK_SECONDS):
            return await parts.readers.call(find_sender, OWN_READS)

    async def _sender(self, parts: Parts) -> Sender:
        """Raises Unavailable if no node sends, or if this is not certain."""
        if time.monotonic() >= self._ask_at:
            if self._asking is None:
                # One question at a time, for all that wait.
                self._asking = asyncio.ensure_future(self._ask(parts))
            await asyncio.shield(self._asking)
        known = self._known
        if known is None or time.monotonic() >= self._known_until or known.node == self._node:
            raise _unavailable("No node is sending right now; one should take over within seconds.")
        return known

    async def _ask(self, parts: Parts) -> None:
        try:
            found = await self.find(parts)
        except (TidingsError, TimeoutError):
            # The store does not answer: its last answer is valid for as long as it said.
            self._ask_at = time.monotonic() + LOOK_SECONDS / 4
            return
        finally:
            self._asking = None
        now = time.monotonic()
        self._known, self._ask_at = found, now + LOOK_SECONDS
        self._known_until = 0.0 if found is None else now + FROZEN_SECONDS - found.heard_seconds

    async def _sends_still(self, parts: Parts, sender: Sender) -> bool:
        try:
            return (await self._sender(parts))[:2] == sender[:2]
        except Unavailable:
            return False

    # --- there and back ----------------------------------------------------------------------------------------------

    def _request(self, parts: Parts, arrived: Arrived, sender: Sender, body: _Body) -> OnwardRequest:
        scope, given = arrived.scope, arrived.scope.headers.items()
        dropped = _of_connection(given) - {"host"} | {HEADER, "content-length"}
        lines = [(name, value) for name, value in given if name not in dropped]
        framed = body != _Body()
        beside = _taken_out(lines) if len(lines) + framed >= HEADERS_MAX else None

        def headers() -> list[Line]:
            version = parts.catalog.now.version
            sealed = self._seal.make(scope, sender.node, arrived.client, version, arrived.limits, beside)
            return [*lines, (HEADER, sealed)]

        query = scope.query_string
        target = quote(scope.path, safe=PATH_SAFE) + (f"?{quote(query, safe=_AS_IT_IS)}" if query else "")
        pieces, length = body.pieces, body.length
        if body.whole is not None:
            pieces, length = _once(body.whole) if body.whole else None, len(body.whole)
        return OnwardRequest(scope.method, target, headers, pieces, length)

    async def _reply(self, parts: Parts, proto: Any, sender: Sender, request: OnwardRequest) -> OnwardReply:
        """The head of the response. While it is awaited, the sender must stay the sender, and the caller must stay."""
        sending = asyncio.ensure_future(self._onward.send(sender.address, request))
        gone = asyncio.ensure_future(proto.client_disconnect())
        is_taken = False
        try:
            while not sending.done():
                await asyncio.wait({sending, gone}, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if sending.done():
                    break
                if gone.done():
                    raise _unavailable("The caller has disconnected.")
                if not await self._sends_still(parts, sender):
                    raise _unavailable(f"The sending node did not answer. {UNKNOWN}")
            reply, is_taken = sending.result(), True
            return reply
        except NotConnected as wrong:
            self._ask_at = 0.0
            self._note(f"the node that sends cannot be reached at {sender.address}: {wrong}")
            raise _unavailable("The sending node cannot be reached from here.") from None
        except BrokenOff as wrong:
            self._ask_at = 0.0
            self._note(f"the node that sends, at {sender.address}, broke off: {wrong}")
            raise _unavailable(f"The sending node closed the connection before it answered. {UNKNOWN}") from None
        except ValueError as wrong:
            raise Malformed(f"This request cannot be passed on: {wrong}.") from None
        finally:
            gone.cancel()
            if not is_taken:
                await _abandoned(sending)
            # The task's exception refers to this frame. If the frame referred to the task, the caller's connection
            # would stay open.
            del sending, gone

    def _note(self, said: str) -> None:
        """Log it, but not for each request."""
        if time.monotonic() >= self._log_at:
            self._log_at = time.monotonic() + LOG_SECONDS
            log.warning("%s", said)


async def catch_up(writer: Writer) -> None:
    """Bring this node up to date with every committed change of the catalogue, as far as that is possible now."""
    with contextlib.suppress(TidingsError, TimeoutError):
        await asyncio.wait_for(writer.call(stored_version), CATCH_UP_SECONDS)


def _unavailable(why: str) -> Unavailable:
    return Unavailable(why, retry_after_seconds=AGAIN_SECONDS)


def _of_connection(headers: Iterable[tuple[str, str]]) -> set[str]:
    """The names of the headers that belong to the connection: always, and those that it names itself."""
    named = [value for name, value in headers if name == "connection"]
    return OF_CONNECTIONS | {name.strip().lower() for value in named for name in value.split(",")}


async def _give(parts: Parts, scope: Any, proto: Any, reply: OnwardReply) -> int:
    """Write the response as received."""
    dropped = _of_connection(reply.headers)
    headers = [(name, value) for name, value in reply.headers if name not in dropped]
    if reply.status in (408, 413):
        # Not all of the body was read, so no other request can follow it.
        headers.append(problem.CLOSE)
    if reply.length is None or reply.length > WHOLE_BYTES_MAX:
        await pour(scope, proto, reply.status, headers, _relayed(reply.pieces), parts.feed, whole=True)
        return reply.status
    try:
        body = b"".join([piece async for piece in reply.pieces])
    except BrokenOff:
        raise _unavailable(f"The sending node closed the connection in the middle of its response. {UNKNOWN}") from None
    if body:
        headers = [(name, value) for name, value in headers if name != "content-length"]
        proto.response_bytes(reply.status, headers, body)
    else:
        proto.response_empty(reply.status, headers)
    return reply.status


async def _abandoned(sending: asyncio.Task[OnwardReply]) -> None:
    """End a request that nobody waits for any more, or its response, if that has arrived in the meantime."""
    sending.cancel()
    # The exception is not raised again: it would refer to this frame, and so to the task.
    await asyncio.wait({sending})
    if not sending.cancelled() and sending.exception() is None:
        await sending.result().end()


async def _body(parts: Parts, arrived: Arrived) -> _Body:
    """The body: whole if it is small, or was read before. Raises what reading it raises."""
    if arrived.raw is not None:
        return _Body(arrived.raw)
    headers = dict(arrived.scope.headers.items())
    length = int(headers["content-length"]) if "content-length" in headers else None
    if length is None and "transfer-encoding" not in headers:
        return _Body()
    if length is not None and length > arrived.bytes_max:
        raise TooLarge(f"The body can be at most {arrived.bytes_max:,} bytes long here.")
    if length is not None and length <= LARGE_BYTES:
        return _Body(await parts.bodies.read(arrived.proto, headers, LARGE_BYTES, None))
    # If it is in chunks, the sender counts, and says how many are too many; what follows is only read then.
    pieces = parts.bodies.pieces(arrived.proto, headers, arrived.bytes_max + DISCARDED_BYTES_MAX)
    if length is not None:
        return _Body(None, pieces, length)
    begun, size = list[bytes](), 0
    while size <= LARGE_BYTES:
        piece = await anext(pieces, None)
        if piece is None:
            return _Body(b"".join(begun))
        begun.append(piece)
        size += len(piece)
    return _Body(None, _after(begun, pieces))


async def _after(begun: list[bytes], pieces: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with contextlib.aclosing(pieces):
        for piece in begun:
            yield piece
        async for piece in pieces:
            yield piece


def _taken_out(lines: list[Line]) -> Line:
    """Take a header out that is short, and not repeated if there is such a one, so that its place does not matter."""
    names = Counter(name for name, _ in lines)
    place = min(range(len(lines)), key=lambda at: (lines[at][0] == "host", names[lines[at][0]], len(lines[at][1])))
    return lines.pop(place)


async def _once(raw: bytes) -> AsyncGenerator[bytes]:
    yield raw


async def _relayed(pieces: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    try:
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                yield piece
    except BrokenOff as wrong:
        raise CutOff(f"the node that sends broke off: {wrong}") from None
