"""What an import sends: a file, bytes, or rows, as chunks of bytes that can start over for another attempt."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tidings.client.values import as_text

PIECE_BYTES = 64 * 1024
MEDIA = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
ENDINGS = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}

Row = Mapping[str, Any]
Source = Path | IO[bytes] | bytes | Iterable[Row] | Iterable[bytes]
"""A path, an open binary file, the bytes of a file, chunks of a file, or rows (a dict for each item)."""
AsyncSource = Source | AsyncIterable[Row] | AsyncIterable[bytes]
Pieces = Iterator[bytes] | AsyncIterator[bytes]
Sent = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Upload:
    """A body that is sent in chunks. `begin` returns them from the start."""

    begin: Callable[[], Pieces]
    format: str
    again: bool
    """Whether `begin` can be called more than once, so that the request may be sent again."""
    length: int | None = None
    """The length of the body in bytes, if known."""

    @property
    def media(self) -> str:
        """Its media type."""
        return MEDIA[self.format]


def upload_of(source: AsyncSource, format: str | None, sent: Sent | None = None) -> Upload:
    """What to send. `format`: `csv` or `ndjson`; rows are always NDJSON, and a path's extension may imply the format.

    `sent` is called with the number of bytes sent so far. Raises ValueError if the format is unknown, and OSError.
    """
    if isinstance(source, Path):
        format = format or ENDINGS.get(source.suffix.lower())
        path = source
        return _upload(lambda: _of_path(path), _known(format), sent, again=True, length=path.stat().st_size)
    if isinstance(source, bytes):
        raw = source
        return _upload(lambda: _of_bytes(raw), _known(format), sent, again=True, length=len(raw))
    if hasattr(source, "read"):
        file: Any = source
        can_seek = bool(file.seekable())
        start = file.tell() if can_seek else 0
        return _upload(lambda: _of_file(file, start if can_seek else None), _known(format), sent, again=can_seek)
    if isinstance(source, AsyncIterable):
        rows = source
        return _upload(lambda: _encoded_async(rows), _known(format or "ndjson"), sent, again=False)
    each: Iterable[Any] = source
    return _upload(lambda: _encoded(each), _known(format or "ndjson"), sent, again=isinstance(each, Sequence))


def _known(format: str | None) -> str:
    if format is None:
        raise ValueError("Specify the file's format: format='csv' or format='ndjson'.")
    if format not in MEDIA:
        raise ValueError(f"The format must be csv or ndjson, not {format!r}.")
    return format


def _upload(
    begin: Callable[[], Pieces], format: str, sent: Sent | None, *, again: bool, length: int | None = None
) -> Upload:
    if sent is None:
        return Upload(begin, format, again, length)
    told = sent
    return Upload(lambda: _counted(begin(), told), format, again, length)


def _counted(pieces: Pieces, sent: Sent) -> Pieces:
    if isinstance(pieces, AsyncIterator):
        return _counted_async(pieces, sent)
    return _counted_sync(pieces, sent)


def _counted_sync(pieces: Iterator[bytes], sent: Sent) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        yield piece
        size += len(piece)
        sent(size)


async def _counted_async(pieces: AsyncIterator[bytes], sent: Sent) -> AsyncIterator[bytes]:
    size = 0
    async for piece in pieces:
        yield piece
        size += len(piece)
        sent(size)


def _of_path(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from _of_file(file, None)


def _of_file(file: IO[bytes], start: int | None) -> Iterator[bytes]:
    if start is not None:
        file.seek(start)
    while piece := file.read(PIECE_BYTES):
        yield piece


def _of_bytes(raw: bytes) -> Iterator[bytes]:
    for start in range(0, len(raw), PIECE_BYTES):
        yield raw[start : start + PIECE_BYTES]


def _encoded(source: Iterable[Any]) -> Iterator[bytes]:
    held: list[bytes] = []
    size = 0
    for each in source:
        piece = _line(each)
        held.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


async def _encoded_async(source: AsyncIterable[Any]) -> AsyncIterator[bytes]:
    held: list[bytes] = []
    size = 0
    async for each in source:
        piece = _line(each)
        held.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _line(each: Any) -> bytes:
    """A chunk unchanged, or a row as a line of NDJSON."""
    if isinstance(each, bytes):
        return each
    text = json.dumps(each, separators=(",", ":"), allow_nan=False, ensure_ascii=False, default=as_text)
    return text.encode() + b"\n"
