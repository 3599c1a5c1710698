"""How a connection authenticates: what can be declared, how it is shown, and the resulting headers.

A declaration names one kind: `{bearer: TOKEN}`, `{basic: [USER, PASSWORD]}`, `{header: {NAME: VALUE}}`, or with more
members `{oauth2: GRANT, ...}` (oauth2.py) or `{oauth1: METHOD, ...}` (oauth1.py).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from tidings.model.calls.connection import MASK
from tidings.rules.calls import oauth1, oauth2
from tidings.rules.reading.places import Places
from tidings.rules.reading.refused import escaped

HEADERS_MAX = 20
SECRET_CHARS_MAX = 16 * 1024
KINDS = ("bearer", "basic", "header", "oauth2", "oauth1")

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_OURS = frozenset(
    ("host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect")
)


def check(given: Any, pointer: str, wrong: Places) -> None:
    """Report what is wrong with a declaration."""
    kinds = [kind for kind in KINDS if type(given) is dict and kind in given]
    if type(given) is dict and len(kinds) != 1:
        unknown = [name for name in given if name not in KINDS]
        if unknown and not kinds:
            wrong.members(given, pointer, KINDS, "`auth`")
        wrong.say(pointer, "incomplete", f"`auth` needs exactly one of {', '.join(KINDS)}.")
        return
    kind = kinds[0] if kinds else ""
    parts = {"oauth2": oauth2.PARTS, "oauth1": oauth1.PARTS}.get(kind, (kind,))
    auth = wrong.members(given, pointer, parts if kind else KINDS, "`auth`", "{bearer: TOKEN}")
    if kind == "oauth2":
        oauth2.check(auth, pointer, wrong)
    elif kind == "oauth1":
        oauth1.check(auth, pointer, wrong)
    elif kind:
        _check_plain(kind, auth[kind], f"{pointer}/{kind}", wrong)


def _check_plain(kind: str, value: Any, at: str, wrong: Places) -> None:
    if kind == "bearer":
        check_secret(value, at, wrong)
    elif kind == "basic":
        if type(value) is not list or len(value) != 2:
            wrong.say(at, "wrong_type", "`basic` must be a list of two strings: the user and the password.")
            return
        for index, each in enumerate(value):
            check_secret(each, f"{at}/{index}", wrong, may_be_empty=True)
        if type(value[0]) is str and ":" in value[0]:
            wrong.say(f"{at}/0", "wrong_value", "The user name in `basic` cannot contain a colon.")
    else:
        check_headers(value, at, wrong)


def check_secret(value: Any, pointer: str, wrong: Places, *, may_be_empty: bool = False) -> None:
    """Report what is wrong with a text that is sent as a credential."""
    text = wrong.text(value, pointer, SECRET_CHARS_MAX)
    if type(value) is str and not text and not may_be_empty:
        wrong.say(pointer, "missing", "The credential is empty.")
    if _BAD_VALUE.search(text):
        wrong.say(
            pointer, "control_character", "A credential may not contain line breaks, NUL or other control characters."
        )


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
    """Report a name that is not a valid header name, or is reserved because Tidings sets that header itself."""
    if not _TOKEN.fullmatch(name):
        rule = "A header name may contain only letters, digits and !#$%&'*+-.^_`|~ (at most 128 characters)."
        wrong.say(pointer, "bad_name", rule)
    elif name.lower() in _OURS:
        wrong.say(pointer, "reserved_name", f"The header {name} is set by Tidings itself.")


def headers(auth: Mapping[str, Any] | None) -> dict[str, str]:
    """The headers that are the same on each request."""
    if auth is None:
        return {}
    if "bearer" in auth:
        return {"Authorization": f"Bearer {auth['bearer']}"}
    if "basic" in auth:
        return {"Authorization": "Basic " + base64.b64encode(":".join(auth["basic"]).encode()).decode()}
    return dict(auth.get("header", {}))


def hidden(auth: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A declaration with its secrets masked."""
    if auth is None:
        return None
    if "bearer" in auth:
        return {"bearer": MASK}
    if "basic" in auth:
        return {"basic": [auth["basic"][0], MASK]}
    if "header" in auth:
        return {"header": dict.fromkeys(auth["header"], MASK)}
    secrets = oauth2.SECRETS if "oauth2" in auth else oauth1.SECRETS
    return {name: MASK if name in secrets else value for name, value in auth.items()}


def kept(given: Any, stored: Any, pointer: str, wrong: Places, moved: str | None = None) -> Any:
    """The given value with every `***` replaced by the stored value.

    `moved`: the field whose host has changed. The stored values were not given for the new host, so none is kept.
    """
    if given == MASK:
        if moved is not None:
            detail = (
                f"`{moved}` has a new host, to which the stored secret must not be sent: give the secret itself, "
                'not "***".'
            )
            wrong.say(pointer, "unknown_value", detail)
        elif type(stored) is not str:
            wrong.say(
                pointer, "unknown_value", f'"{MASK}" keeps the stored value, but no value is stored. Send the value.'
            )
        else:
            return stored
        return given
    if type(given) is dict:
        there = stored if type(stored) is dict else {}
        return {
            name: kept(each, there.get(name), f"{pointer}/{escaped(name)}", wrong, moved)
            for name, each in given.items()
        }
    if type(given) is list:
        beside = stored if type(stored) is list else []
        return [
            kept(each, beside[index] if index < len(beside) else None, f"{pointer}/{index}", wrong, moved)
            for index, each in enumerate(given)
        ]
    return given
