"""JSON from a server as shown to people and scripts: every number with the digits that the server sent."""

from __future__ import annotations

import json
from typing import Any

INT_CHARS_MAX = 100
"""Whole numbers with more characters are kept as text, since Python converts only a limited number of digits."""


class Number(float):
    """A number that remembers how it was written."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Number:
        """The number of this JSON text."""
        made = super().__new__(cls, text)
        made.text = text
        return made


def loads(text: bytes | str) -> Any:
    """The value of a JSON text. Raises ValueError."""
    return json.loads(text, parse_float=Number, parse_int=_int)


def dumps(value: Any, indent: int | None = None) -> str:
    """A value as JSON; values from `loads` keep their digits."""
    return _written(value, indent, "\n")


def _int(text: str) -> int | Number:
    return Number(text) if text == "-0" or len(text) > INT_CHARS_MAX else int(text)


def _written(value: Any, indent: int | None, line: str) -> str:
    if isinstance(value, Number):
        return value.text
    inner = line if indent is None else line + " " * indent
    if isinstance(value, dict) and value:
        parts = [f"{_plain(str(name))}: {_written(each, indent, inner)}" for name, each in value.items()]
        return "{" + _joined(parts, indent, line, inner) + "}"
    if isinstance(value, list | tuple) and value:
        return "[" + _joined([_written(each, indent, inner) for each in value], indent, line, inner) + "]"
    return _plain(value)


def _joined(parts: list[str], indent: int | None, line: str, inner: str) -> str:
    return ", ".join(parts) if indent is None else inner + f",{inner}".join(parts) + line


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
