"""The sender's connection to a helper: one POST whose body and response are both open as long as it lasts."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from tidings.net.helping.helper import Helper
from tidings.net.helping.messages import ErrandAnswer, ErrandAnswers, Errands, Unpacker, packed
from tidings.net.http1 import Framing, read_head
from tidings.net.onward import Streams
from tidings.rules.nodes.helping import SILENT_SECONDS

BEAT_SECONDS = 0.5
"""How often each side says something, also if there is nothing to say."""
BUFFER_BYTES = 1024 * 1024
"""A helper for which more than this is unsent gets no more errands until it has read that."""


class NotHelping(Exception):
    """The node does not help: it answered with this status."""


class HelperStream:
    """One connection, from the moment it is open. Belongs to the event loop."""

    def __init__(self, helper: Helper, streams: Streams, may_send: Callable[[], bool] = lambda: True) -> None:
        """`may_send`: whether this node may send at this moment."""
        self.helper, self._may_send = helper, may_send
        self._reader, self._writer = streams
        self._writer.transport.set_write_buffer_limits(high=BUFFER_BYTES)
        self._heard: float | None = None
        self._heard_at = time.monotonic()
        self.leaves = self._is_full = False
        """Whether the helper takes no more errands."""

    @property
    def has_spoken(self) -> bool:
        """Whether the helper has said anything."""
        return self._heard is not None

    @property
    def is_ready(self) -> bool:
        """Whether the helper has said something, and takes errands."""
        return self._heard is not None and not (self.leaves or self._is_full or self.helper.is_lost)

    async def run(self, head: bytes) -> None:
        """Talk until one side ends it, or is silent. `head`: of the request. Raises NotHelping, if it does not help."""
        talking: list[asyncio.Task[None]] = []
        try:
            self._writer.write(head)
            async with asyncio.timeout(SILENT_SECONDS):
                status, headers = await read_head(self._reader)
            if status != 200:
                raise NotHelping(str(status))
            framing = Framing.of_response("POST", status, headers)
            talking = [asyncio.ensure_future(self._listen(framing)), asyncio.ensure_future(self._tell())]
            await asyncio.wait(talking, return_when=asyncio.FIRST_COMPLETED)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError, TimeoutError):
            return
        finally:
            self.helper.lost()
            # Nobody wants what is unsent: it will be sent from here.
            self._writer.transport.abort()
            for each in talking:
                each.cancel()
            if talking:
                await asyncio.wait(talking)

    async def _listen(self, framing: Framing) -> None:
        unpacker = Unpacker(ErrandAnswers)
        with contextlib.suppress(OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            async for piece in framing.pieces(self._reader):
                self._heard_at = time.monotonic()
                for message in unpacker.messages(piece):
                    self._heard = message.at
                    self.leaves, self._is_full = message.leaves, message.is_full
                    self.helper.answered(message.answers)

    async def _tell(self) -> None:
        helper = self.helper
        with contextlib.suppress(OSError, TimeoutError):
            while time.monotonic() - self._heard_at < SILENT_SECONDS and not helper.is_lost:
                if self._heard is None:
                    await asyncio.sleep(BEAT_SECONDS / 10)
                    continue
                errands = await helper.errands(BEAT_SECONDS)
                if self._writer.is_closing():
                    return
                if errands and not self._may_send():
                    # This node may have been frozen since it gave them.
                    helper.answered([ErrandAnswer(each.number, None) for each in errands])
                    errands = []
                content = packed(Errands(self._heard, helper.parts, errands))
                self._writer.write(b"%x\r\n%b\r\n" % (len(content), content))
                helper.is_full = self._writer.transport.get_write_buffer_size() > BUFFER_BYTES
                async with asyncio.timeout(SILENT_SECONDS):
                    await self._writer.drain()
                helper.is_full = False
