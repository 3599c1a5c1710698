"""Files of items: NDJSON and CSV, read in chunks as lines, and written in chunks. No line waits for others.

A reader is fed bytes as they arrive and returns the lines completed so far: `Given` for each that can be read, `Bad`
for each that cannot. If nothing after a line can be read, it raises `Unreadable`. Lines are counted from 1 as an editor
does; a CSV row whose cells hold line breaks has the number of its first line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from tidings.model.errors import Place
from tidings.rules.reading import jsontext

LINE_BYTES_MAX = 1_048_576
"""Longer lines, and longer rows of CSV, are refused: a file without line ends must not fill the memory."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
CSV, NDJSON = "text/csv", "application/x-ndjson"


class Given(msgspec.Struct, frozen=True, gc=False):
    """One readable line: JSON values by name. `wrong`: those that cannot be kept exactly, here rounded."""

    line: int
    values: dict[str, Any]
    wrong: tuple[Place, ...] = ()


class Bad(msgspec.Struct, frozen=True):
    """One unreadable line, and why."""

    line: int
    place: Place


class Unreadable(Exception):
    """From this line on nothing can be read. `places` say why, each with its line."""

    def __init__(self, places: Sequence[Place]) -> None:
        super().__init__(places[0].detail)
        self.places = list(places)

    @classmethod
    def at(cls, line: int, code: str, detail: str) -> Unreadable:
        """With one reason."""
        return cls([Place(line=line, code=code, detail=detail)])


Lines = list[Given | Bad]


class Reader(Protocol):
    """Reads one file."""

    def feed(self, piece: bytes) -> Lines:
        """The lines that this chunk completes. Raises Unreadable."""

    def end(self) -> Lines:
        """The last line of the file, if no line end follows it. Raises Unreadable."""


class Blocks:
    """Takes chunks of a file and returns blocks of complete lines."""

    def __init__(self) -> None:
        self._rest = b""
        self._begun = False
        self.next_line = 1
        """The number of the first line of the next block; readers advance it."""

    def take(self, piece: bytes) -> bytes:
        """Everything up to the last line end so far. Raises Unreadable for a line that is too long."""
        data = self._rest + piece
        if not self._begun:
            if len(data) < len(BYTE_ORDER_MARK) and BYTE_ORDER_MARK.startswith(data):
                self._rest = data
                return b""
            self._begun = True
            data = data.removeprefix(BYTE_ORDER_MARK)
        cut = data.rfind(b"\n") + 1
        self._rest = data[cut:]
        if len(self._rest) > LINE_BYTES_MAX:
            raise too_long(self.next_line + data.count(b"\n"))
        return data[:cut]

    def last(self) -> bytes:
        """What follows the last line end, with a line end."""
        rest, self._rest = self._rest, b""
        if not self._begun:
            rest = rest.removeprefix(BYTE_ORDER_MARK)
        return rest and rest + b"\n"


def too_long(line: int) -> Unreadable:
    """The error for a line that does not end."""
    return Unreadable.at(line, "too_long", f"This line has more than {LINE_BYTES_MAX:,} bytes, or does not end.")


class JsonLines:
    """Reads NDJSON: an object on each line, by the same strict rules as every body. Empty lines are skipped."""

    def __init__(self) -> None:
        self._blocks = Blocks()

    def feed(self, piece: bytes) -> Lines:
        """The lines that this chunk completes."""
        return self._read(self._blocks.take(piece))

    def end(self) -> Lines:
        """The last line."""
        return self._read(self._blocks.last())

    def _read(self, block: bytes) -> Lines:
        found: Lines = []
        number = self._blocks.next_line
        for raw in block.split(b"\n"):
            text = raw.strip()
            if text:
                found.append(_json_line(number, text))
            number += 1
        if block:
            # What follows the last line end is not part of this block.
            self._blocks.next_line = number - 1
        return found


def _json_line(number: int, text: bytes) -> Given | Bad:
    if len(text) > LINE_BYTES_MAX:
        return Bad(number, Place(code="too_long", detail=f"A line can be at most {LINE_BYTES_MAX:,} bytes long."))
    inexact: tuple[Place, ...] = ()
    try:
        value = jsontext.read_exact(text)
    except jsontext.BadJson as wrong:
        return Bad(number, wrong.place)
    except jsontext.NotExact as wrong:
        value, inexact = wrong.value, tuple(wrong.errors)
    if type(value) is not dict:
        return Bad(number, Place(pointer="", code="wrong_type", detail="Each line must be an object."))
    return Given(number, value, inexact)


_encoder = msgspec.json.Encoder()


class JsonLinesOut:
    """Writes NDJSON."""

    media = NDJSON

    def head(self) -> bytes:
        """The beginning of the file."""
        return b""

    def lines(self, documents: Sequence[dict[str, Any]]) -> bytes:
        """A line for each item."""
        return _encoder.encode_lines(documents)
