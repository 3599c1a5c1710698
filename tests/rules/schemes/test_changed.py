"""Whatever is changed of a genuine request, it is refused: any byte of the body, URL, signed headers or secret."""

from __future__ import annotations

import json
from functools import cache

import pytest
from hypothesis import given
from hypothesis import settings as tuned
from hypothesis import strategies as st

from tests.examples import examples
from tests.rules.schemes.keys import pair, settings
from tidings.rules import schemes
from tidings.rules.reading.refused import Refused
from tidings.rules.schemes import HookRequest, Scheme, Verifier, sample, sign
from tidings.rules.schemes.form import Basic, Jwt, Signature, Token
from tidings.rules.schemes.kinds.signed import texts

NOW = 1_790_000_000.0
URL = "https://example.com/in/a?b=c"
ALL = schemes.schemes()
EXAMPLES = tuned(max_examples=examples(150), deadline=None)


def whole_body(scheme: Scheme) -> bool:
    """Whether each byte of the body counts, not only some members or fields."""
    return all(
        all("{body" in text for text in texts(check.signed))
        if isinstance(check, Signature)
        else isinstance(check, Jwt) and check.body_hash is not None
        for check in scheme.checks
    )


def whole_url(scheme: Scheme) -> bool:
    return schemes.signs_url(Verifier(scheme, settings=settings(scheme))) and scheme.name != "plivo"


def genuine(scheme: Scheme) -> tuple[HookRequest, Verifier]:
    return _genuine(scheme.name)


@cache
def _genuine(name: str) -> tuple[HookRequest, Verifier]:
    scheme = schemes.named(name)
    private, public = pair(scheme)
    request = sign(scheme, private, sample(scheme, URL), NOW, settings=settings(scheme))
    verifier = Verifier(scheme, public, settings=settings(scheme))
    assert verifier.verify(request, NOW).ok
    return request, verifier


def changed(text: str, at: int, character: str) -> str:
    """Another character at a place; another also where upper and lower case are one."""
    at %= len(text)
    other = character if character.lower() != text[at].lower() else chr(ord(character) + 1)
    return text[:at] + other + text[at + 1 :]


@EXAMPLES
@given(st.sampled_from([one for one in ALL if whole_body(one)]), st.integers(0), st.integers(1, 255))
def test_a_changed_byte_of_the_body_is_refused(scheme: Scheme, at: int, bits: int) -> None:
    request, verifier = genuine(scheme)
    body = bytearray(request.body)
    body[at % len(body)] ^= bits
    for other in (bytes(body), request.body + b" ", request.body[:-1], b""):
        assert not verifier.verify(request.but(body=other), NOW).ok


@EXAMPLES
@given(st.sampled_from([one for one in ALL if whole_url(one)]), st.integers(0), st.sampled_from("abcxyz019-_/"))
def test_a_changed_character_of_the_url_is_refused_where_it_is_signed(scheme: Scheme, at: int, to: str) -> None:
    request, verifier = genuine(scheme)
    assert not verifier.verify(request.but(url=changed(request.url, at, to)), NOW).ok
    assert not verifier.verify(request.but(url=request.url + "&"), NOW).ok


@EXAMPLES
@given(st.sampled_from(ALL), st.integers(0), st.integers(0), st.sampled_from("abcxyzABC019+/=-_., "))
def test_a_changed_character_of_what_the_signature_added_is_refused(
    scheme: Scheme, which: int, at: int, to: str
) -> None:
    request, verifier = genuine(scheme)
    added = sorted(request.headers.items() - sample(scheme, URL).headers.items())
    # Where the certificate is to be had is not signed; which host may have it is checked elsewhere.
    added = [each for each in added if each[0] != "paypal-cert-url"]
    if not added:
        assert request.body != sample(scheme, URL).body or request.url != URL
        return
    name, value = added[which % len(added)]
    found = verifier.verify(request.but(headers={**request.headers, name: changed(value, at, to)}), NOW)
    assert not found.ok, (name, value)


@EXAMPLES
@given(st.sampled_from(ALL), st.integers(0), st.sampled_from("0123456789abcdef"))
def test_a_changed_character_of_the_secret_is_refused(scheme: Scheme, at: int, to: str) -> None:
    request, _ = genuine(scheme)
    secret = pair(scheme)[1]
    if secret.startswith(("-----", "{")):
        return
    stays = len(scheme.checks[0].secret.strip) if isinstance(scheme.checks[0], Signature) else 0
    # The last characters of base64 hold bits that mean nothing.
    at = stays + at % (len(secret) - stays - 3)
    other = secret[:at] + (to if to != secret[at] else "g") + secret[at + 1 :]
    try:
        verdict = Verifier(scheme, other, settings=settings(scheme)).verify(request, NOW)
    except Refused as refused:
        assert refused.pointer == "/secrets/0"
        return
    assert not verdict.ok
    assert secret not in verdict.detail


@pytest.mark.parametrize("scheme", ALL, ids=lambda scheme: scheme.name)
def test_a_request_of_yesterday_or_tomorrow_is_refused_where_a_time_is_signed(scheme: Scheme) -> None:
    request, verifier = genuine(scheme)
    check = scheme.checks[0]
    timed = isinstance(check, Signature) and check.timestamp
    limited = timed and timed.tolerance_seconds is not None
    if limited or (isinstance(check, Jwt) and (check.needs_exp or check.age_seconds is not None)):
        limit = (timed and timed.tolerance_seconds) or 86_400
        assert verifier.verify(request, NOW + limit + 60).reason == "too_old"
        assert verifier.verify(request, NOW - limit - 60).reason == "too_new"
    strict = Verifier(scheme, verifier.secrets, settings=settings(scheme), tolerance_seconds=10)
    assert strict.verify(request, NOW + 9).ok or scheme.name == "box"
    if timed:
        assert strict.verify(request, NOW + 11.1).reason == "too_old"


@pytest.mark.parametrize("name", ["twilio", "mandrill", "vonage-sms", "adyen", "aws-sns", "mailgun", "dropbox-sign"])
def test_a_changed_value_is_refused_where_only_values_are_signed(name: str) -> None:
    scheme = schemes.named(name)
    request, verifier = genuine(scheme)
    changes = {
        "twilio": (b"1234", b"1235"),
        "mandrill": (b"open", b"hard"),
        "adyen": (b"1130", b"9130"),
        "aws-sns": (b"Hello world!", b"Hello w0rld!"),
        "mailgun": (b"a8ce0edb", b"b8ce0edb"),
        "dropbox-sign": (b"signature_request_sent", b"signature_request_paid"),
    }
    if name == "vonage-sms":
        assert not verifier.verify(request.but(url=request.url.replace("text=hi", "text=ho")), NOW).ok
        return
    old, new = changes[name]
    assert old in request.body
    assert not verifier.verify(request.but(body=request.body.replace(old, new)), NOW).ok


def test_a_member_that_is_there_twice_is_refused_where_members_are_signed() -> None:
    for name, member in (("aws-sns", '"Message":"evil",'), ("adyen", '"live":"x",')):
        request, verifier = genuine(schemes.named(name))
        twice = b"{" + member.encode() + request.body[1:]
        assert json.loads(twice)
        assert verifier.verify(request.but(body=twice), NOW).reason == "bad_body"


@EXAMPLES
@given(
    st.sampled_from(ALL),
    st.dictionaries(st.text(max_size=40), st.text(max_size=80), max_size=5),
    st.dictionaries(st.sampled_from(["authorization", "content-type"]), st.text(max_size=80)),
    st.binary(max_size=200) | st.text(max_size=80).map(lambda text: json.dumps({"value": text}).encode()),
    st.text(max_size=60),
    st.data(),
)
def test_strange_requests_are_refused_without_a_fault(
    scheme: Scheme, headers: dict[str, str], known: dict[str, str], body: bytes, url: str, data: st.DataObject
) -> None:
    request, verifier = genuine(scheme)
    added = data.draw(
        st.dictionaries(st.sampled_from([*sorted(request.headers), "x"]), st.text(max_size=200), min_size=1)
    )
    for strange in (
        HookRequest("POST", url, {**headers, **known, **added}, body),
        request.but(headers={**request.headers, **added}, body=body, url=url),
    ):
        assert verifier.needs(strange) is not None
        verdict = verifier.verify(strange, NOW)
        if verdict.ok:
            assert isinstance(scheme.checks[0], Token | Basic | Signature) or not whole_body(scheme)
        else:
            assert verdict.reason in schemes.REASONS
            assert schemes.explain(verifier, strange, NOW).reason in schemes.REASONS
        schemes.before(verifier, strange)
        schemes.after(verifier, strange)
