"""The secrets that a connection sends, in every form in which a service may repeat them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from urllib.parse import parse_qsl, quote

from tidings.model.calls.connection import Connection
from tidings.rules.calls import oauth1, oauth2

_ORDINARY = ("accept", "accept-encoding", "accept-language", "content-type", "user-agent")
"""Headers whose values are never secret."""


def secrets_of(connection: Connection | None) -> tuple[str, ...]:
    """Everything secret that a connection sends, except access tokens."""
    if connection is None:
        return ()
    auth, found = connection.secrets.auth or {}, [*secret_headers(connection.secrets.headers)]
    if "bearer" in auth:
        found.append(auth["bearer"])
    elif "basic" in auth:
        user, password = auth["basic"]
        found += [password, _b64(f"{user}:{password}"), _b64(f"\0{user}\0{password}")]
    elif "header" in auth:
        found += secret_headers(auth["header"])
    names = oauth2.SECRETS if "oauth2" in auth else oauth1.SECRETS if "oauth1" in auth else ()
    # A private key is never sent.
    found += [auth[name] for name in names if name != "key" and auth.get(name)]
    if "oauth2" in auth and auth.get("secret"):
        found.append(_b64(f"{quote(auth['id'], safe='')}:{quote(auth['secret'], safe='')}"))
    return tuple(found)


def secret_headers(headers: dict[str, str]) -> Iterator[str]:
    """The values of headers; if a value begins with a scheme, as in `Bearer TOKEN`, also the part after it."""
    for name, value in headers.items():
        if name.lower() not in _ORDINARY:
            yield value
            yield value.partition(" ")[2]


def sent_in(form: bytes) -> tuple[str, ...]:
    """The credentials in the form sent to a token endpoint."""
    names = ("assertion", "client_assertion", "client_secret", "refresh_token", "password")
    return tuple(value for name, value in parse_qsl(form.decode()) if name in names)


def _b64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "replace")).decode()
