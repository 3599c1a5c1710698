"""What a refused request costs: no more than a genuine one, whatever an impostor writes into it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.rules.schemes import keys
from tidings.rules import schemes
from tidings.rules.schemes import HookRequest, Scheme, Verifier, sample, sign, standard
from tidings.rules.schemes.crypto import PUBLIC
from tidings.rules.schemes.form import Signature
from tidings.rules.schemes.kinds import jwks
from tidings.rules.schemes.kinds.signed import PUBLIC_CANDIDATES_MAX, texts

NOW = 1_790_000_000.0
BODY = b'{"a":"' + b"x" * (2 << 20) + b'"}'
HASHED = [
    scheme
    for scheme in schemes.schemes()
    if all(
        isinstance(check, Signature)
        and check.algorithm not in PUBLIC
        and check.signature.source.startswith("header:")
        and "{body}" in texts(check.signed)[0]
        and "json:" not in repr(check)
        for check in scheme.checks
    )
]


def seconds(call: Callable[[], object]) -> float:
    """The least of a few calls: the machine may be busy with other things."""
    taken = []
    for _ in range(3):
        begun = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begun)
    return min(taken)


def genuine(scheme: Scheme, body: bytes = BODY) -> tuple[Verifier, HookRequest, str]:
    private, public = keys.pair(scheme)
    request = sign(scheme, private, sample(scheme).but(body=body), NOW, settings=keys.settings(scheme))
    check = scheme.checks[0]
    assert isinstance(check, Signature)
    place = (
        check.signature.source.partition(" | ")[0].partition(" & ")[0].removeprefix("header:").replace("*", "1").lower()
    )
    return Verifier(scheme, public, settings=keys.settings(scheme)), request, place


@pytest.mark.parametrize("scheme", HASHED, ids=lambda scheme: scheme.name)
def test_what_cannot_be_a_signature_is_refused_before_the_body_is_hashed(scheme: Scheme) -> None:
    verifier, request, place = genuine(scheme)
    short = request.but(headers={**request.headers, place: request.headers[place][:-1]})
    assert verifier.verify(request, NOW).ok
    assert verifier.verify(short, NOW).reason == "malformed_header"
    assert seconds(lambda: verifier.verify(short, NOW)) < seconds(lambda: verifier.verify(request, NOW)) / 3


@pytest.mark.parametrize("scheme", HASHED, ids=lambda scheme: scheme.name)
def test_a_forged_signature_costs_what_a_genuine_one_does(scheme: Scheme) -> None:
    alternatives = max(len(texts(check.signed)) for check in scheme.checks if isinstance(check, Signature))
    verifier, request, _ = genuine(scheme)
    forged = sign(scheme, keys.pair(scheme, "two")[0], request, NOW, settings=keys.settings(scheme))
    assert verifier.verify(forged, NOW).reason == "no_match"
    right = seconds(lambda: verifier.verify(request, NOW))
    assert seconds(lambda: verifier.verify(forged, NOW)) < 2 * alternatives * right


def test_a_list_of_forged_signatures_of_key_pairs_does_not_multiply_the_work() -> None:
    scheme = schemes.named("standard-webhooks")
    key = "whsk_" + "A" * 43 + "="
    request = sign(scheme, key, sample(scheme), NOW)
    verifier = Verifier(scheme, standard.public_key(key))
    good = request.headers["webhook-signature"]
    forged = "v1a," + "A" * 86 + "=="
    for before, right in ((PUBLIC_CANDIDATES_MAX - 1, True), (PUBLIC_CANDIDATES_MAX, False)):
        listed = " ".join([*[forged] * before, good])
        assert verifier.verify(request.but(headers={**request.headers, "webhook-signature": listed}), NOW).ok is right


def test_a_token_without_a_key_id_is_tried_with_a_few_keys_only() -> None:
    one = keys.jwk(keys.rsa_key())
    assert len(jwks.KeySet([one] * 50).by_id(None)) == jwks.TRIED_MAX
    assert len(jwks.KeySet([one] * 50).by_id("tidings")) == jwks.TRIED_MAX
