"""Requests that only the node that sends can answer, passed on to it by a node that takes in (docs/decisions/0074).

A request leaves as received: method, path, query, headers, and the body as it arrives; so does the response. What
belongs to a connection is left out, and a sealed header says who the caller is (callers/forwarded.py). A request that
was passed on is never passed on again: where the sender has just changed, it is refused, and so is what cannot reach
it. Nothing is sent anywhere but to the address that the store has of the present sender.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tidings.model.errors import Malformed, TidingsError, TooLarge, Unavailable
from tidings.net.onward import DISCARDED_BYTES_MAX, SAFE, BrokenOff, NotConnected, Onward, OnwardReply, OnwardRequest
from tidings.rules.share import Share
from tidings.store.catalog_rows import stored_version
from tidings.store.engines.nodes import FROZEN_SECONDS, Sender
from tidings.store.engines.nodes import sender as find_sender
from tidings.store.readers import OWN_READS
from tidings.store.writer import Writer
from tidings.web.callers.forwarded import HEADER, ForwardedSeal
from tidings.web.wire import problem
from tidings.web.wire.streaming import CutOff, pour

if TYPE_CHECKING:
    # This is one of them.
    from tidings.web.parts import Parts

CATCH_UP_SECONDS = 2.0
ASK_SECONDS = 2.0
LOOK_SECONDS = 1.0
"""How often to ask who sends, while requests wait for it."""
AGAIN_SECONDS = 1.0
MOST = 1_000
"""Requests under way to the sender, of which one address may hold its share (rules/share.py)."""
WHOLE_BYTES_MAX = 64 * 1024
"""A response that is not longer is passed on in one piece, as received."""
LOG_SECONDS = 10.0
PATH_SAFE = "/:@!$&'()*+,;=~"
"""What a path may have unencoded (RFC 3986), beside letters, digits and `-._`."""

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
"""Headers about one connection (RFC 9110, 7.6.1)."""

UNKNOWN = "Whether it carried the request out is unknown: look before you repeat it, or repeat it with its key."
_AS_IT_IS = "!\"#$%&'()*+,/:;<=>?@[\\]^`{|}~"
"""A query was never decoded, so only what is not ASCII is encoded."""

log = logging.getLogger("tidings.nodes")


class Forwarding:
    """Passes requests on to the node that sends. Belongs to one event loop."""

    def __init__(self, node: str, seal: ForwardedSeal, ca_file: str = "") -> None:
        """`node`: the id of this one. `ca_file`: certificates to trust, if the nodes are behind TLS."""
        self._node, self._seal = node, seal
        self._onward = Onward(ca_file or None)
        self._share = Share("forwarded", MOST)
        self._known: Sender | None = None
        self._known_until = self._ask_at = self._log_at = 0.0
        self._asking: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Break off what is under way; the server is stopping."""
        self._onward.close()

    async def pass_on(
        self, parts: Parts, scope: Any, proto: Any, client: str, bytes_max: int, raw: bytes | None = None
    ) -> int:
        """Have the sender answer a request; returns the status. `raw`: the body, if it was read already.

        Raises Unavailable if that is impossible, and what reading the body raises.
        """
        if self._seal.of(scope) is not None:
            raise _unavailable("The node that sends has just changed.")
        host = client.rpartition(":")[0]
        if not self._share.take(host, 1):
            raise _unavailable("Too many requests to the node that sends are under way.")
        try:
            sender = await self._sender(parts)
            request = self._request(parts, scope, proto, client, bytes_max, raw)
            reply = await self._reply(parts, proto, sender, request)
            try:
                if request.method not in SAFE and reply.status < 400:
                    # Who reads the response may ask this node next.
                    await catch_up(parts.writer)
                return await _give(parts, scope, proto, reply)
            finally:
                await reply.end()
        finally:
            self._share.give_back(host, 1)

    # --- who sends ---------------------------------------------------------------------------------------------------

    async def find(self, parts: Parts) -> Sender | None:
        """Ask the store who sends. Raises TidingsError or TimeoutError."""
        async with asyncio.timeout(ASK_SECONDS):
            return await parts.readers.call(find_sender, OWN_READS)

    async def _sender(self, parts: Parts) -> Sender:
        """Raises Unavailable if nobody sends, or this is not known for certain."""
        if time.monotonic() >= self._ask_at:
            if self._asking is None:
                # One question at a time, for all that wait.
                self._asking = asyncio.ensure_future(self._ask(parts))
            await asyncio.shield(self._asking)
        known = self._known
        if known is None or time.monotonic() >= self._known_until or known.node == self._node:
            raise _unavailable("No node sends at this moment; within seconds one does.")
        return known

    async def _ask(self, parts: Parts) -> None:
        try:
            found = await self.find(parts)
        except (TidingsError, TimeoutError):
            # The store does not answer: what it said last is valid for as long as it said.
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

    def _request(
        self, parts: Parts, scope: Any, proto: Any, client: str, bytes_max: int, raw: bytes | None
    ) -> OnwardRequest:
        given = scope.headers.items()
        headers, dropped = dict(given), _of_connection(given) - {"host"} | {HEADER, "content-length"}
        lines = [(name, value) for name, value in given if name not in dropped]
        lines.append((HEADER, self._seal.make(scope, self._node, client, parts.catalog.now.version)))
        query = scope.query_string
        target = quote(scope.path, safe=PATH_SAFE) + (f"?{quote(query, safe=_AS_IT_IS)}" if query else "")
        if raw is not None:
            return OnwardRequest(scope.method, target, lines, _once(raw) if raw else None, len(raw))
        length = headers.get("content-length")
        if length is None and "transfer-encoding" not in headers:
            return OnwardRequest(scope.method, target, lines)
        if length == "0":
            return OnwardRequest(scope.method, target, lines, None, 0)
        if length is not None and int(length) > bytes_max:
            raise TooLarge(f"The body may have at most {bytes_max:,} bytes here.")
        # If it is in chunks, the sender counts, and says how many are too many; what follows is only read then.
        body = parts.bodies.pieces(proto, headers, bytes_max + DISCARDED_BYTES_MAX)
        return OnwardRequest(scope.method, target, lines, body, None if length is None else int(length))

    async def _reply(self, parts: Parts, proto: Any, sender: Sender, request: OnwardRequest) -> OnwardReply:
        """The head of the response. While it is awaited, the sender must stay the sender, and the caller must stay."""
        sending = asyncio.ensure_future(self._onward.send(sender.address, request))
        gone = asyncio.ensure_future(proto.client_disconnect())
        try:
            while not sending.done():
                await asyncio.wait({sending, gone}, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if sending.done():
                    break
                if gone.done():
                    raise _unavailable("The caller has left.")
                if not await self._sends_still(parts, sender):
                    raise _unavailable(f"The node that sends did not answer. {UNKNOWN}")
            return sending.result()
        except NotConnected as wrong:
            self._ask_at = 0.0
            self._note(f"the node that sends cannot be reached at {sender.address}: {wrong}")
            raise _unavailable("The node that sends cannot be reached from here.") from None
        except BrokenOff as wrong:
            self._ask_at = 0.0
            self._note(f"the node that sends, at {sender.address}, broke off: {wrong}")
            raise _unavailable(f"The node that sends broke off before it answered. {UNKNOWN}") from None
        except ValueError as wrong:
            raise Malformed(f"This request cannot be passed on: {wrong}.") from None
        finally:
            gone.cancel()
            if not sending.done():
                sending.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await sending

    def _note(self, said: str) -> None:
        """Log it, but not for each request."""
        if time.monotonic() >= self._log_at:
            self._log_at = time.monotonic() + LOG_SECONDS
            log.warning("%s", said)


async def catch_up(writer: Writer) -> None:
    """Have this node know every change of the catalogue that is committed, as far as that is possible now."""
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
        raise _unavailable(f"The node that sends broke off in its response. {UNKNOWN}") from None
    if body:
        headers = [(name, value) for name, value in headers if name != "content-length"]
        proto.response_bytes(reply.status, headers, body)
    else:
        proto.response_empty(reply.status, headers)
    return reply.status


async def _once(raw: bytes) -> AsyncIterator[bytes]:
    yield raw


async def _relayed(pieces: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    try:
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                yield piece
    except BrokenOff as wrong:
        raise CutOff(f"the node that sends broke off: {wrong}") from None
