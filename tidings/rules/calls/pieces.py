"""The source of a template in pieces: text, expressions, statements and comments, as MiniJinja's lexer divides it."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

Kind = Literal["text", "value", "statement"]
_OPENING = re.compile(r"\{\{|\{%|\{#")
_CLOSING = {"{{": "}}", "{%": "%}"}
_IN_CODE = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\}\}|%\}""", re.DOTALL)


class Piece(NamedTuple):
    """`text` of a value is its expression."""

    kind: Kind
    text: str


def pieces(source: str) -> list[Piece]:
    """The pieces of a source that compiles, without comments. An object in an expression ends at its own braces."""
    found: list[Piece] = []
    place = 0
    while (opening := _OPENING.search(source, place)) is not None:
        if opening.start() > place:
            found.append(Piece("text", source[place : opening.start()]))
        if opening[0] == "{#":
            place = source.index("#}", opening.end()) + 2
            continue
        end = _end(source, opening.end(), _CLOSING[opening[0]])
        kind: Kind = "value" if opening[0] == "{{" else "statement"
        found.append(Piece(kind, source[opening.end() : end].strip("+-").strip()))
        place = end + 2
    if place < len(source):
        found.append(Piece("text", source[place:]))
    return found


def _end(source: str, begin: int, closing: str) -> int:
    """Where the closing braces are. A `}}` inside of an object's braces is not one."""
    place, depth = begin, 0
    while place < len(source):
        quoted = _IN_CODE.match(source, place)
        if quoted is not None and source[place] in "\"'":
            place = quoted.end()
        elif depth == 0 and source.startswith(closing, place):
            return place
        else:
            depth += (source[place] == "{") - (source[place] == "}")
            place += 1
    return len(source)
