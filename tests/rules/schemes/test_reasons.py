"""What people are told about a request that does not fit."""

from __future__ import annotations

import json

import pytest

from tests.rules.schemes.keys import pair
from tidings.rules import schemes
from tidings.rules.schemes import HookRequest, Verdict, Verifier, explain, named, sample, sign

NOW = 1_790_000_000.0
SECRET = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0"
URL = "https://hooks.example.com/in/square"


def square(url: str = URL, headers: dict[str, str] | None = None) -> Verdict:
    request = sign(named("square"), SECRET, sample(named("square"), URL), NOW)
    seen = request.but(url=url, headers={**request.headers, **(headers or {})})
    return explain(Verifier(named("square"), SECRET), seen, NOW)


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("http://hooks.example.com/in/square", {}),
        ("https://hooks.example.com:443/in/square", {}),
        ("https://hooks.example.com/in/square/", {}),
        ("http://hooks.example.com:8080/in/square", {}),
        ("http://10.0.0.7:8080/in/square", {"host": "hooks.example.com"}),
        ("http://10.0.0.7:8080/in/square", {"x-forwarded-host": "hooks.example.com, inner"}),
        ("https://hooks.example.com/square", {"x-forwarded-prefix": "/in"}),
        ("https://hooks.example.com/in/square?added=1", {}),
    ],
)
def test_a_url_that_a_proxy_rewrote_is_found(url: str, headers: dict[str, str]) -> None:
    verdict = square(url, headers)
    assert verdict.reason == "wrong_url"
    assert URL in verdict.detail
    assert "proxy" in verdict.detail
    request = sign(named("square"), SECRET, sample(named("square"), URL), NOW)
    assert Verifier(named("square"), SECRET).verify(request.but(url=url), NOW).reason == "no_match"


def test_a_url_of_another_place_is_not_found() -> None:
    assert square("https://other.example.org/in/x").reason == "no_match"
    assert square("").reason == "wrong_url"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"a": 1, "b": "\xc3\xa9"}', "without spaces"),
        (b'{"a":1,"b":"\\u00e9"}', "without spaces"),
        (b'{"a":1,"b":"\xc3\xa9"}\n', "line end"),
        (b'{\n  "a": 1,\n  "b": "\xc3\xa9"\n}', "without spaces"),
        (b'\xef\xbb\xbf{"a":1,"b":"\xc3\xa9"}', "byte order mark"),
    ],
)
def test_a_body_that_was_parsed_and_written_again_is_found(body: bytes, words: str) -> None:
    scheme = named("github")
    request = sign(scheme, SECRET, sample(scheme).but(body=b'{"a":1,"b":"\xc3\xa9"}'), NOW)
    verdict = explain(Verifier(scheme, SECRET), request.but(body=body), NOW)
    assert verdict.reason == "changed_body"
    assert words in verdict.detail
    assert explain(Verifier(scheme, SECRET), request.but(body=b'{"a":2}'), NOW).reason == "no_match"


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        (f" {SECRET}\n", "spaces"),
        (f'"{SECRET}"', "quotes"),
        (f"whsec_{SECRET}", "whsec_"),
        (SECRET.encode().hex(), "hex"),
    ],
)
def test_a_secret_that_was_copied_wrongly_is_found(secret: str, words: str) -> None:
    scheme = named("github")
    request = sign(scheme, SECRET, sample(scheme), NOW)
    verdict = explain(Verifier(scheme, ["another", secret]), request, NOW)
    assert verdict.reason == "wrong_secret"
    assert words in verdict.detail
    assert "secret 1" in verdict.detail
    assert SECRET not in verdict.detail


def test_an_old_request_is_said_to_be_genuine_or_not() -> None:
    scheme = named("stripe")
    request = sign(scheme, SECRET, sample(scheme), NOW)
    old = explain(Verifier(scheme, SECRET), request, NOW + 400)
    assert (old.reason, "400 seconds ago" in old.detail) == ("too_old", True)
    assert "The signature itself is genuine" in old.detail
    false = explain(Verifier(scheme, "wrong"), request, NOW - 400)
    assert (false.reason, "not genuine either" in false.detail) == ("too_new", True)


def test_what_was_expected_to_be_signed_is_shown_and_never_the_secret_or_signature() -> None:
    for scheme in schemes.schemes():
        private, public = pair(scheme)
        other = pair(scheme, "two")[1]
        settings = {name: one.default or f"the {name}" for name, one in scheme.settings.items()}
        request = sign(scheme, private, sample(scheme, URL), NOW, settings=settings)
        changed = request.but(body=request.body + b" ", url=request.url + "&x=1")
        verdict = explain(Verifier(scheme, other, settings=settings), changed, NOW)
        said = json.dumps([verdict.detail, verdict.signed])
        tokens = {"token", "basic"} & {type(check).__name__.lower() for check in scheme.checks}
        if not verdict.ok and not tokens:
            assert other not in said and public not in said, scheme.name
            right = {*sign(scheme, private, changed, NOW, settings=settings).headers.items()} - {
                *changed.headers.items()
            }
            assert not any(value in said for _, value in right if len(value) > 20), scheme.name


def test_what_is_signed_is_shown() -> None:
    scheme = named("hubspot")
    request = sign(scheme, SECRET, sample(scheme, URL), NOW)
    shown = explain(Verifier(scheme, "wrong"), request, NOW).signed
    assert shown == f"POST{URL}{request.body.decode()}1790000000000"
    long = sign(scheme, SECRET, sample(scheme, URL).but(body=b"x" * 10_000), NOW)
    cut = explain(Verifier(scheme, "wrong"), long, NOW).signed
    assert cut is not None
    assert cut.endswith("... (10,052 bytes)")
    assert len(cut) < 600
    plain = sign(named("hubspot-v2"), SECRET, sample(named("hubspot-v2"), URL), NOW)
    hidden = explain(Verifier(named("hubspot-v2"), "wrong"), plain, NOW).signed
    assert hidden == f"(secret)POST{URL}{plain.body.decode()}"


def test_tokens_that_bind_the_body_tell_a_changed_one_from_a_wrong_secret() -> None:
    scheme = named("messagebird")
    request = sign(scheme, SECRET, sample(scheme, URL), NOW)
    verifier = Verifier(scheme, SECRET)
    assert verifier.verify(request.but(body=b"other"), NOW).reason == "changed_body"
    assert verifier.verify(request.but(body=b""), NOW).reason == "changed_body"
    assert verifier.verify(request.but(url=URL + "?"), NOW).reason == "wrong_url"
    assert Verifier(scheme, "other").verify(request, NOW).reason == "wrong_secret"


def test_every_reason_is_reached_by_a_request() -> None:
    assert set(schemes.MEANINGS) == set(schemes.REASONS)
    request = HookRequest("POST", URL, {"X-Hub-Signature-256": "sha1=00"}, b"{}")
    assert Verifier(named("github"), SECRET).verify(request, NOW).reason == "unsupported_version"
    assert Verifier(named("github")).verify(sign(named("github"), "x", request, NOW), NOW).reason == "bad_secret"
