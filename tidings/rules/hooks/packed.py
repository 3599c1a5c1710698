"""Compressed bodies: decompressed up to a limit, so that a small one cannot become a huge one."""

from __future__ import annotations

import zlib

from tidings.model.errors import TooLarge

SMALL_BYTES = 16 * 1024
TIMES_MAX = 1_032
"""The maximum factor by which decompression can enlarge a body, due to the format of the stream."""

_GZIP, _ZLIB, _RAW = 31, 15, -15
"""zlib's numbers for the three formats of its stream."""


def unpacked(body: bytes, encoding: str, most: int) -> bytes:
    """The body without its Content-Encoding; as received if that is unknown or wrong. Raises TooLarge."""
    named = encoding.strip().lower()
    if named in ("gzip", "x-gzip"):
        ways = [_GZIP]
    elif named == "deflate":
        # `deflate` means zlib's format in RFC 9110, but some senders omit its header.
        ways = [_ZLIB, _RAW]
    else:
        return body
    for form in ways:
        found = _unpacked(body, form, most)
        if found is not None:
            return found
    return body


def work_bytes(body: bytes, encoding: str, most: int) -> int:
    """How many bytes of work a body causes: its own size, or its possible decompressed size if that is more than
    SMALL_BYTES."""
    if not encoding:
        return len(body)
    try:
        return max(len(body), len(unpacked(body, encoding, min(SMALL_BYTES, most))))
    except TooLarge:
        return min(most, len(body) * TIMES_MAX)


def _unpacked(body: bytes, form: int, most: int) -> bytes | None:
    """The content of one or more streams, one after another; None if they are malformed or break off."""
    pieces: list[bytes] = []
    room, rest = most, body
    while rest:
        unpacker = zlib.decompressobj(wbits=form)
        try:
            piece = unpacker.decompress(rest, room + 1)
        except zlib.error:
            return None
        if len(piece) > room:
            raise TooLarge(f"The decompressed body has more than {most:,} bytes.")
        if not unpacker.eof:
            return None
        pieces.append(piece)
        room -= len(piece)
        rest = unpacker.unused_data
    return b"".join(pieces)
