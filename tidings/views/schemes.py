"""Signature schemes as answers and commands show them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tidings.rules import schemes
from tidings.rules.schemes import Scheme, Verifier

SIGNED_AT = 1_790_000_000
"""The time at which samples are signed, in seconds since 1970. It is fixed, so samples are always the same."""
URL = "https://example.com/in"


class SchemeView(msgspec.Struct, frozen=True, kw_only=True):
    """A named signature scheme: whose requests it verifies, what it checks, and the source for that."""

    name: str
    title: str
    aliases: list[str]
    checks: str
    secret: str
    settings: dict[str, str]
    handshakes: list[str]
    signs_url: bool
    evidence: Literal["vectors", "documentation", "code", "second_hand", "own"]
    unconfirmed: bool
    source: str
    help: str


class SampleView(msgspec.Struct, frozen=True, kw_only=True):
    """A sample request. It is signed with `secret` at `signed_at`, or unsigned if the scheme uses a key pair."""

    method: str
    url: str
    headers: dict[str, str]
    body: str
    secret: str | None
    signed_at: int | None


class SchemeDetail(SchemeView, frozen=True, kw_only=True):
    """A named signature scheme with its form, as you would declare a scheme of your own, and a sample."""

    form: dict[str, Any]
    sample: SampleView


def scheme_view(scheme: Scheme) -> SchemeView:
    """A scheme in a list."""
    return SchemeView(**_members(scheme))


def scheme_detail(scheme: Scheme) -> SchemeDetail:
    """Everything about a scheme."""
    form = msgspec.to_builtins(scheme)
    shown = {name: form[name] for name in ("check", "handshakes", "delivery_id", "event_type") if name in form}
    return SchemeDetail(**_members(scheme), form=shown, sample=_sample(scheme))


def _members(scheme: Scheme) -> dict[str, Any]:
    placeholders = {name: one.default or name for name, one in scheme.settings.items()}
    return {
        "name": scheme.name,
        "title": scheme.title,
        "aliases": list(scheme.aliases),
        "checks": " ".join(filter(None, _sentences(scheme))),
        "secret": scheme.secret_help,
        "settings": {name: setting.help for name, setting in scheme.settings.items()},
        "handshakes": [each if isinstance(each, str) else each.name for each in scheme.handshakes],
        "signs_url": schemes.signs_url(Verifier(scheme, settings=placeholders)),
        "evidence": scheme.evidence,
        "unconfirmed": scheme.unconfirmed,
        "source": scheme.source,
        "help": scheme.help,
    }


def _sentences(scheme: Scheme) -> tuple[str, ...]:
    return schemes.checks_in_words(scheme), schemes.replays_in_words(scheme), schemes.body_in_words(scheme)


def _sample(scheme: Scheme) -> SampleView:
    request, secret = schemes.sample(scheme, URL), schemes.example_secret(scheme)
    if secret:
        settings = {name: one.default or name for name, one in scheme.settings.items()}
        request = schemes.sign(scheme, secret, request, SIGNED_AT, settings=settings)
    return SampleView(
        method=request.method,
        url=request.url,
        headers=request.headers,
        body=request.body.decode("utf-8", "replace"),
        secret=secret or None,
        signed_at=SIGNED_AT if secret else None,
    )
