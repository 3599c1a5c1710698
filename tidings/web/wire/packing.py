"""Large responses as gzip, if the caller accepts that (Accept-Encoding, RFC 9110 12.5.3).

Responses that are small, contain a secret, or have a strong entity tag are sent unchanged; docs/decisions says why.
The fastest level is used, and larger ones are compressed slice by slice in a separate thread, so that nobody waits for
it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import zlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from tidings.web.operation import Answer, Operation, Stream

PACKED_BYTES_MIN = 8 * 1024
"""Smaller responses fit into a few packets anyway."""
AT_ONCE_BYTES_MAX = 32 * 1024
"""Larger responses are compressed next to the event loop; compressing this much takes a fifth of a millisecond."""
SLICE_BYTES = 128 * 1024
ACCEPTED_CHARS_MAX = 500
LEVEL = 1
GZIP_WINDOW = 31
VARY = ("vary", "Accept-Encoding")
_GZIP = ("content-encoding", "gzip")
_NAMES = ("gzip", "x-gzip")


def takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding accepts gzip. `q=0` means no, by name or by `*`; so does an overlong header."""
    return len(accepted) <= ACCEPTED_CHARS_MAX and _takes_gzip(accepted)


@lru_cache(maxsize=256)
def _takes_gzip(accepted: str) -> bool:
    named: bool | None = None
    others = False
    for part in accepted.lower().split(","):
        coding, *parameters = (each.strip() for each in part.split(";"))
        wanted = not any(_is_zero(each) for each in parameters)
        if coding in _NAMES:
            named = wanted if named is None else named or wanted
        elif coding == "*":
            others = wanted
    return others if named is None else named


def _is_zero(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.strip() == "q" and not value.strip().strip("0.")


class Packer:
    """Compresses responses. Belongs to one event loop."""

    def __init__(self) -> None:
        # The event loop's thread is kept on one processor, but this one need not be.
        self._processors = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
        self._pool = ThreadPoolExecutor(1, "packing", self._spread)

    async def pack(self, answer: Answer, operation: Operation, headers: dict[str, str]) -> None:
        """Pack a response whose body is bytes, at least PACKED_BYTES_MIN of them, if that is allowed."""
        if operation.secret or any(_forbids(*pair) for pair in answer.headers):
            return
        answer.headers = [*(pair for pair in answer.headers if pair != VARY), VARY]
        if not takes_gzip(headers.get("accept-encoding", "")):
            return
        content: bytes = answer.body
        packing = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP_WINDOW)
        if len(content) <= AT_ONCE_BYTES_MAX:
            answer.body = packing.compress(content) + packing.flush()
        else:
            view = memoryview(content)
            slices = [view[at : at + SLICE_BYTES] for at in range(0, len(content), SLICE_BYTES)]
            pieces = [await self._beside(packing.compress, each) for each in slices]
            answer.body = b"".join([*pieces, packing.flush()])
        answer.headers.append(_GZIP)

    def pack_stream(self, stream: Stream, headers: dict[str, str]) -> None:
        """Pack a stream that has an end; event streams stay unpacked, since events are to arrive one by one."""
        if not stream.whole:
            return
        stream.headers = [*stream.headers, VARY]
        if takes_gzip(headers.get("accept-encoding", "")):
            stream.headers.append(_GZIP)
            stream.pieces = self._packed(stream.pieces)

    async def _packed(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        packing = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP_WINDOW)
        try:
            async for piece in pieces:
                small = len(piece) <= AT_ONCE_BYTES_MAX
                packed = packing.compress(piece) if small else await self._beside(packing.compress, piece)
                if packed:
                    yield packed
            yield packing.flush()
        finally:
            await pieces.aclose()  # type: ignore[attr-defined]

    async def _beside(self, work: Callable[[bytes], bytes], piece: bytes | memoryview) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, piece)  # type: ignore[arg-type]

    def _spread(self) -> None:
        if self._processors:
            # Where the system forbids it, it packs on the processor of the others.
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, self._processors)


def _forbids(name: str, value: str) -> bool:
    """Whether this header forbids compression: a strong tag identifies exactly these bytes, and is what If-Match
    compares; an encoded response is already compressed.
    """
    return name == "content-encoding" or (name == "etag" and not value.startswith("W/"))
