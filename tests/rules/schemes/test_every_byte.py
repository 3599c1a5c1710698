"""Each scheme by its own sample: no byte of what it covers can be changed, one after the other.

`test_changed.py` draws a scheme and a place at random; here every place of every scheme is tried.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.rules.schemes.keys import pair, settings
from tests.rules.schemes.test_changed import NOW, URL, changed, genuine, whole_body, whole_url
from tidings.rules import schemes
from tidings.rules.reading.refused import Refused
from tidings.rules.schemes import HookRequest, Scheme, Verifier, sample
from tidings.rules.schemes.crypto import loosely
from tidings.rules.schemes.form import Basic, ItemSignatures, Jwt, Signature, SortedParameters, Token

ALL = schemes.schemes()
BITS = (0x01, 0x20, 0x80)
"""The least change of a byte, another case of a letter, and a byte beyond ASCII."""

OPTIONAL = {"paypal-cert-url"}
"""Where a certificate is to be had is not signed; which host may have it is checked elsewhere."""


def is_by_values(scheme: Scheme) -> bool:
    """Whether members or fields of the body are signed, rather than its bytes."""
    return any(
        isinstance(check, SortedParameters | ItemSignatures)
        or type(check).__name__ == "Certificate"
        or (isinstance(check, Signature) and not whole_body(scheme))
        for check in scheme.checks
    )


def each_change(body: bytes) -> Iterator[bytes]:
    for at in range(len(body)):
        for bits in BITS:
            yield body[:at] + bytes([body[at] ^ bits]) + body[at + 1 :]


@pytest.mark.parametrize("scheme", [one for one in ALL if whole_body(one)], ids=lambda scheme: scheme.name)
@pytest.mark.few(20)
def test_no_byte_of_the_body_can_be_changed(scheme: Scheme) -> None:
    request, verifier = genuine(scheme)
    passed = [body for body in each_change(request.body) if verifier.verify(request.but(body=body), NOW).ok]
    assert not passed
    for at in range(len(request.body)):
        without = request.body[:at] + request.body[at + 1 :]
        assert not verifier.verify(request.but(body=without), NOW).ok, at


@pytest.mark.parametrize("scheme", [one for one in ALL if is_by_values(one)], ids=lambda scheme: scheme.name)
def test_no_value_that_is_signed_can_be_changed(scheme: Scheme) -> None:
    request, verifier = genuine(scheme)
    signed = verifier.shown(request)
    for body in each_change(request.body):
        other = request.but(body=body)
        if verifier.verify(other, NOW).ok:
            # The change was in something else, or the same value is written otherwise now.
            assert verifier.shown(other) == signed, body


def test_the_schemes_that_leave_the_body_out_say_so() -> None:
    silent = {
        scheme.name
        for scheme in ALL
        if not whole_body(scheme) and not is_by_values(scheme) and not isinstance(scheme.checks[0], Token | Basic)
    }
    for name in silent:
        assert "body" in schemes.named(name).help, name


@pytest.mark.parametrize("scheme", ALL, ids=lambda scheme: scheme.name)
@pytest.mark.few(20)
def test_no_character_of_a_header_that_is_signed_can_be_changed(scheme: Scheme) -> None:
    request, verifier = genuine(scheme)
    bare = sample(scheme, URL).headers
    added = {name for name, value in request.headers.items() if bare.get(name) != value}
    for name in (added | signed_headers(scheme, request)) - OPTIONAL:
        value = request.headers[name]
        for at in range(len(value)):
            for to in "a0~":
                other = request.but(headers={**request.headers, name: changed(value, at, to)})
                assert not verifier.verify(other, NOW).ok, (name, at, to)
        without = {each: text for each, text in request.headers.items() if each != name}
        assert not verifier.verify(request.but(headers=without), NOW).ok, name


def signed_headers(scheme: Scheme, request: HookRequest) -> set[str]:
    """The headers that a scheme's check reads."""
    read: set[str] = set()
    for check in scheme.checks:
        if isinstance(check, Signature):
            texts = [check.id, *check.requires, check.timestamp.source if check.timestamp else ""]
            texts += [check.signed] if isinstance(check.signed, str) else check.signed
            read |= {name for name in request.headers if any(f"header:{name}" in text.lower() for text in texts)}
    return read


@pytest.mark.parametrize(
    "scheme", [one for one in ALL if whole_url(one) or one.name == "plivo"], ids=lambda scheme: scheme.name
)
def test_no_character_of_the_url_can_be_changed_where_it_is_signed(scheme: Scheme) -> None:
    request, verifier = genuine(scheme)
    covered = request.url.partition("?")[0] if scheme.name == "plivo" else request.url
    for at in range(len(covered)):
        for to in "a0~":
            other = changed(covered, at, to) + request.url[len(covered) :]
            assert not verifier.verify(request.but(url=other), NOW).ok, other
    for other in (request.url.replace("?", "/?", 1), "http" + request.url[5:], ""):
        assert not verifier.verify(request.but(url=other), NOW).ok, other


@pytest.mark.parametrize("scheme", ALL, ids=lambda scheme: scheme.name)
@pytest.mark.few(20)
def test_no_character_of_the_secret_can_be_changed(scheme: Scheme) -> None:
    request, _ = genuine(scheme)
    secret = pair(scheme)[1]
    for at in range(len(secret)):
        other = changed(secret, at, "0")
        if key_of(scheme, other) == key_of(scheme, secret):
            continue
        try:
            verdict = Verifier(scheme, other, settings=settings(scheme)).verify(request, NOW)
        except Refused:
            continue
        assert not verdict.ok, (at, other)


def key_of(scheme: Scheme, secret: str) -> object:
    """What a secret's text stands for: some texts mean the same, such as base64 whose last bits differ."""
    check = scheme.checks[0]
    if secret.startswith("-----BEGIN"):
        return loosely("".join(secret.splitlines()[1:-1]), "base64")
    if isinstance(check, Jwt) and secret.startswith("{"):
        try:
            value = json.loads(secret)
        except ValueError:
            return secret
        keys = value.get("keys", [value])
        return [{name: loosely(str(text), "base64url") or text for name, text in key.items()} for key in keys]
    if isinstance(check, Signature) and check.secret.encoding != "utf8":
        return loosely(secret.removeprefix(check.secret.strip), check.secret.encoding)
    return secret
