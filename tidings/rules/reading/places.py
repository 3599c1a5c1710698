"""Every wrong place of a document, collected while it is read."""

from __future__ import annotations

import math
from typing import Any

from tidings.model.errors import Place
from tidings.rules.reading.refused import escaped

PLACES_MAX = 50
"""Only this many wrong places are reported."""
VALUES_MAX = 20_000
DEPTH_MAX = 48
_INTEGER_MAX = 2**63 - 1
_MEANT = {
    "base_url": ("base",),
    "body": ("json", "text"),
    "choices": ("values",),
    "client_id": ("id",),
    "client_secret": ("secret",),
    "condition": ("if",),
    "content": ("json", "text"),
    "data": ("json",),
    "enum": ("values",),
    "foreach": ("split",),
    "host": ("base", "smtp"),
    "interval": ("every",),
    "issuer": ("id",),
    "options": ("values",),
    "params": ("query",),
    "password": ("basic",),
    "private_key": ("key",),
    "schedule": ("cron", "at"),
    "throttle": ("rate",),
    "timezone": ("tz",),
    "token_url": ("token",),
    "trigger": ("when",),
    "update": ("patch",),
    "upsert": ("put",),
    "url": ("base", "get"),
}
"""Other systems' names for members, and their names here, where they exist."""


class Places:
    """The wrong places found so far."""

    def __init__(self) -> None:
        self.found: list[Place] = []

    def say(self, pointer: str, code: str, detail: str) -> None:
        """Record one more wrong place."""
        if len(self.found) < PLACES_MAX:
            self.found.append(Place(pointer=pointer, code=code, detail=detail))

    def members(
        self, value: Any, pointer: str, known: tuple[str, ...], what: str, example: str = "", more: str = ""
    ) -> dict[str, Any]:
        """The members of an object; unknown ones are reported and left out. `more`: what else could be meant."""
        if type(value) is not dict:
            such = f" such as {example}" if example else ""
            self.say(pointer, "wrong_type", f"{what} must be an object{such}, not {shown(value)}.")
            return {}
        for name in value:
            if name not in known:
                meant = next((f" Did you mean {each}?" for each in _MEANT.get(str(name), ()) if each in known), "")
                detail = f"{name!r} is unknown here.{meant} {what} can have: {', '.join(known)}.{more}"
                self.say(f"{pointer}/{escaped(str(name))}", "unknown_field", detail)
        return {name: each for name, each in value.items() if name in known}

    def text(self, value: Any, pointer: str, chars_max: int) -> str:
        """The value if it is a string; otherwise reports it and returns ""."""
        if type(value) is not str:
            self.say(pointer, "wrong_type", f"This must be a string, not {shown(value)}.")
            return ""
        if len(value) > chars_max:
            self.say(pointer, "too_long", f"It can be at most {chars_max:,} characters long.")
        return value

    def json(self, value: Any, pointer: str) -> bool:
        """Report everything that YAML can express but JSON cannot; returns whether there was nothing to report."""
        before = len(self.found)
        self._json(value, pointer, 1, [VALUES_MAX])
        return len(self.found) == before

    def _json(self, value: Any, pointer: str, depth: int, left: list[int]) -> None:
        left[0] -= 1
        if left[0] < 0 or depth > DEPTH_MAX:
            if left[0] >= -1:
                limits = f"nested at most {DEPTH_MAX} levels deep and have at most {VALUES_MAX:,} values"
                self.say(pointer, "too_many", f"It can be {limits}.")
            left[0] = min(left[0], -1)
        elif type(value) is dict:
            for name, member in value.items():
                here = f"{pointer}/{escaped(str(name))}"
                if type(name) is not str:
                    self.say(here, "name", f"A name must be a string; put {str(name)!r} in quotes.")
                else:
                    self._json(member, here, depth + 1, left)
        elif type(value) is list:
            for index, element in enumerate(value):
                self._json(element, f"{pointer}/{index}", depth + 1, left)
        elif type(value) is float and not math.isfinite(value):
            self.say(pointer, "wrong_value", "This is not a number that JSON can represent.")
        elif type(value) is int and not -_INTEGER_MAX - 1 <= value <= _INTEGER_MAX:
            self.say(pointer, "wrong_value", "A whole number must fit into 64 bits.")
        elif type(value) is str and "\x00" in value:
            self.say(pointer, "wrong_value", "A string may not contain the character NUL; PostgreSQL cannot store it.")
        elif value is not None and type(value) not in (str, int, float, bool):
            self.say(
                pointer,
                "wrong_type",
                f"JSON has no {type(value).__name__}; if this should be a string, put it in quotes.",
            )


def shown(value: Any) -> str:
    """A value in a sentence, shortened if it is long."""
    words = {dict: "an object", list: "a list", type(None): "null", bool: str(value).lower()}
    text = words.get(type(value)) or repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
