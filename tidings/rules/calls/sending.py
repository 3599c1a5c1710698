"""What is added to a call before it is sent (credentials, the connection's headers, an Idempotency-Key), and how the
call is shown."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from tidings.model.calls.connection import MASK, Connection
from tidings.model.moment import SECOND, Micros
from tidings.rules.calls import authentication, oauth1
from tidings.rules.calls.request import CONTENT_TYPES, KEY_HEADER, CallRequest
from tidings.rules.calls.texts import ACCESS_TOKEN, AUTH, SOAP_HEADER, in_xml
from tidings.rules.schemes.request import HookRequest
from tidings.rules.schemes.signing.calls import CallSigner


def call_key(link: str, event: str, delivery: int) -> str:
    """The Idempotency-Key of a delivery's calls: the same on every attempt."""
    return "call_" + hashlib.sha256(f"{link}\n{event}\n{delivery}".encode()).hexdigest()[:32]


def with_key(request: CallRequest, key: str) -> CallRequest:
    """The request, with this Idempotency-Key if it is a POST without its own."""
    if request.method != "POST" or any(name.lower() == KEY_HEADER.lower() for name, _ in request.headers):
        return request
    return msgspec.structs.replace(request, headers=[*request.headers, (KEY_HEADER, key)])


def secret_headers(connection: Connection | None, *, names_auth: bool) -> dict[str, str]:
    """The headers that a connection adds to each request; none of them is shown.

    `names_auth`: the link specifies where the access token goes.
    """
    if connection is None:
        return {}
    token = {"Authorization": f"Bearer {ACCESS_TOKEN}"} if is_oauth2(connection) and not names_auth else {}
    return {**connection.secrets.headers, **authentication.headers(connection.secrets.auth), **token}


def auth_scope(connection: Connection | None) -> dict[str, Any]:
    """What templates see as `auth`: placeholders for the secrets of the link's connection."""
    auth = None if connection is None else connection.secrets.auth
    if auth is None:
        return {AUTH: {}}
    if is_oauth2(connection):
        return {AUTH: {"access_token": ACCESS_TOKEN}}
    return {AUTH: {"soap_header": SOAP_HEADER} if auth.get("place") == "soap" else {}}


def is_oauth2(connection: Connection | None) -> bool:
    """Whether the connection's calls need an access token."""
    return connection is not None and "oauth2" in (connection.secrets.auth or {})


def signed(request: CallRequest, connection: Connection, now: Micros, nonce: str) -> tuple[CallRequest, dict[str, str]]:
    """The request signed with OAuth 1.0a, if its connection authenticates that way, and the headers that this adds."""
    auth = connection.secrets.auth or {}
    if "oauth1" not in auth:
        return request, {}
    if auth.get("place") == "soap":
        passport = oauth1.passport(auth, request.url, now, nonce)
        body = request.body.replace(SOAP_HEADER.encode(), passport.encode())
        return msgspec.structs.replace(request, body=body), {}
    types = {name.lower(): value for name, value in request.headers}
    form = request.body if types.get("content-type") == CONTENT_TYPES["form"] else None
    return request, {"Authorization": oauth1.authorization(auth, request.method, request.url, form, now, nonce)}


def signed_by(request: CallRequest, signer: CallSigner, now: Micros, ident: str) -> tuple[CallRequest, dict[str, str]]:
    """The request signed as the link declares, and its headers that must not be shown. Raises Refused."""
    whole = HookRequest(request.method, request.url, request.headers, request.body)
    found, added = signer.sign(whole, now / SECOND, ident)
    own = [(name, value) for name, value in request.headers if name.lower() not in added]
    headers = own if signer.shows_secret else [*own, *added.items()]
    changed = msgspec.structs.replace(request, url=found.url, headers=headers, body=found.body)
    return changed, added if signer.shows_secret else {}


def with_token(headers: list[str], body: bytes, token: str) -> tuple[list[str], bytes]:
    """Header lines and a body in which the access token replaces its placeholders."""
    lines = [line.replace(ACCESS_TOKEN, token) for line in headers]
    return lines, body.replace(ACCESS_TOKEN.encode(), in_xml(token).encode())


def shown_body(body: bytes) -> bytes:
    """A body with its secrets masked."""
    for secret in (ACCESS_TOKEN, SOAP_HEADER):
        body = body.replace(secret.encode(), MASK.encode())
    return body


def lines(request: CallRequest, secret: dict[str, str]) -> list[str]:
    """All headers as lines. The connection's take precedence over the link's."""
    named = {name.lower() for name in secret}
    own = [(name, value) for name, value in request.headers if name.lower() not in named]
    return [f"{name}: {value}" for name, value in (*own, *secret.items())]


def shown_headers(request: CallRequest, secret: dict[str, str]) -> dict[str, str]:
    """All headers by their lowercase names, with the values of the connection's headers masked."""
    own = {name.lower(): value.replace(ACCESS_TOKEN, MASK) for name, value in request.headers}
    return own | {name.lower(): MASK for name in secret}


def as_shown(request: CallRequest, secret: dict[str, str]) -> str:
    """A request as the attempt shows it: a JSON object."""
    whole = {"method": request.method, "url": request.url, "headers": shown_headers(request, secret)}
    return msgspec.json.encode(whole).decode()


def unreached(kind: str, reason: str, connection: Connection | None) -> str:
    """Why a call did not arrive. A refused address (`kind`) can also be allowed in the connection."""
    if kind != "address":
        return reason
    where = "A connection" if connection is None else f"The connection {connection.name}"
    return f"{reason} {where} can also allow this address with `private`."
