"""Values in options: JSON, and NAME=VALUE."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tidings.rules.reading import exact

_LIKE_JSON = ("{", "[", '"')
_NONE: Mapping[str, str] = {}


def double(text: str) -> float:
    """A JSON number. Raises ValueError if a double cannot keep it."""
    if not exact.is_kept(text):
        raise ValueError(f"{text[:50]} {exact.lost(text)}")
    return float(text)


def read_json(text: str, what: str) -> Any:
    """JSON from an option. Raises ValueError with a sentence, also for a number that would lose digits."""
    try:
        return json.loads(text, parse_float=double)
    except ValueError as wrong:
        raise ValueError(f"{what} is not valid JSON: {wrong}") from None


def check_json(text: str, what: str) -> None:
    """Check that an option is JSON, to be sent as this exact text. Raises ValueError with a sentence."""
    try:
        json.loads(text)
    except ValueError as wrong:
        raise ValueError(f"{what} is not valid JSON: {wrong}") from None


def pairs(texts: Sequence[str] | None, option: str, example: str) -> list[tuple[str, str]]:
    """NAME=VALUE, several times. Raises ValueError with the option and an `example`."""
    found = []
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ValueError(f"{option} must have the form NAME=VALUE, such as {example}, not {text!r}")
        found.append((name, value))
    return found


def values(texts: Sequence[str] | None, example: str, lists: Mapping[str, str] = _NONE) -> dict[str, Any]:
    """The values of --set by name: each is JSON or plain text; a value that begins like JSON must be valid JSON.

    `lists`: the names whose values are lists, with an example of each. Raises ValueError, also for a name that is given
    twice.
    """
    found: dict[str, Any] = {}
    for name, text in pairs(texts, "--set", example):
        if name in found:
            raise ValueError(f"--set gives {name} twice")
        found[name] = value = _value(name, text)
        if name in lists and not isinstance(value, list):
            raise ValueError(f"--set {name} takes a list, such as --set '{name}={lists[name]}', not {text[:100]!r}")
    return found


def _value(name: str, text: str) -> Any:
    if text.startswith(_LIKE_JSON):
        return read_json(text, f"the value of --set {name}")
    try:
        return json.loads(text, parse_float=double)
    except ValueError:
        return text
