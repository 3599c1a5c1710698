"""Values put into a request where a source would read them, for requests that are made rather than received."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

from tidings.model.digits import index_of
from tidings.rules.reading.refused import Refused
from tidings.rules.schemes.request import HookRequest, compact_json


def written(now: float, unit: str) -> str:
    """A time as a sender writes it: seconds, milliseconds, or ISO 8601 in UTC."""
    if unit == "iso":
        return f"{datetime.fromtimestamp(int(now), UTC):%Y-%m-%dT%H:%M:%SZ}"
    return str(int(now * 1000)) if unit == "ms" else str(int(now))


def is_at(place: str, request: HookRequest) -> bool:
    """Whether a place suits a request: JSON members only for JSON bodies, parameters for requests without a body."""
    kind = place.partition(":")[0]
    if kind == "json":
        return request.body[:1] in (b"{", b"[")
    if kind == "form":
        return "form" in request.headers.get("content-type", "")
    return kind != "query" or not request.body


def put(request: HookRequest, place: str, value: str) -> HookRequest:
    """The request with a value at a place. Raises Refused if it cannot be put into the body."""
    kind, _, name = place.partition(" | ")[0].partition(":")
    if kind == "header":
        return request.but(headers={**request.headers, name.replace("*", "1").lower(): value})
    if kind == "query":
        return put_query(request, name, value)
    if kind == "json":
        body = _read(request.body)
        return request.but(body=compact_json(_put(body, name.split("."), value)).encode())
    if kind == "form":
        return _put_form(request, name, value)
    raise Refused("", "source", f"A value cannot be written to {place!r}.")


def put_query(request: HookRequest, name: str, value: str) -> HookRequest:
    """The request with a parameter added at the end of its URL, in place of any parameter of the same name."""
    base, _, query = request.url.partition("?")
    kept = [part for part in query.split("&") if part and part.partition("=")[0] != name]
    return request.but(url=f"{base}?{'&'.join([*kept, f'{quote(name)}={quote_plus(value)}'])}")


def basic(request: HookRequest, credentials: str) -> HookRequest:
    """The request with credentials of HTTP Basic."""
    return put(request, "header:Authorization", "Basic " + b64encode(credentials.encode()).decode())


def _put_form(request: HookRequest, name: str, value: str) -> HookRequest:
    field, inner, path = name.partition(">")
    fields = dict(request.form())
    if inner:
        value = compact_json(_put(_read(fields.get(field, "{}").encode()), path.split("."), value))
    fields[field] = value
    return request.but(body=urlencode(fields).encode())


def _read(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        raise Refused("/body", "syntax", "The body must be JSON, because one of its members has to be set.") from None


def _put(value: Any, steps: list[str], text: str) -> Any:
    """The value with a text at a path, or with a number if a number was there."""
    if not steps:
        return int(text) if type(value) is int and text.isascii() and text.isdigit() else text
    step, rest = steps[0], steps[1:]
    if step == "*":
        return [_put(each, rest, text) for each in value] if isinstance(value, list) else [_put(None, rest, text)]
    index = index_of(step)
    if index is not None and isinstance(value, list) and index < len(value):
        return [_put(each, rest, text) if at == index else each for at, each in enumerate(value)]
    members = value if isinstance(value, dict) else {}
    return {**members, step: _put(members.get(step), rest, text)}
