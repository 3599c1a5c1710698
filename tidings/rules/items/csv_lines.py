"""CSV (RFC 4180): a header line names the fields, each row is an item.

An empty cell is null; a pair of quotes (`""`) is the empty text. Objects and arrays are JSON in their cell. A cell
that is not a valid value of its field stays text, so that the collection's rules report what is wrong with it. Nothing
is altered for spreadsheets, in either direction: a text that begins with `=` is written unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from tidings.model.digits import is_digits
from tidings.model.errors import Place
from tidings.rules.items.file_lines import CSV, LINE_BYTES_MAX, Bad, Blocks, Given, Lines, Unreadable, too_long
from tidings.rules.reading import exact, jsontext

CELLS_MAX = 1_000
END = "\r\n"

_CELL = re.compile(r'"((?:[^"]++|"")*+)"|([^",\r\n]*+)')
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,39})")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,308})(?:\.[0-9]{1,340})?(?:[eE][+-]?[0-9]{1,3})?")
_BOOLEANS = {"true": True, "false": False, "TRUE": True, "FALSE": False}
_OTHER_MARKS = {";": "semicolons", "\t": "tabs"}
"""Separators that spreadsheets write instead of commas, in some countries or on request."""
_QUOTED = re.compile(r'[",\r\n]')

Cells = list[str | None]


class _Wrong(Exception):
    """The row is not valid CSV. `open`: it would continue after the line's end."""

    def __init__(self, detail: str, *, open: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.open = open


class _Cell(Exception):
    """A cell is a value of its column's type, but would be changed by storing it."""

    def __init__(self, places: Sequence[Place]) -> None:
        super().__init__(places[0].detail)
        self.places = places


class CsvLines:
    """Reads CSV. `kinds`: the permitted columns, each with the type of its field."""

    def __init__(self, kinds: Mapping[str, str]) -> None:
        self._kinds = kinds
        self._blocks = Blocks()
        self._names: list[str] | None = None
        self._width = 0
        self._convert: list[tuple[str, Callable[[str], Any]]] = []
        self._others: list[str] = []
        """The columns in which an empty cell can only be null, never the empty text."""
        self._open: list[str] = []
        """The lines of an unfinished row, which ends inside a quoted cell."""
        self._open_line = self._open_size = 0

    def feed(self, piece: bytes) -> Lines:
        """The rows that this chunk completes."""
        return self._read(self._blocks.take(piece))

    def end(self) -> Lines:
        """The last row."""
        found = self._read(self._blocks.last())
        if self._open:
            raise Unreadable.at(self._open_line, "open_quote", "A cell begins here with a quote that is never closed.")
        if self._names is None:
            raise Unreadable.at(1, "missing", "The file is empty. A CSV file must begin with a line of column names.")
        return found

    def _read(self, block: bytes) -> Lines:
        found: Lines = []
        number = self._blocks.next_line - 1
        for line in _decoded(block):
            number += 1
            if line is None:
                self._open = []
                self._add(found, number, Bad(number, Place(code="not_text", detail=_NO_TEXT)))
            elif self._open:
                self._go_on(found, line)
            elif '"' in line:
                plain = _plain_cells(line)
                if plain is not None and len(plain) == self._width:
                    found.append(self._given(number, plain))
                else:
                    self._quoted(found, number, line)
            else:
                line = line.removesuffix("\r")
                if "\r" in line:
                    detail = "There is a carriage return outside quotes. Lines must end with LF or CR LF."
                    self._add(found, number, Bad(number, Place(code="syntax", detail=detail)))
                elif line or self._width == 1:
                    cells = [cell or None for cell in line.split(",")]
                    if len(cells) == self._width:
                        found.append(self._given(number, cells))
                    else:
                        self._add(found, number, cells)
        self._blocks.next_line = number + 1
        return found

    def _quoted(self, found: Lines, number: int, line: str) -> None:
        try:
            cells = _cells(line)
        except _Wrong as wrong:
            if not wrong.open:
                self._add(found, number, Bad(number, Place(code="syntax", detail=wrong.detail)))
                return
            self._open, self._open_line, self._open_size = [line], number, len(line)
            return
        self._add(found, number, cells)

    def _go_on(self, found: Lines, line: str) -> None:
        """One more line inside a quoted cell: an odd number of quotes ends it."""
        self._open.append(line)
        self._open_size += len(line) + 1
        if self._open_size > LINE_BYTES_MAX:
            raise too_long(self._open_line)
        if line.count('"') % 2 == 0:
            return
        whole, self._open = "\n".join(self._open), []
        try:
            self._add(found, self._open_line, _cells(whole))
        except _Wrong as wrong:
            self._add(found, self._open_line, Bad(self._open_line, Place(code="syntax", detail=wrong.detail)))

    def _add(self, found: Lines, number: int, row: Cells | Bad) -> None:
        if self._names is None:
            self._head(number, row)
        else:
            found.append(row if isinstance(row, Bad) else self._row(number, row, self._names))

    def _head(self, number: int, row: Cells | Bad) -> None:
        """Read the header line. Raises Unreadable for unknown or repeated names."""
        if isinstance(row, Bad):
            raise Unreadable.at(number, row.place.code, row.place.detail)
        names = [name or "" for name in row]
        for mark, marks in _OTHER_MARKS.items():
            if len(names) == 1 and mark in names[0] and set(names[0].split(mark)) & set(self._kinds):
                raise Unreadable.at(
                    number, "syntax", f"The columns are separated by {marks}, but CSV uses commas (RFC 4180)."
                )
        known = ", ".join(self._kinds)
        wrong = [
            Place(
                line=number,
                code="unknown_field",
                detail=(f"There is no column {name[:100]!r}. Known columns: {known}."),
            )
            for name in names[:CELLS_MAX]
            if name not in self._kinds
        ]
        wrong += [
            Place(line=number, pointer=f"/{name}", code="repeated", detail=f"The column {name!r} appears twice.")
            for name in self._kinds
            if names.count(name) > 1
        ]
        if wrong:
            raise Unreadable(wrong)
        self._names, self._width = names, len(names)
        self._convert = [(name, _CONVERT[self._kinds[name]]) for name in names if self._kinds[name] in _CONVERT]
        self._others = [name for name in names if self._kinds[name] != "string"]

    def _row(self, number: int, cells: Cells, names: list[str]) -> Given | Bad:
        if len(cells) != len(names):
            detail = f"This row has {len(cells)} cells, but the header has {len(names)} names."
            return Bad(number, Place(code="wrong_columns", detail=detail))
        return self._given(number, cells)

    def _given(self, number: int, cells: Cells) -> Given | Bad:
        """A row with as many cells as there are columns."""
        values: dict[str, Any] = dict(zip(self._names, cells))  # type: ignore[arg-type] # noqa: B905 -- they are
        if "" in cells:
            for name in self._others:
                values[name] = values[name] or None
        try:
            for name, convert in self._convert:
                if (cell := values[name]) is not None:
                    values[name] = convert(cell)
        except _Cell:
            return self._inexact(number, cells)
        return Given(number, values)

    def _inexact(self, number: int, cells: Cells) -> Given:
        """The same row, if some of its numbers would be changed."""
        values: dict[str, Any] = dict(zip(self._names, cells))  # type: ignore[arg-type] # noqa: B905 -- they are
        wrong: list[Place] = []
        for name in self._others:
            values[name] = values[name] or None
        for name, convert in self._convert:
            try:
                if (cell := values[name]) is not None:
                    values[name] = convert(cell)
            except _Cell as inexact:
                values[name] = None
                wrong += [
                    msgspec.structs.replace(place, pointer=f"/{name}{place.pointer or ''}") for place in inexact.places
                ]
        return Given(number, values, tuple(wrong))


_NO_TEXT = "This line is not valid UTF-8, or contains the character NUL."


def _decoded(block: bytes) -> Sequence[str | None]:
    """The lines of a block without their LF; None for one that is not text."""
    if not block:
        return ()
    if b"\0" not in block:
        try:
            return block.decode().split("\n")[:-1]
        except UnicodeDecodeError:
            pass
    return [_text(raw) for raw in block.split(b"\n")[:-1]]


def _text(raw: bytes) -> str | None:
    try:
        return None if b"\0" in raw else raw.decode()
    except UnicodeDecodeError:
        return None


def _plain_cells(row: str) -> Cells | None:
    """The same, fast, for the usual row: complete, without quotes inside quotes. None if it is not like that."""
    row = row.removesuffix("\r")
    parts = row.split('"')
    last = len(parts) - 1
    if last % 2 or '""' in row or "\r" in row:
        return None
    found: Cells = []
    for index in range(0, last, 2):
        between = parts[index]
        # The text between two quoted cells: a comma, unquoted cells, a comma.
        if index and not between.startswith(","):
            return None
        if between:
            if not between.endswith(","):
                return None
            if index == 0:
                found += [cell or None for cell in between[:-1].split(",")]
            elif len(between) > 1:
                found += [cell or None for cell in between[1:-1].split(",")]
        found.append(parts[index + 1])
    if end := parts[last]:
        if not end.startswith(","):
            return None
        found += [cell or None for cell in end[1:].split(",")]
    return found


def _cells(row: str) -> Cells:
    """The cells of a row with quotes; an empty unquoted cell is None. Raises _Wrong."""
    row = row.removesuffix("\r")
    found: Cells = []
    at = 0
    while True:
        match = _CELL.match(row, at)
        assert match is not None
        quoted, plain = match.groups()
        at = match.end()
        found.append((plain or None) if quoted is None else quoted.replace('""', '"'))
        if at == len(row):
            return found
        if row[at] != ",":
            if quoted is None and not plain and row[at] == '"':
                raise _Wrong("A cell begins here with a quote that is never closed.", open=True)
            raise _Wrong(
                "A closing quote must be followed by a comma or the line's end; quotes inside a cell are doubled."
                if quoted is not None
                else 'A cell that contains a quote or a carriage return must be in quotes, as in "5"" pipe".'
            )
        at += 1


def _integer(text: str) -> Any:
    if is_digits(text) and text[0] != "0" and len(text) < 19:
        return int(text)
    return int(text) if _INTEGER.fullmatch(text) else text


def _number(text: str) -> Any:
    if not _NUMBER.fullmatch(text):
        return text
    if (len(text) > exact.SURE_DIGITS or "e" in text or "E" in text) and not exact.is_kept(text):
        raise _Cell([Place(code="not_exact", detail=f"{text[:50]} {exact.lost(text)}.")])
    return float(text)


def _json(text: str) -> Any:
    try:
        return jsontext.read_exact(text.encode())
    except jsontext.BadJson:
        return text
    except jsontext.NotExact as wrong:
        raise _Cell(wrong.errors) from None


_CONVERT: dict[str, Callable[[str], Any]] = {
    "integer": _integer,
    "number": _number,
    "boolean": lambda text: _BOOLEANS.get(text, text),
    "object": _json,
    "array": _json,
}


class CsvOut:
    """Writes CSV with these columns."""

    media = CSV

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def head(self) -> bytes:
        """The header line."""
        return (",".join(self._names) + END).encode()

    def lines(self, documents: Sequence[dict[str, Any]]) -> bytes:
        """A row for each item."""
        names = self._names
        rows = [",".join([_written(document[name]) for name in names]) for document in documents]
        return "".join([row + END for row in rows]).encode()


def _written(value: Any) -> str:
    """One JSON value as a cell."""
    if value is None:
        return ""
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, msgspec.Raw):
        text = bytes(value).decode()
    elif isinstance(value, int | float):
        return repr(value)
    else:
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if not text or _QUOTED.search(text):
        return '"' + text.replace('"', '""') + '"'
    return text
