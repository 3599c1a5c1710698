"""How a connection authenticates: what may be declared, how it is shown, and the headers that follow from it.

A declaration names one kind: `{bearer: TOKEN}`, `{basic: [USER, PASSWORD]}` or `{header: {NAME: VALUE}}`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from tidings.model.calls.connection import MASK
from tidings.rules.reading.places import Places
from tidings.rules.reading.refused import escaped

HEADERS_MAX = 20
SECRET_CHARS_MAX = 16 * 1024
KINDS = ("bearer", "basic", "header")

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_OURS = frozenset(
    ("host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect")
)


def check(given: Any, pointer: str, wrong: Places) -> None:
    """Report what is wrong with a declaration."""
    auth = wrong.members(given, pointer, KINDS, "`auth`")
    if len(auth) != 1:
        if type(given) is dict:
            wrong.say(pointer, "incomplete", f"`auth` needs exactly one of {', '.join(KINDS)}.")
        return
    ((kind, value),) = auth.items()
    at = f"{pointer}/{kind}"
    if kind == "bearer":
        check_secret(value, at, wrong)
    elif kind == "basic":
        if type(value) is not list or len(value) != 2:
            wrong.say(at, "wrong_type", "`basic` must be a list of two strings: the user and the password.")
            return
        for index, each in enumerate(value):
            check_secret(each, f"{at}/{index}", wrong, may_be_empty=True)
        if type(value[0]) is str and ":" in value[0]:
            wrong.say(f"{at}/0", "wrong_value", "The user of `basic` cannot contain a colon.")
    else:
        check_headers(value, at, wrong)


def check_secret(value: Any, pointer: str, wrong: Places, *, may_be_empty: bool = False) -> None:
    """Report what is wrong with a text that is sent as a credential."""
    text = wrong.text(value, pointer, SECRET_CHARS_MAX)
    if type(value) is str and not text and not may_be_empty:
        wrong.say(pointer, "missing", "It is empty.")
    if _BAD_VALUE.search(text):
        wrong.say(pointer, "control_character", "It may not contain line breaks, NUL or other control characters.")


def check_headers(value: Any, pointer: str, wrong: Places) -> None:
    """Report what is wrong with headers by name."""
    if type(value) is not dict or not value:
        wrong.say(pointer, "wrong_type", "Headers must be an object, such as {X-Api-Key: ...}.")
        return
    if len(value) > HEADERS_MAX:
        wrong.say(pointer, "too_many", f"There may be at most {HEADERS_MAX} headers.")
    seen: set[str] = set()
    for name, text in value.items():
        at = f"{pointer}/{escaped(str(name))}"
        check_header_name(name, at, wrong)
        if str(name).lower() in seen:
            wrong.say(at, "duplicate_key", f"The header {name} appears twice; names are case-insensitive.")
        seen.add(str(name).lower())
        check_secret(text, at, wrong)
        if type(text) is str and not text.isascii():
            wrong.say(at, "not_ascii", "A header value may contain only ASCII characters.")


def check_header_name(name: str, pointer: str, wrong: Places) -> None:
    """Report a name that no header has, or that is set for every request."""
    if not _TOKEN.fullmatch(name):
        rule = "A header name may contain only letters, digits and !#$%&'*+-.^_`|~ (at most 128 characters)."
        wrong.say(pointer, "bad_name", rule)
    elif name.lower() in _OURS:
        wrong.say(pointer, "reserved_name", f"The header {name} is set by Tidings itself.")


def headers(auth: Mapping[str, Any] | None) -> dict[str, str]:
    """The headers of each request."""
    if auth is None:
        return {}
    ((kind, value),) = auth.items()
    if kind == "bearer":
        return {"Authorization": f"Bearer {value}"}
    if kind == "basic":
        return {"Authorization": "Basic " + base64.b64encode(":".join(value).encode()).decode()}
    return dict(value)


def hidden(auth: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A declaration with its secrets masked."""
    if auth is None:
        return None
    ((kind, value),) = auth.items()
    if kind == "bearer":
        return {kind: MASK}
    if kind == "basic":
        return {kind: [value[0], MASK]}
    return {kind: dict.fromkeys(value, MASK)}


def kept(given: Any, stored: Any, pointer: str, wrong: Places) -> Any:
    """The same with every `***` replaced by what is stored in its place."""
    if given == MASK:
        if type(stored) is not str:
            wrong.say(pointer, "unknown_value", f'"{MASK}" keeps the stored value, but there is none. Send the value.')
            return given
        return stored
    if type(given) is dict:
        there = stored if type(stored) is dict else {}
        return {name: kept(each, there.get(name), f"{pointer}/{escaped(name)}", wrong) for name, each in given.items()}
    if type(given) is list:
        beside = stored if type(stored) is list else []
        return [
            kept(each, beside[index] if index < len(beside) else None, f"{pointer}/{index}", wrong)
            for index, each in enumerate(given)
        ]
    return given
