"""What a refused request costs: no more than a genuine one, whatever an impostor writes into it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from tests.rules.schemes import keys
from tidings.rules import schemes
from tidings.rules.schemes import HookRequest, Scheme, Verifier, sample, sign, standard
from tidings.rules.schemes.crypto import PUBLIC, digest, hmac_digest
from tidings.rules.schemes.form import Signature
from tidings.rules.schemes.kinds import jwks
from tidings.rules.schemes.kinds.signed import PUBLIC_CANDIDATES_MAX, texts

NOW = 1_790_000_000.0
BODY = b'{"a":1}'
HASHING = {hmac_digest.__code__, digest.__code__}
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


def hashed(call: Callable[[], object]) -> int:
    """How often a message is hashed: time would depend on what else the machine does."""
    count = 0

    def entered(frame: FrameType, event: str, _: object) -> None:
        nonlocal count
        if event == "call" and frame.f_code in HASHING:
            count += 1

    before = sys.getprofile()
    sys.setprofile(entered)
    try:
        call()
    finally:
        sys.setprofile(before)
    return count


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
def test_an_impossible_signature_is_refused_before_the_body_is_hashed(scheme: Scheme) -> None:
    verifier, request, place = genuine(scheme)
    short = request.but(headers={**request.headers, place: request.headers[place][:-1]})
    assert verifier.verify(request, NOW).ok
    assert verifier.verify(short, NOW).reason == "malformed_header"
    assert hashed(lambda: verifier.verify(request, NOW)) > 0
    assert hashed(lambda: verifier.verify(short, NOW)) == 0


@pytest.mark.parametrize("scheme", HASHED, ids=lambda scheme: scheme.name)
def test_a_forged_signature_costs_what_a_genuine_one_does(scheme: Scheme) -> None:
    alternatives = max(len(texts(check.signed)) for check in scheme.checks if isinstance(check, Signature))
    verifier, request, _ = genuine(scheme)
    forged = sign(scheme, keys.pair(scheme, "two")[0], request, NOW, settings=keys.settings(scheme))
    assert verifier.verify(forged, NOW).reason == "no_match"
    assert (
        0 < hashed(lambda: verifier.verify(forged, NOW)) <= alternatives * hashed(lambda: verifier.verify(request, NOW))
    )


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
