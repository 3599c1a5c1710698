"""Questions that senders ask before they trust a URL, and the answers."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from tidings.rules.schemes import crypto
from tidings.rules.schemes.catalogue import handshakes_of
from tidings.rules.schemes.checked import HMAC_PIECE
from tidings.rules.schemes.form import Handshake, HookReply, Scheme
from tidings.rules.schemes.kinds.jwks import trusted
from tidings.rules.schemes.kinds.signed import is_token
from tidings.rules.schemes.request import HookRequest
from tidings.rules.schemes.sources import encoded, source
from tidings.rules.schemes.verdict import Unfit
from tidings.rules.schemes.verifier import Verifier

VALUE_CHARS_MAX = 4_096
"""The maximum length of a value that is echoed."""
_PIECE = re.compile(r"\{([^{}]*)\}")
_NO_HEADER = re.compile(r"[^\x20-\x7e]")
_NOTHING: Mapping[str, bytes] = {}


class HandshakeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer. `store_secret` is a secret to keep for the hook, `fetch` a URL to fetch once to confirm.

    `refused` says why the question is not answered as the sender expects.
    """

    handshake: str
    status: int
    headers: dict[str, str]
    body: bytes
    store_secret: str | None = None
    fetch: str | None = None
    refused: str | None = None


def handshake(
    scheme: Scheme,
    request: HookRequest,
    secrets: str | Sequence[str],
    now: float,
    *,
    settings: Mapping[str, str] | None = None,
    fetched: Mapping[str, bytes] = _NOTHING,
) -> HandshakeAnswer | None:
    """The answer to a request that is a handshake; None for any other, and for a signed one that is not genuine."""
    verifier = Verifier(scheme, secrets, settings=settings)
    return before(verifier, request) or (
        after(verifier, request) if is_asked(verifier, request) and verifier.verify(request, now, fetched).ok else None
    )


def before(verifier: Verifier, request: HookRequest) -> HandshakeAnswer | None:
    """The answer to an unsigned handshake: call this before the request is verified."""
    return _answered(verifier, request, "before")


def after(verifier: Verifier, request: HookRequest) -> HandshakeAnswer | None:
    """The answer to a signed handshake: call this only once the request is known to be genuine."""
    return _answered(verifier, request, "after")


def is_asked(verifier: Verifier, request: HookRequest) -> bool:
    """Whether the request would be a signed handshake."""
    return any(fits(one, request) for one in handshakes_of(verifier.scheme) if one.verify == "after")


def fits(one: Handshake, request: HookRequest) -> bool:
    """Whether a request is this handshake."""
    when = one.when
    return (
        request.method.upper() in when.method
        and all(_value(place, request) is not None for place in when.present)
        and all(_value(place, request) == wanted for place, wanted in when.equals.items())
    )


def fill(reply: HookReply, request: HookRequest, secrets: Sequence[str] = ()) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an answer. Raises Unfit if a value for it is missing."""
    headers = {name: _NO_HEADER.sub("", _filled(text, request, secrets)) for name, text in reply.headers.items()}
    if reply.json is not None:
        value = _each_text(reply.json, lambda text: _filled(text, request, secrets))
        return reply.status, {"content-type": "application/json", **headers}, msgspec.json.encode(value)
    if reply.text is None:
        return reply.status, headers, b""
    # An echo must never be treated as a page, because it is a stranger's text on our origin.
    plain = {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}
    return reply.status, plain | headers, encoded(_filled(reply.text, request, secrets))


def _answered(verifier: Verifier, request: HookRequest, phase: str) -> HandshakeAnswer | None:
    for one in handshakes_of(verifier.scheme):
        if one.verify == phase and fits(one, request):
            try:
                return _answer(one, verifier, request)
            except Unfit as unfit:
                return _refusal(one, unfit.detail)
    return None


def _answer(one: Handshake, verifier: Verifier, request: HookRequest) -> HandshakeAnswer:
    for place, setting in one.must_equal.items():
        wanted = verifier.settings.get(setting, "")
        given = _value(place, request) or ""
        if not wanted or not hmac.compare_digest(encoded(given), wanted.encode()):
            return _refusal(one, f"{source(place).said()} is not the {setting} of this hook.")
    offered = _value(one.store_secret, request) if one.store_secret else None
    if one.store_secret and verifier.secrets:
        if offered is None or not any(hmac.compare_digest(encoded(offered), s.encode()) for s in verifier.secrets):
            return _refusal(one, "This hook already has a secret; remove it before the sender hands over another.")
        offered = None
    url = _value(one.fetch, request) if one.fetch else None
    if url is not None:
        trusted(url, one.hosts, with_query=True)
    status, headers, body = fill(one.reply, request, verifier.secrets)
    return HandshakeAnswer(
        handshake=one.name, status=status, headers=headers, body=body, store_secret=offered, fetch=url
    )


def _refusal(one: Handshake, detail: str) -> HandshakeAnswer:
    return HandshakeAnswer(handshake=one.name, status=403, headers={}, body=b"", refused=detail)


def _value(place: str, request: HookRequest) -> str | None:
    value = source(place).first(request)
    return None if value is None or len(value) > VALUE_CHARS_MAX else value


def _filled(text: str, request: HookRequest, secrets: Sequence[str]) -> str:
    return _PIECE.sub(lambda found: _piece(found.group(1), request, secrets), text)


def _piece(name: str, request: HookRequest, secrets: Sequence[str]) -> str:
    found = HMAC_PIECE.fullmatch(name)
    if not found:
        return _needed(name, request)
    algorithm, encoding, place = found.groups()
    if not is_token(encoded(_needed(place, request))):
        raise Unfit("malformed_header", f"{source(place).said()} is not a token, so this server does not sign it.")
    if not secrets:
        raise Unfit("bad_secret", "There is no secret yet, so the handshake cannot be answered.")
    states = crypto.primed(secrets[0].encode(), algorithm.removeprefix("hmac-"))
    return crypto.ENCODE[encoding](crypto.hmac_digest(states, encoded(_needed(place, request)))).decode()


def _needed(place: str, request: HookRequest) -> str:
    value = _value(place, request)
    if value is None:
        raise Unfit("missing_header", f"{source(place).said()} is missing, or too long to be echoed.")
    return value


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {name: _each_text(each, change) for name, each in value.items()}
    return [_each_text(each, change) for each in value] if isinstance(value, list) else value
