"""HTTP/1.1 as our other nodes speak it (RFC 9112): the head of a request, and a response from its bytes.

It is strict: anything that could be read in two ways is refused with ValueError or EOFError, which ends the connection.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator

import msgspec

from tidings.model.digits import is_digits

PIECE_BYTES = 64 * 1024
CHUNK_LINE_BYTES_MAX, TRAILER_LINES_MAX = 200, 20
INTERIM_MAX = 5
"""The maximum number of interim responses (1xx) before the final response."""
DIGITS_MAX = 18

Headers = list[tuple[str, str]]

_STATUS = re.compile(r"HTTP/1\.1 ([1-9][0-9][0-9])(?: [^\r\n]*)?", re.ASCII)
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*)", re.ASCII)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[^\r\n]*)?\r\n")
_SAFE = re.compile(r"[\t\x20-\x7e]*", re.ASCII)
_TARGET = re.compile(r"[\x21-\x7e]+", re.ASCII)


def head_of(method: str, target: str, headers: Headers) -> bytes:
    """The bytes of a request up to its body. Raises ValueError if a value could end its line."""
    if not _TARGET.fullmatch(method) or not _TARGET.fullmatch(target):
        raise ValueError("the request line has characters that are not permitted")
    lines = [f"{method} {target} HTTP/1.1"]
    for name, value in headers:
        if not _FIELD.fullmatch(f"{name}:") or not _SAFE.fullmatch(value):
            raise ValueError(f"the header {name!r} has characters that are not permitted")
        lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


async def read_head(reader: asyncio.StreamReader) -> tuple[int, Headers]:
    """The status and the headers of a response, names in lower case. Raises ValueError, EOFError or OSError."""
    for _ in range(INTERIM_MAX):
        try:
            text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.LimitOverrunError:
            raise ValueError("the head of the response is too large") from None
        first, *lines = text[:-4].split("\r\n")
        status = _STATUS.fullmatch(first)
        if status is None:
            raise ValueError("this is not an HTTP/1.1 response")
        fields = [_FIELD.fullmatch(line) for line in lines]
        headers = [(each[1].lower(), each[2].rstrip(" \t")) for each in fields if each is not None]
        if len(headers) != len(lines):
            raise ValueError("the response has a line that is not a header")
        if status[1] == "101":
            raise ValueError("the response switches protocols, which was not requested")
        if not status[1].startswith("1"):
            return int(status[1]), headers
    raise ValueError("there are too many interim responses")


class Framing(msgspec.Struct, frozen=True):
    """Where a response's body ends."""

    length: int | None
    """The length of the body; None if the body is chunked, or ends with the connection."""
    is_chunked: bool
    keeps_alive: bool

    @staticmethod
    def of_request(length: int | None, *, has_body: bool) -> Headers:
        """The headers that frame a request's body."""
        if length is not None:
            return [("content-length", str(length))]
        return [("transfer-encoding", "chunked")] if has_body else []

    @classmethod
    def of_response(cls, method: str, status: int, headers: Headers) -> Framing:
        """How the body of a response is framed. Raises ValueError if that can be read in two ways."""
        lengths = {value for name, value in headers if name == "content-length"}
        codings = [value.lower() for name, value in headers if name == "transfer-encoding"]
        closes = any(name == "connection" and "close" in value.lower() for name, value in headers)
        if method == "HEAD" or status in (204, 304):
            return cls(0, is_chunked=False, keeps_alive=not closes)
        if codings:
            if lengths or codings != ["chunked"]:
                raise ValueError("the response gives its length in two ways, or in one that is unknown here")
            return cls(None, is_chunked=True, keeps_alive=not closes)
        if not lengths:
            return cls(None, is_chunked=False, keeps_alive=False)
        (length,) = lengths if len(lengths) == 1 else ("",)
        if not is_digits(length) or len(length) > DIGITS_MAX:
            raise ValueError("the response's length cannot be read")
        return cls(int(length), is_chunked=False, keeps_alive=not closes)

    async def pieces(self, reader: asyncio.StreamReader) -> AsyncGenerator[bytes]:
        """The body as it arrives. Raises EOFError if it breaks off, ValueError or OSError."""
        if self.is_chunked:
            while size := _size(await reader.readuntil(b"\r\n")):
                async for piece in _exactly(reader, size):
                    yield piece
                if await reader.readexactly(2) != b"\r\n":
                    raise ValueError("a chunk does not end where its size says")
            for _ in range(TRAILER_LINES_MAX):
                if await reader.readuntil(b"\r\n") == b"\r\n":
                    return
            raise ValueError("there are too many trailers")
        if self.length is not None:
            async for piece in _exactly(reader, self.length):
                yield piece
            return
        while piece := await reader.read(PIECE_BYTES):
            yield piece


async def _exactly(reader: asyncio.StreamReader, size: int) -> AsyncIterator[bytes]:
    while size:
        piece = await reader.read(min(size, PIECE_BYTES))
        if not piece:
            raise EOFError("the body broke off")
        size -= len(piece)
        yield piece


def _size(line: bytes) -> int:
    found = _CHUNK.fullmatch(line) if len(line) <= CHUNK_LINE_BYTES_MAX else None
    if found is None:
        raise ValueError("a chunk's size cannot be read")
    return int(found[1], 16)
