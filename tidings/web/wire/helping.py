"""Among joined nodes: how a busy sender finds helpers, and where a helper takes its errands (docs/decisions/0083).

The sender opens one POST to each helper, whose sealed header only a node of the same database can make. What both say
is in `net/helping`; who gets what is in `rules/nodes/helping.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from tidings.model.errors import TidingsError
from tidings.net.fetch import Fetcher
from tidings.net.helping.carrier import Carrier
from tidings.net.helping.client import Helpers
from tidings.net.helping.helper import Helper
from tidings.net.helping.messages import Errands, Unpacker, packed
from tidings.net.helping.stream import BEAT_SECONDS, HelperStream, NotHelping
from tidings.net.http1 import head_of
from tidings.net.onward import CONNECT_SECONDS, dial
from tidings.rules.nodes.beats import FROZEN_SECONDS
from tidings.store.engines.nodes import Seen, helpers_of, uptime
from tidings.store.readers import OWN_READS, Readers
from tidings.web.callers.forwarded import HEADER, ForwardedSeal

PATH = "/-/requests"
"""Where a node takes errands; no public path begins like this."""
LOOK_SECONDS, ASK_SECONDS = 1.0, 2.0
AGAIN_SECONDS, UNABLE_SECONDS = 5.0, 60.0
"""How long a node that could not be reached is left alone, and one that does not help, as its version is older."""
FINISH_SECONDS, LET_FINISH_SECONDS = 2.0, 6.0
"""How long an ending helper continues with what it was given, and how long an ending sender waits for that: as long as
for requests of its own."""

log = logging.getLogger("tidings.nodes")


class HelpDoor:
    """Where a node that takes in sends requests for the sender. Belongs to one event loop."""

    def __init__(self, fetcher: Fetcher) -> None:
        """`fetcher`: sends the requests."""
        self._fetcher = fetcher
        self._carriers: set[Carrier] = set()
        self._ending = asyncio.Event()

    @property
    def parts(self) -> int:
        """For how many parts of the endpoints this node sends; from any thread."""
        return max((each.parts for each in tuple(self._carriers)), default=0)

    async def take(self, proto: Any) -> None:
        """Serve a request that a node has sealed, as long as it lasts."""
        carrier = Carrier(self._fetcher.start, uptime)
        self._carriers.add(carrier)
        talking = [
            asyncio.ensure_future(_listen(proto, carrier)),
            asyncio.ensure_future(_tell(proto.response_stream(200, []), carrier)),
            asyncio.ensure_future(self._ending.wait()),
        ]
        log.info("this server sends requests for the sender from now on")
        try:
            await asyncio.wait(talking, return_when=asyncio.FIRST_COMPLETED)
        finally:
            log.info("this server no longer sends requests for the sender")
            carrier.end()
            self._carriers.discard(carrier)
            for each in talking:
                each.cancel()
            await asyncio.wait(talking)
            for each in talking:
                if not each.cancelled() and (wrong := each.exception()) is not None:
                    log.error("requests for the sender cannot be taken any longer", exc_info=wrong)

    async def stop(self) -> None:
        """Take no more errands, and end once those that are there are answered, or after a moment."""
        for each in self._carriers:
            each.leave()
        until = time.monotonic() + FINISH_SECONDS
        while any(each.is_awaited for each in self._carriers) and time.monotonic() < until:
            await asyncio.sleep(0.02)
        self._ending.set()


async def _listen(proto: Any, carrier: Carrier) -> None:
    """Take errands until the sender is silent, or has ended."""
    unpacker, pieces = Unpacker(Errands), aiter(proto)
    with contextlib.suppress(StopAsyncIteration, TimeoutError):
        while True:
            async with asyncio.timeout(FROZEN_SECONDS):
                piece = await anext(pieces)
            for message in unpacker.messages(bytes(piece)):
                carrier.take(message)


async def _tell(transport: Any, carrier: Carrier) -> None:
    """Report the results of errands."""
    # What the server raises when the connection is closed already.
    with contextlib.suppress(RuntimeError):
        while True:
            message = await carrier.answers(BEAT_SECONDS)
            await transport.send_bytes(packed(message))
            carrier.said(message)


class HelpWanted:
    """Keeps connections to helpers as long as the sender gives parts away. Belongs to one event loop."""

    def __init__(
        self,
        helpers: Helpers,
        node: str,
        seal: ForwardedSeal,
        readers: Readers,
        ca_file: str,
        version: Callable[[], int],
    ) -> None:
        """`node`: the id of this one. `ca_file`: certificates to trust, if nodes are behind TLS. `version`: of the
        catalogue."""
        self._helpers, self._node, self._seal, self._readers = helpers, node, seal, readers
        self._ca_file, self._version = ca_file or None, version
        self._streams: dict[str, HelperStream] = {}
        self._leaving: list[HelperStream] = []
        self._talks: dict[str, asyncio.Task[None]] = {}
        self._rests: dict[str, float] = {}
        """By id: until when a node is not asked again."""
        self._said: set[str] = set()
        """Nodes that do not help, as was logged."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look whether the sender is busy."""
        self._task = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        """Give nothing away any more, and wait for answers, if this node may still send. The rest is left to the next
        sender.
        """
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._leave(self._streams.values())
        until = time.monotonic() + LET_FINISH_SECONDS
        while any(each.helper.waiting for each in self._leaving) and time.monotonic() < until:
            if not self._helpers.may_send():
                break
            await asyncio.sleep(0.02)
        self._helpers.ends = True
        for talk in self._talks.values():
            talk.cancel()
        if self._talks:
            await asyncio.wait(self._talks.values())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._helpers.load.given or self._streams or self._leaving:
                try:
                    await self._look()
                except Exception:
                    # Without helpers the sender does it all.
                    log.exception("helpers cannot be looked after")

    async def _look(self) -> None:
        """Open connections to nodes that could help, end those that are no longer needed, and share the parts out."""
        there = await self._there() if self._helpers.load.given else {}
        if there is not None:
            now = time.monotonic()
            for node, seen in there.items():
                if node not in self._talks and self._rests.get(node, 0.0) <= now:
                    self._talks[node] = asyncio.ensure_future(self._talk(seen))
            self._leave([each for node, each in self._streams.items() if node not in there])
        for each in [each for each in self._leaving if not each.helper.waiting]:
            self._leaving.remove(each)
            each.helper.lost()
        self._share_out()

    async def _there(self) -> dict[str, Seen] | None:
        """The nodes that could help, by id; None if the store does not answer."""
        try:
            async with asyncio.timeout(ASK_SECONDS):
                found: list[Seen] = await self._readers.call(helpers_of, OWN_READS)
        except (TidingsError, TimeoutError):
            return None
        return {each.id: each for each in found if each.id != self._node}

    async def _talk(self, seen: Seen) -> None:
        """Talk with one helper until it ends, or is not needed."""
        node, address, stream = seen.id, seen.address or "", None
        rest_seconds, why = UNABLE_SECONDS, ""
        try:
            head = self._head(node, address)
            async with asyncio.timeout(CONNECT_SECONDS):
                streams = await dial(address, self._ca_file)
            stream = self._streams[node] = HelperStream(
                Helper(node, self._helpers.wake), streams, self._helpers.may_send
            )
            await stream.run(head)
            if node not in self._streams:
                rest_seconds = 0.0
            elif stream.has_spoken:
                rest_seconds = AGAIN_SECONDS
                if not stream.leaves and self._helpers.may_send():
                    log.warning("%s no longer helps to send; the sender repeats what it had not answered", seen.name)
            else:
                why = f"it said nothing at {address}; is there a proxy that buffers requests?"
        except NotHelping as wrong:
            why = f"it answered {wrong}; is it of an older version?"
        except (OSError, ValueError, TimeoutError) as wrong:
            why = f"it cannot be reached at {address}: {str(wrong) or 'no connection in time'}"
        finally:
            self._rests[node] = time.monotonic() + rest_seconds
            self._talks.pop(node, None)
            # Kept until what it has not answered was taken back.
            self._leave([stream] if stream is not None else [])
        if why and node not in self._said:
            self._said.add(node)
            log.warning("%s does not help to send: %s", seen.name, why)

    def _head(self, node: str, address: str) -> bytes:
        scope = SimpleNamespace(method="POST", path=PATH, query_string="")
        sealed = self._seal.make(scope, node, "", self._version())
        headers = [("host", urlsplit(address).netloc), (HEADER, sealed), ("transfer-encoding", "chunked")]
        return head_of("POST", PATH, headers)

    def _leave(self, streams: Iterable[HelperStream]) -> None:
        """Give these nothing more, but wait for their answers."""
        for each in list(streams):
            if self._streams.get(each.helper.node) is each:
                del self._streams[each.helper.node]
                self._leaving.append(each)
        self._share_out()

    def _share_out(self) -> None:
        ready = {node: each.helper for node, each in self._streams.items() if each.is_ready}
        others = [each.helper for each in (*self._streams.values(), *self._leaving) if not each.is_ready]
        leaving = [each.helper for each in self._leaving if each.is_ready]
        self._helpers.share_out(ready, (*others, *leaving))
