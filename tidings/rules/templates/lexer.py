"""The source of a template in pieces (text, expressions, statements), and the code of a piece in tokens."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

PieceKind = Literal["text", "value", "statement"]
TokenKind = Literal["name", "number", "text", "sign", "end"]

_OPENING = re.compile(r"\{\{|\{%|\{#")
_CLOSING = {"{{": "}}", "{%": "%}", "{#": "#}"}
_STRING = r""""(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'"""
_QUOTED = re.compile(_STRING, re.DOTALL)
_TOKEN = re.compile(
    r"\s+"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    rf"|(?P<text>{_STRING})"
    r"|(?P<sign>\*\*|//|==|!=|<=|>=|[-+*/%~|.,:()\[\]{}<>=])",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "\\": "\\", "'": "'", '"': '"', "/": "/"}


class NotATemplate(ValueError):
    """The source does not compile; the text says why."""


class Piece(NamedTuple):
    """`text` of an expression or a statement is its code."""

    kind: PieceKind
    text: str


class CodeToken(NamedTuple):
    """`text` of a string is its content."""

    kind: TokenKind
    text: str


def pieces(source: str) -> list[Piece]:
    """The pieces of a source, without comments; `-` at its brace removes the space around it.

    Raises NotATemplate if one does not end.
    """
    found: list[Piece] = []
    place, trims = 0, False
    while (opening := _OPENING.search(source, place)) is not None:
        end = _end(source, opening.end(), opening[0])
        code = source[opening.end() : end]
        text = source[place : opening.start()]
        text = text.lstrip() if trims else text
        text = text.rstrip() if code.startswith("-") else text
        if text:
            found.append(Piece("text", text))
        trims, place = len(code) > 1 and code.endswith("-"), end + 2
        if opening[0] != "{#":
            found.append(Piece("value" if opening[0] == "{{" else "statement", _bare(code)))
    text = source[place:].lstrip() if trims else source[place:]
    if text:
        found.append(Piece("text", text))
    return found


def tokens(code: str) -> list[CodeToken]:
    """The tokens of an expression or a statement, and one of the kind "end". Raises NotATemplate."""
    found: list[CodeToken] = []
    place = 0
    while place < len(code):
        match = _TOKEN.match(code, place)
        if match is None:
            raise NotATemplate(f"it cannot contain {code[place]!r} here: {code[place : place + 30].strip()}")
        place = match.end()
        if match.lastgroup == "text":
            found.append(CodeToken("text", _ESCAPE.sub(_unescaped, match["text"][1:-1])))
        elif match.lastgroup is not None:
            found.append(CodeToken(match.lastgroup, match[0]))  # type: ignore[arg-type]
    found.append(CodeToken("end", ""))
    return found


def _bare(code: str) -> str:
    code = code[1:] if code[:1] in ("-", "+") else code
    return (code[:-1] if code[-1:] in ("-", "+") else code).strip()


def _end(source: str, begin: int, opening: str) -> int:
    """Where the closing braces are. A `}}` inside of an object's braces or a string is not one."""
    closing = _CLOSING[opening]
    if opening == "{#":
        found = source.find(closing, begin)
        if found >= 0:
            return found
        raise NotATemplate(f"a {opening} has no {closing}")
    place, depth = begin, 0
    while place < len(source):
        quoted = _QUOTED.match(source, place)
        if quoted is not None:
            place = quoted.end()
        elif source[place] in "\"'":
            raise NotATemplate(f"a string has no closing {source[place]}: {source[place : place + 30]}")
        elif depth == 0 and source.startswith(closing, place):
            return place
        else:
            depth += (source[place] == "{") - (source[place] == "}")
            place += 1
    raise NotATemplate(f"a {opening} has no {closing}")


def _unescaped(found: re.Match[str]) -> str:
    sign = found[1]
    if len(sign) > 1:
        number = int(sign[1:], 16)
        if number == 0 or 0xD800 <= number < 0xE000:
            raise NotATemplate(f"a string cannot contain {found[0]}")
        return chr(number)
    return _ESCAPED.get(sign, found[0])
