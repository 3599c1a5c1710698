"""Signatures against the official packages, published vectors, and hostile headers."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
import standardwebhooks
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from tidings.rules.reading.refused import Refused
from tidings.rules.schemes import standard as sign
from tidings.rules.schemes.standard import Signer, new_secret, new_signing_key, public_key
from tidings.rules.schemes.standard_verify import BadSignature, verify

# From the tests of standard-webhooks' Python library, and of svix-server for ed25519.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MSG_ID, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
WHSK = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
WHPK = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
ED_SIGNATURE = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="


def headers(signature: str = SIGNATURE, at: int | str = AT) -> dict[str, str]:
    return {"webhook-id": MSG_ID, "webhook-timestamp": str(at), "webhook-signature": signature}


def code_of(given_headers: object, secrets: object = SECRET, body: object = BODY, now: float = AT) -> str:
    with pytest.raises(BadSignature) as caught:
        verify(given_headers, body, secrets, now)  # type: ignore[arg-type]
    assert caught.value.detail.endswith(".") or ": " in caught.value.detail
    return caught.value.code


def test_published_vectors() -> None:
    assert Signer(SECRET).sign(MSG_ID, AT, BODY) == SIGNATURE
    assert Signer(WHSK).sign(MSG_ID, AT, BODY) == ED_SIGNATURE
    assert public_key(WHSK) == WHPK
    assert verify(headers(), BODY, SECRET, AT) == MSG_ID
    assert verify(headers(ED_SIGNATURE), BODY, WHPK, AT) == MSG_ID
    assert verify(headers(ED_SIGNATURE), BODY, WHSK, AT) == MSG_ID


@pytest.mark.slow
@given(st.binary(min_size=24, max_size=64), st.text(max_size=200), st.sampled_from([1, 2]))
def test_official_packages_accept_what_we_sign(key: bytes, text: str, count: int) -> None:
    import svix.webhooks  # Here, as it takes half a second: each process that runs tests loads this file.

    now = int(datetime.now(tz=UTC).timestamp())
    secrets = [new_secret(key), SECRET][:count]
    value = Signer(secrets).sign("evt_1", now, text.encode())
    sent = {"webhook-id": "evt_1", "webhook-timestamp": str(now), "webhook-signature": value}
    for secret in secrets:
        standardwebhooks.Webhook(secret).verify(text.encode(), sent, json_parse=False)
        svix.webhooks.Webhook(secret).verify(text.encode(), sent)
        assert verify(sent, text.encode(), secret, now) == "evt_1"
    assert len(value.split(" ")) == count


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300))
def test_ed25519_is_verified_by_its_public_key_alone(seed: bytes, body: bytes) -> None:
    whsk = new_signing_key(seed)
    value = Signer([whsk]).sign("evt_1", AT, body)
    assert value.startswith("v1a,")
    public = base64.b64decode(public_key(whsk)[5:])
    Ed25519PublicKey.from_public_bytes(public).verify(base64.b64decode(value[4:]), b"evt_1.%d.%b" % (AT, body))
    seed_only = "whsk_" + base64.b64encode(seed).decode()
    assert Signer(seed_only).sign("evt_1", AT, body) == value


def test_both_kinds_sign_during_a_rotation() -> None:
    old = new_secret(bytes(32))
    value = Signer([SECRET, old, WHSK]).sign(MSG_ID, AT, BODY)
    assert [part.split(",")[0] for part in value.split(" ")] == ["v1", "v1", "v1a"]
    assert value.split(" ")[0] == SIGNATURE
    for secret in (SECRET, old, WHSK, WHPK, [new_secret(b"x" * 32), old]):
        assert verify(headers(value), BODY, secret, AT) == MSG_ID


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "plain",
        "whsec_",
        "whsec_####",
        "whsec_" + base64.b64encode(b"short").decode(),
        "whsec_é",
        "whsk_AAAA",
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        "whpk_" + "A" * 43 + "=",
        WHSK[:-6] + "AAAA==",
    ],
)
def test_an_invalid_secret_is_refused(secret: str) -> None:
    with pytest.raises(Refused):
        sign.check_secret(secret, "/secret")
    with pytest.raises(Refused):
        Signer(secret)


def test_a_refused_secret_is_never_in_the_sentence() -> None:
    with pytest.raises(Refused) as caught:
        sign.check_secret("whsec_c2VjcmV0c2VjcmV0", "/secret")
    assert "c2VjcmV0" not in str(caught.value)
    assert caught.value.pointer == "/secret"


def test_a_signer_without_secrets_is_refused() -> None:
    with pytest.raises(Refused):
        Signer([])
    with pytest.raises(Refused):
        new_secret(b"few")
    with pytest.raises(Refused):
        new_signing_key(b"few")


# --- verify -----------------------------------------------------------------------------------------------------------


def test_the_right_one_among_several_passes() -> None:
    wrong = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
    assert verify(headers(f"{wrong} v2,x {SIGNATURE} {wrong}"), BODY, SECRET, AT) == MSG_ID
    assert verify(
        {"Webhook-ID": MSG_ID, "WEBHOOK-TIMESTAMP": str(AT), "Webhook-Signature": SIGNATURE}, BODY, SECRET, AT
    )


def test_no_downgrade_to_another_version() -> None:
    plain = SIGNATURE.partition(",")[2]
    for version in ("v0", "v2", "v", "", "V1", "v1a"):
        assert code_of(headers(f"{version},{plain}")) == "no_match"
    assert code_of(headers("v1," + ED_SIGNATURE[4:]), WHPK) == "no_match"


def test_an_altered_last_character_of_the_base64_is_no_match() -> None:
    # Both decode to the same 32 bytes; only one is the canonical text.
    altered = SIGNATURE[:-2] + "F="
    assert base64.b64decode(altered[3:]) == base64.b64decode(SIGNATURE[3:])
    assert code_of(headers(altered)) == "no_match"
    ed_altered = ED_SIGNATURE[:-3] + "h=="
    assert base64.b64decode(ed_altered[4:]) == base64.b64decode(ED_SIGNATURE[4:])
    assert code_of(headers(ed_altered), WHPK) == "no_match"


@pytest.mark.parametrize(
    "value",
    [",", " ", "v1", "v1,", "v1,é", "v1,\ud800", "v1a,é", "v1a,AAAA", "v1a,\x00", "v1," + "A" * 100_000, "x " * 50_000],
)
@pytest.mark.parametrize("secret", [SECRET, WHPK])
def test_strange_signatures_are_false_never_an_exception(value: str, secret: str) -> None:
    assert code_of(headers(value), secret) == "no_match"


def test_time_tolerance() -> None:
    for seconds in (-300, 0, 300):
        assert verify(headers(), BODY, SECRET, AT + seconds)
    assert code_of(headers(), now=AT + 301) == "too_old"
    assert code_of(headers(), now=AT - 301) == "too_new"
    for text in ("1.5", "-1", "", "x", "١٢٣", "1e9", " 1", "9" * 5000):
        assert code_of(headers(at=text)) in ("bad_timestamp", "missing_header")
    assert code_of(headers(), now=float("nan")) == "too_old"


def test_what_is_missing_or_wrong_is_named() -> None:
    for name in headers():
        assert code_of({key: value for key, value in headers().items() if key != name}) == "missing_header"
        assert code_of({**headers(), name: b"bytes"}) == "missing_header"
    with pytest.raises(ValueError, match=r"^body: "):
        verify(headers(), "text", SECRET, AT)  # type: ignore[arg-type]
    for secrets in ([], [""], ["whpk_x"], ["whpk_AAAA"], ["whpk_é"], ["whsk_"], [None], None, 5):
        with pytest.raises(ValueError, match=r"^secrets: ") as caught:
            verify(headers(), BODY, secrets, AT)  # type: ignore[arg-type]
        assert not isinstance(caught.value, BadSignature)
    assert code_of(headers(), body=BODY + b" ") == "no_match"
    assert code_of(headers(), new_secret(b"y" * 32)) == "no_match"
    assert code_of({1: 2}) == "missing_header"


@given(
    st.dictionaries(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "x"]), st.text()),
    st.binary(),
    st.one_of(st.text(), st.lists(st.text(), max_size=3)),
)
def test_no_other_exception_is_raised(given_headers: dict[str, str], body: bytes, secrets: str | list[str]) -> None:
    with pytest.raises(BadSignature):
        verify(given_headers, body, SECRET, AT)
    with pytest.raises(ValueError):
        verify(given_headers, body, secrets, AT)
