"""The records of a response, and the key of each."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tidings.model.digits import is_digits
from tidings.rules.reading.refused import Refused

KEY_CHARS_MAX = 256
"""The maximum length of a key, which is the subject of its events."""
PATH_CHARS_MAX = 500

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ANY = "*"


class BadRecord(ValueError):
    """A response that is not what a link expects; the text is a sentence that says why."""


class BadKey(BadRecord):
    """A record without a usable key."""


def read_path(text: object, pointer: str) -> tuple[str, ...]:
    """A path such as `body.items` or `Envelope.Body.*.result`. Raises Refused."""
    steps = text.split(".") if type(text) is str and len(text) <= PATH_CHARS_MAX else [""]
    if not all(steps):
        raise Refused(
            pointer,
            "path",
            "A path must consist of names joined by dots, such as result.records; * stands for any name.",
        )
    return tuple(steps)


def found_at(value: Any, path: tuple[str, ...]) -> list[Any]:
    """Every value at a path. `*` is each member of an object, or element of a list; digits are an index of a list."""
    found = [value]
    for step in path:
        following: list[Any] = []
        for each in found:
            if type(each) is dict:
                if step == _ANY:
                    following += each.values()
                elif step in each:
                    following.append(each[step])
            elif type(each) is list:
                if step == _ANY:
                    following += each
                elif is_digits(step) and int(step[:9]) < len(each):
                    following.append(each[int(step[:9])])
        found = following
    return found


def records(answer: Any, path: tuple[str, ...], *, is_xml: bool = False) -> list[Any]:
    """The records at a path, as a list; without a path, the response itself.

    Raises BadRecord if there is nothing there: only an existing empty list has no records. In XML a list consists only
    of its elements, so there the last name may be missing.
    """
    found: list[Any] = []
    for each in _each_at(answer, path, is_xml=is_xml):
        if each is None:
            raise _nothing_at(path)
        found += each if type(each) is list else [each]
    return found


def _each_at(answer: Any, path: tuple[str, ...], *, is_xml: bool) -> list[Any]:
    found = [answer]
    for number, step in enumerate(path, 1):
        following = [value for each in found for value in found_at(each, (step,))]
        is_empty_list = step == _ANY and any(type(each) in (dict, list) for each in found)
        if not following and not is_empty_list and not (is_xml and 1 < number == len(path)):
            raise _nothing_at(path)
        if not following:
            return []
        found = following
    return found


def _nothing_at(path: tuple[str, ...]) -> BadRecord:
    return BadRecord(f"The response has nothing at {'.'.join(path)}." if path else "The response is null.")


def key_text(value: Any, number: int, name: str) -> str:
    """The key of a record, as text. `number`: which record it is, from 1; `name`: `key` of the link. Raises BadKey."""
    if type(value) is msgspec.Raw or type(value) in (int, float):
        return msgspec.json.encode(value).decode()
    if type(value) is not str or not value:
        found = "missing" if value in (None, "") else _NAMES.get(type(value), "neither")
        which = f"The key of record {number:,} of the response, `{name[:100]}`,"
        raise BadKey(f"{which} must be a string or a number; it is {found}.")
    if len(value) > KEY_CHARS_MAX or _CONTROL.search(value):
        detail = f"can be at most {KEY_CHARS_MAX} characters long, without control characters"
        raise BadKey(f"The key of record {number:,} of the response {detail}.")
    return value


_NAMES = {dict: "an object", list: "a list", bool: "a boolean"}
