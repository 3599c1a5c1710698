"""Verify a received webhook from Tidings (Standard Webhooks 1.0), or from any sender whose scheme is known."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from tidings.rules import schemes
from tidings.rules.reading.refused import Refused
from tidings.rules.schemes import standard_verify as standard
from tidings.rules.schemes.standard_verify import TOLERANCE_SECONDS, BadSignature

if TYPE_CHECKING:
    from tidings.rules.schemes import HookRequest, Needed, Verdict, Verifier

VERIFIERS_KEPT = 64


class Headers(Protocol):
    """The headers of a request, as any web framework has them."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Names and values."""


def verify(
    headers: Headers,
    body: bytes,
    secrets: str | Sequence[str],
    *,
    tolerance_seconds: float | None = None,
    now: float | Callable[[], float] = time.time,
    scheme: str | Mapping[str, Any] = "",
    method: str = "POST",
    url: str = "",
    settings: Mapping[str, str] | None = None,
    fetch: Callable[[Needed], bytes] | None = None,
) -> Any:
    """The content of the webhook, if it is genuine and recent.

    The case of `headers` does not matter. `body` is the bytes as received. `secrets` is the secret that
    `GET /v1/endpoints/{id}/secret` returns (or several, during a rotation), or a `whpk_` public key. The same webhook
    may arrive more than once, with the same `webhook-id` header each time.

    `scheme` is the name of another sender ("github", "stripe"), or describes one as `{"check": {...}}`; `secrets` are
    then that sender's. Some schemes sign `method` and `url`: the public URL that the sender calls, including the query.
    `settings` are required by a few schemes. `fetch` is called to fetch the certificates and keys that some senders
    publish (it may cache them for hours). `tolerance_seconds` defaults to the tolerance in the sender's documentation
    or libraries: 300 for Tidings, none for some senders. `now` is the number of seconds since 1970, or a function that
    returns it.

    Returns the JSON value of the body, the fields of a form as a dict, or else the body itself. Raises BadSignature if
    the webhook is not genuine; ValueError, naming the argument, if nothing could be verified with these arguments.
    """
    _check_call(headers, body, secrets, tolerance_seconds, now, scheme, method, url, settings, fetch)
    moment = now() if callable(now) else now
    if scheme == "":
        tolerance = TOLERANCE_SECONDS if tolerance_seconds is None else tolerance_seconds
        standard.verify(dict(headers.items()), body, secrets, moment, tolerance)
        try:
            return json.loads(body)
        except ValueError:
            raise BadSignature("bad_body", "The body is correctly signed, but not valid JSON.") from None
    verifier = _verifier(
        scheme, (secrets,) if isinstance(secrets, str) else tuple(secrets), settings, tolerance_seconds
    )
    request = schemes.HookRequest(method, url, headers.items(), body)
    verdict = verifier.verify(request, moment, _fetched(verifier.needs(request), fetch))
    if not verdict.ok:
        raise _refusal(verdict, url)
    return value_of(request)


def _fetched(needs: Sequence[Needed], fetch: Callable[[Needed], bytes] | None) -> dict[str, bytes]:
    if needs and fetch is None:
        raise ValueError(f"fetch: The sender publishes its keys. Pass a function that fetches {needs[0].url}.")
    return {needed.key: fetch(needed) for needed in needs} if fetch else {}


def _refusal(verdict: Verdict, url: str) -> ValueError:
    """The error to raise. If the arguments could not verify any webhook, this one is not reported as forged."""
    if verdict.reason == "bad_secret":
        return ValueError(f"secrets: {verdict.detail}")
    if verdict.reason == "wrong_url" and not url:
        return ValueError(
            "url: This sender signs the URL. Pass the public URL that the sender calls, including the query."
        )
    return BadSignature(verdict.reason, verdict.detail)


def _check_call(
    headers: object,
    body: object,
    secrets: object,
    tolerance_seconds: object,
    now: object,
    scheme: object,
    method: object,
    url: object,
    settings: object,
    fetch: object,
) -> None:
    """Raise ValueError for an argument of the wrong type, which would fail later, or look like a forgery."""
    keys = (secrets,) if isinstance(secrets, str) else secrets
    named = settings.items() if isinstance(settings, Mapping) else None if settings else ()
    for name, given, fits, wanted in (
        ("headers", headers, hasattr(headers, "items"), "the headers as a mapping"),
        ("body", body, isinstance(body, bytes), "the raw bytes as they arrived, before any parsing"),
        ("secrets", secrets, isinstance(keys, Sequence) and _are_texts(keys), "a secret, or a list of them"),
        ("tolerance_seconds", tolerance_seconds, isinstance(tolerance_seconds, int | float | None), "a number"),
        (
            "now",
            now,
            callable(now) or isinstance(now, int | float),
            "seconds since 1970, or a function such as time.time",
        ),
        ("scheme", scheme, isinstance(scheme, str | Mapping), 'a name such as "github", or a scheme as a mapping'),
        ("method", method, isinstance(method, str), 'a string such as "POST"'),
        ("url", url, isinstance(url, str), "the public URL as a string"),
        ("settings", settings, named is not None and all(map(_are_texts, named)), "a mapping of strings"),
        ("fetch", fetch, fetch is None or callable(fetch), "a function that fetches what the scheme needs"),
    ):
        if not fits:
            raise ValueError(f"{name}: Pass {wanted}, not {type(given).__name__}.")


def _are_texts(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) for value in values)


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
        raise ValueError(f"{_argument(refused.pointer)}: {refused.detail}") from None


def _argument(pointer: str) -> str:
    """The argument of `verify` that is wrong, with the place in it if it is a scheme."""
    name = pointer.split("/")[1] if pointer else "scheme"
    return name if name in ("secrets", "settings", "scheme") else f"scheme, at {pointer}"


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
