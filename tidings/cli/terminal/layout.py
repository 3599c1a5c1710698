"""How lists and details are laid out for people. Values that may have to be copied, above all ids, are never broken.

A list is a table if its rows fit the width; otherwise each row is a paragraph. No line break is put inside a value: a
longer one runs on, and the terminal wraps it without changing what is copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tidings.cli.terminal import exact_json

GAP = "  "
INDENT = "    "

Columns = Mapping[str, str]
"""The columns of a table: each heading, with the field of the row that it shows."""


def table(rows: Sequence[Mapping[str, Any]], columns: Columns, width: int | None) -> Iterator[str]:
    """The lines of a list: aligned columns, or paragraphs if a row is wider than `width` (None for any width)."""
    texts = [[cell(row.get(field)) for field in columns.values()] for row in rows]
    widths = [max(map(_width, column)) for column in zip(columns, *texts, strict=True)]
    if width is not None and sum(widths) + len(GAP) * (len(widths) - 1) > width:
        yield from _paragraphs(texts, list(columns), width)
        return
    for line in [list(columns), *texts]:
        yield GAP.join(_padded(text, size) for text, size in zip(line, widths, strict=True)).rstrip()


def details(value: Mapping[str, Any], width: int | None = None) -> Iterator[str]:
    """One object, field by field; empty fields are omitted. Objects wider than `width` are spread out."""
    yield from _members({name: field for name, field in value.items() if field not in (None, [], {}, "")}, width)


def _members(value: Mapping[str, Any], width: int | None) -> Iterator[str]:
    rows = [(printable(name), field) for name, field in value.items()]
    longest = max((_width(name) for name, _ in rows), default=0)
    for name, field in rows:
        text = exact_json.dumps(field) if field in (None, "", []) else cell(field)
        if width is not None and type(field) is dict and longest + len(GAP) + _width(text) > width:
            yield name
            yield from (INDENT + line for line in _members(field, width - len(INDENT)))
        else:
            yield f"{_padded(name, longest)}{GAP}{text}"


def cell(value: Any) -> str:
    """A value as shown, on one line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return printable(", ".join(value))
    return printable(value if isinstance(value, str) else exact_json.dumps(value))


def printable(text: str) -> str:
    """The text with everything that would control a terminal, or reverse the text, escaped as `\x1b`."""
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(sign: str) -> str:
    # Most writing systems have marks and spaces that Python does not call printable; only active characters are
    # replaced.
    if sign.isprintable() or sign in "\u00a0\u2009\u202f\u3000\u200c\u200d\ufeff\u00ad":
        return sign
    return sign.encode("unicode_escape").decode()


def _paragraphs(texts: Sequence[Sequence[str]], headings: Sequence[str], width: int) -> Iterator[str]:
    for index, values in enumerate(texts):
        if index:
            yield ""
        first, *rest = values
        line = first
        for heading, text in zip(headings[1:], rest, strict=True):
            if not text:
                continue
            piece = f"{heading} {text}"
            if _width(line) + len(GAP) + _width(piece) <= width:
                line += GAP + piece
            else:
                yield line
                line = INDENT + piece
        yield line


def _padded(text: str, size: int) -> str:
    return text + " " * (size - _width(text))


def _width(text: str) -> int:
    """How many terminal columns the text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
