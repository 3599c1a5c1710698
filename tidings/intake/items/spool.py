"""Checked lines of a file on their way to the store: a few in memory, more in a temporary file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tidings.model.errors import Unavailable

MEMORY_BYTES = 8 * 1024 * 1024
CHUNK_LINES, CHUNK_BYTES = 1_000, 2 * 1024 * 1024
"""The maximum number of lines, and of bytes, that are kept and stored together as one chunk."""
_SIZE_BYTES = 4


class Ready(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One checked line: a new item in stored form, unless it exists already."""

    line: int
    id: str
    own_id: bool
    """Whether the id comes from the line, instead of being generated."""
    tenant: str
    values: list[Any]
    """The values in stored form, in the order of the collection's fields."""
    shown: str
    """The fields as JSON text, without the opening brace."""
    data: dict[str, Any] | None
    """The fields as given, if the line may replace an item."""


class Spool:
    """Lines are added one by one and read back in chunks, any number of times. Belongs to one thread at a time.

    Raises Unavailable if there is no room for it.
    """

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES, dir=str(folder), prefix="import-")  # noqa: SIM115
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(list[Ready]).decode
        self._waiting: list[Ready] = []
        self._bytes = 0

    def close(self) -> None:
        """Delete the temporary file."""
        self._file.close()

    def add(self, ready: Ready) -> None:
        """Keep one line."""
        self._waiting.append(ready)
        self._bytes += len(ready.shown) or len(msgspec.msgpack.encode(ready.data))
        if len(self._waiting) >= CHUNK_LINES or self._bytes >= CHUNK_BYTES:
            self._write()

    def chunks(self) -> Iterator[list[Ready]]:
        """Every line, chunk by chunk; the same lines make the same chunks."""
        if self._waiting:
            self._write()
        self._file.seek(0)
        while head := self._file.read(_SIZE_BYTES):
            yield self._decode(self._file.read(int.from_bytes(head, "big")))

    def _write(self) -> None:
        chunk = self._encode(self._waiting)
        self._waiting, self._bytes = [], 0
        try:
            self._file.write(len(chunk).to_bytes(_SIZE_BYTES, "big") + chunk)
        except OSError as wrong:
            raise Unavailable(
                f"There is no disk space for the import: {wrong.strerror}. Nothing was stored."
            ) from wrong
