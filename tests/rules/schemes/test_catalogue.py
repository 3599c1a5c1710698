"""Every named scheme: it can be read, its sample can be signed, and what is signed is genuine."""

from __future__ import annotations

import json

import pytest

from tests.rules.schemes.keys import pair, settings
from tidings.rules import schemes
from tidings.rules.reading.refused import Refused
from tidings.rules.schemes import Scheme, Verifier, sample, sign
from tidings.rules.schemes.catalogue import FOLDER

NOW = 1_790_000_000.0
ALL = schemes.schemes()

# The sixteenth are the fixed replies of Adyen and Dropbox Sign, which answer no question.
QUESTIONS = """
    meta x-crc slack zoom discord dropbox graph okta xero head200 sns cloudevents asana notion twitch
"""


@pytest.mark.parametrize("scheme", ALL, ids=lambda scheme: scheme.name)
def test_a_signed_sample_of_each_scheme_is_genuine(scheme: Scheme) -> None:
    private, public = pair(scheme)
    request = sign(scheme, private, sample(scheme), NOW, settings=settings(scheme))
    verifier = Verifier(scheme, public, settings=settings(scheme))
    assert verifier.needs(request) == ()
    assert verifier.verify(request, NOW) == schemes.Verdict(
        reason="genuine", detail=schemes.MEANINGS["genuine"], secret=verifier.verify(request, NOW).secret
    )


@pytest.mark.parametrize("scheme", ALL, ids=lambda scheme: scheme.name)
def test_each_scheme_says_what_it_is(scheme: Scheme) -> None:
    assert scheme.title
    assert scheme.source.startswith("https://")
    assert scheme.evidence != "own"
    assert scheme.secret_help.endswith((".", ")"))
    assert schemes.checks_in_words(scheme).endswith(".")


@pytest.mark.parametrize("scheme", ALL, ids=lambda scheme: scheme.name)
def test_nothing_is_genuine_without_its_signature_or_secret(scheme: Scheme) -> None:
    private, public = pair(scheme)
    verifier = Verifier(scheme, public, settings=settings(scheme))
    bare = verifier.verify(sample(scheme), NOW)
    assert not bare.ok
    assert bare.detail.endswith(".")
    request = sign(scheme, private, sample(scheme), NOW, settings=settings(scheme))
    without = Verifier(scheme, (), settings=settings(scheme)).verify(request, NOW)
    assert without.reason in ("bad_secret", "no_key")
    other = pair(scheme, "two")[1]
    if other != public:
        assert not Verifier(scheme, other, settings=settings(scheme)).verify(request, NOW).ok
        both = Verifier(scheme, [other, public], settings=settings(scheme)).verify(request, NOW)
        assert (both.ok, both.secret) == (True, 1)


def test_there_is_a_scheme_for_every_sender_that_was_found() -> None:
    assert len(ALL) >= 124
    assert sum(not scheme.unconfirmed for scheme in ALL) >= 111
    assert {scheme.name for scheme in ALL} == {name for family in schemes.families().values() for name in family}


def test_the_sixteen_handshakes_are_there_and_used() -> None:
    used = {name for scheme in ALL for name in scheme.handshakes}
    assert set(QUESTIONS.split()) <= used
    assert used == set(schemes.handshakes())
    assert schemes.named("adyen").accepted == schemes.HookReply(text="[accepted]")
    assert schemes.named("dropbox-sign").accepted == schemes.HookReply(text="Hello API Event Received")


def test_a_sender_is_found_by_its_other_names() -> None:
    assert schemes.named("whatsapp") is schemes.named("meta")
    assert schemes.named("OpenAI ") is schemes.named("standard-webhooks")
    others = [name for scheme in ALL for name in scheme.aliases]
    assert len(others) == len(set(others) - set(schemes.names()))


def test_an_unknown_name_is_refused_with_similar_ones() -> None:
    with pytest.raises(Refused, match="github") as caught:
        schemes.named("git-hub")
    assert caught.value.pointer == "/scheme"


def test_the_files_hold_nothing_twice() -> None:
    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        assert len(pairs) == len({name for name, _ in pairs})
        return dict(pairs)

    for path in FOLDER.glob("*.json"):
        json.loads(path.read_text(), object_pairs_hook=once)


def test_a_sample_can_be_of_another_type() -> None:
    request = sample(schemes.named("stripe"), "https://a.example/in/x?y=1", "invoice.paid")
    assert request.url == "https://a.example/in/x?y=1"
    assert json.loads(request.body)["type"] == "invoice.paid"
    assert sample(schemes.named("github"), event_type="push").headers["x-github-event"] == "push"


def test_the_public_face_is_the_same_whatever_was_loaded_before() -> None:
    modules = {path.stem for path in FOLDER.parent.glob("*.py")}
    assert not modules & set(schemes.__all__)
    assert all(callable(getattr(schemes, name)) or name.isupper() or name == "Reason" for name in schemes.__all__)
