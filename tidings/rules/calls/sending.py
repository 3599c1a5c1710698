"""A call with what is added to it: credentials, headers of the connection, an Idempotency-Key; and as it is shown."""

from __future__ import annotations

import hashlib

import msgspec

from tidings.model.calls.connection import MASK, Connection
from tidings.rules.calls import authentication
from tidings.rules.calls.request import KEY_HEADER, CallRequest


def call_key(link: str, event: str, delivery: int) -> str:
    """The Idempotency-Key of a delivery's calls: the same on every attempt."""
    return "call_" + hashlib.sha256(f"{link}\n{event}\n{delivery}".encode()).hexdigest()[:32]


def with_key(request: CallRequest, key: str) -> CallRequest:
    """A POST with an Idempotency-Key, unless it has its own."""
    if request.method != "POST" or any(name.lower() == KEY_HEADER.lower() for name, _ in request.headers):
        return request
    return msgspec.structs.replace(request, headers=[*request.headers, (KEY_HEADER, key)])


def secret_headers(connection: Connection | None) -> dict[str, str]:
    """The headers that a connection adds to each request; none of them is shown."""
    if connection is None:
        return {}
    return {**connection.secrets.headers, **authentication.headers(connection.secrets.auth)}


def lines(request: CallRequest, secret: dict[str, str]) -> list[str]:
    """All headers as lines. What the connection says goes before what the link says."""
    named = {name.lower() for name in secret}
    own = [(name, value) for name, value in request.headers if name.lower() not in named]
    return [f"{name}: {value}" for name, value in (*own, *secret.items())]


def shown_headers(request: CallRequest, secret: dict[str, str]) -> dict[str, str]:
    """All headers by their names in lower case, those of the connection masked."""
    return {name.lower(): value for name, value in request.headers} | {name.lower(): MASK for name in secret}


def as_shown(request: CallRequest, secret: dict[str, str]) -> str:
    """A request as the attempt shows it: a JSON object."""
    whole = {"method": request.method, "url": request.url, "headers": shown_headers(request, secret)}
    return msgspec.json.encode(whole).decode()
