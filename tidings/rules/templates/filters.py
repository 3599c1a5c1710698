"""The filters that templates have beside MiniJinja's own. Each raises ValueError with what is wrong.

`date` writes a time as text: `{{ time | date('%Y-%m-%d', 'Europe/Berlin') }}`. `quote` puts a value in single quotes,
as the query language that it names reads it: `soql`, `sql` or `odata`. `b64`, `hash` and `json` say what they do.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tidings.model import moment
from tidings.rules.templates.numbers import MARK, encode, shown, unmarked

DIGESTS = ("sha256", "sha512", "sha1", "md5")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLIS_FROM = 100_000_000_000
"""Numbers from here on are milliseconds since 1970, smaller ones seconds."""
_QUOTED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "soql": (("\\", "\\\\"), ("'", "\\'"), ("\n", "\\n"), ("\r", "\\r")),
    "sql": (("'", "''"),),
    "odata": (("'", "''"),),
}


def string(value: Any) -> str:
    """A value as it appears in text."""
    return str(shown(value))


def date(value: Any, form: str = "%Y-%m-%d", zone: str = "UTC") -> str:
    """A time (RFC 3339, or seconds or milliseconds since 1970) as `strftime` writes it; nothing stays nothing."""
    if value is None or value == "":
        return ""
    try:
        found = ZoneInfo(zone)
    except (OSError, ValueError):
        raise ValueError(f"{zone[:50]!r} is not a time zone such as Europe/Berlin") from None
    return _time(value).astimezone(found).strftime(form)


def quote(value: Any, language: str) -> str:
    """A value in single quotes, as a query language reads it."""
    if language not in _QUOTED:
        raise ValueError(f"quote must name one of {', '.join(_QUOTED)}")
    text = string(value)
    if "\0" in text:
        raise ValueError("the value has the character NUL, which no query can contain")
    for character, escape in _QUOTED[language]:
        text = text.replace(character, escape)
    return f"'{text}'"


def b64(value: Any) -> str:
    """The value's UTF-8 in base64."""
    return base64.b64encode(string(value).encode()).decode()


def digest(value: Any, algorithm: str = "sha256") -> str:
    """A hash of the value's UTF-8, in hexadecimal."""
    if algorithm not in DIGESTS:
        raise ValueError(f"hash must name one of {', '.join(DIGESTS)}")
    return hashlib.new(algorithm, string(value).encode(), usedforsecurity=False).hexdigest()


def json(value: Any) -> str:
    """The value as JSON text."""
    return encode(unmarked(value)).decode()


FILTERS: Mapping[str, Callable[..., Any]] = {
    "string": string,
    "date": date,
    "quote": quote,
    "b64": b64,
    "hash": digest,
    "json": json,
}


def _time(value: Any) -> datetime:
    if type(value) is dict and MARK in value:
        value = value[MARK]
    if type(value) in (int, float) and abs(value) < 1e15:
        return _EPOCH + timedelta(seconds=value / 1000 if abs(value) >= _MILLIS_FROM else value)
    text = str(value)
    try:
        micros = moment.from_text(text if "T" in text or " " in text else f"{text}T00:00:00Z")
    except ValueError:
        raise ValueError(f"{text[:50]!r} is not a time such as 2026-01-31T09:00:00Z") from None
    return _EPOCH + timedelta(microseconds=micros)
