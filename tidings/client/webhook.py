"""The check of a received webhook: one of Tidings (Standard Webhooks 1.0), or of any sender whose scheme is known."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from tidings.rules import schemes
from tidings.rules.reading.refused import Refused
from tidings.rules.schemes import standard_verify as standard
from tidings.rules.schemes.standard_verify import TOLERANCE_SECONDS, BadSignature

if TYPE_CHECKING:
    from tidings.rules.schemes import HookRequest, Needed, Verifier

VERIFIERS_KEPT = 64


def verify(
    headers: Mapping[str, str],
    body: bytes,
    secrets: str | Sequence[str],
    *,
    tolerance_seconds: float | None = None,
    now: Callable[[], float] = time.time,
    scheme: str | Mapping[str, Any] = "",
    method: str = "POST",
    url: str = "",
    settings: Mapping[str, str] | None = None,
    fetch: Callable[[Needed], bytes] | None = None,
) -> Any:
    """The content of the webhook, if it is genuine and recent.

    `headers` in any case, `body` the bytes as received, `secrets` what `GET /v1/endpoints/{id}/secret` returns, several
    during a rotation, or a `whpk_` public key. Raises BadSignature. The same webhook may arrive more than once, with
    the same `webhook-id` header each time.

    `scheme` names another sender ("github", "stripe"), or describes one as `{"check": {...}}`; then `secrets` are that
    sender's. Some schemes sign `method` and `url`: the public URL that the sender calls, with its query. `settings` are
    required by a few schemes, and `fetch` gets the certificates and keys of those that publish them (it may cache them
    for hours). `tolerance_seconds` defaults to the scheme's own: 300 for ours.

    Returns the JSON value of the body, the fields of a form as a dict, or else the body itself.
    """
    if not scheme:
        tolerance = TOLERANCE_SECONDS if tolerance_seconds is None else tolerance_seconds
        standard.verify(headers, body, secrets, now(), tolerance)
        try:
            return json.loads(body)
        except ValueError:
            raise BadSignature("bad_body", "The body is correctly signed, but not valid JSON.") from None
    verifier = _verifier(
        scheme, (secrets,) if isinstance(secrets, str) else tuple(secrets), settings, tolerance_seconds
    )
    request = schemes.HookRequest(method, url, headers, body)
    fetched = {needed.key: fetch(needed) for needed in verifier.needs(request)} if fetch else {}
    verdict = verifier.verify(request, now(), fetched)
    if not verdict.ok:
        raise BadSignature(verdict.reason, verdict.detail)
    return value_of(request)


def _verifier(
    scheme: str | Mapping[str, Any],
    secrets: tuple[str, ...],
    settings: Mapping[str, str] | None,
    tolerance_seconds: float | None,
) -> Verifier:
    text = scheme if isinstance(scheme, str) else msgspec.json.encode(scheme, order="deterministic")
    try:
        return _compiled(text, secrets, tuple(sorted((settings or {}).items())), tolerance_seconds)
    except Refused as refused:
        if refused.pointer.startswith("/secrets"):
            raise BadSignature("bad_secret", f"A secret to verify with is malformed: {refused.detail}") from None
        raise ValueError(f"{refused.pointer}: {refused.detail}") from None


@lru_cache(VERIFIERS_KEPT)
def _compiled(
    scheme: str | bytes,
    secrets: tuple[str, ...],
    settings: tuple[tuple[str, str], ...],
    tolerance_seconds: float | None,
) -> Verifier:
    found = schemes.named(scheme) if isinstance(scheme, str) else schemes.read(msgspec.json.decode(scheme))
    return schemes.Verifier(found, secrets, settings=dict(settings), tolerance_seconds=tolerance_seconds)


def value_of(request: HookRequest) -> Any:
    """The JSON value of a body, the fields of a form as a dict, or else the body itself."""
    try:
        return json.loads(request.body)
    except ValueError:
        return dict(request.form()) if "form" in request.headers.get("content-type", "") else request.body


__all__ = ["BadSignature", "verify"]
