"""OAuth 1.0a against the examples of its specifications, and JWTs that others verify."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from functools import cache
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tidings.rules.calls import oauth1, oauth2
from tidings.rules.hooks.xml import xml_object
from tidings.rules.reading.refused import Refused

NOW = 1_318_622_958 * 1_000_000


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*form).decode()


def test_the_signature_is_that_of_a_published_example() -> None:
    """Twitter's guide "Creating a signature" works one example out, with HMAC-SHA1."""
    auth = {
        "oauth1": "hmac-sha1",
        "id": "xvz1evFS4wEEPTGEFPHBog",
        "secret": "kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw",
        "token": "370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb",
        "token_secret": "LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE",
    }
    url = "https://api.twitter.com/1.1/statuses/update.json?include_entities=true"
    form = b"status=Hello%20Ladies%20%2b%20Gentlemen%2c%20a%20signed%20OAuth%20request%21"
    header = oauth1.authorization(auth, "POST", url, form, NOW, "kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg")
    assert 'oauth_signature="hCtSmYh%2BiHYCEqBWrE7C7hYmtUk%3D"' in header


def test_the_base_string_is_that_of_rfc_5849() -> None:
    """Section 3.4.1.1, whose request has parameters in the query, in the header and in a form."""
    own = {
        "oauth_consumer_key": "9djdj82h48djs9d2",
        "oauth_token": "kkk9d7dh3k39sjv7",
        "oauth_signature_method": "HMAC-SHA1",
        "oauth_timestamp": "137131201",
        "oauth_nonce": "7d8f3e4a",
    }
    url = "http://EXAMPLE.COM:80/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b"
    assert oauth1.base_string("POST", url, b"c2&a3=2+q", own) == (
        "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26"
        "c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1%26"
        "oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7"
    )


def test_a_passport_is_well_formed_and_of_the_version_in_the_path() -> None:
    auth = {"oauth1": "hmac-sha256", "place": "soap", "account": "1&2", "id": "i", "secret": "s", "token": "t"}
    text = oauth1.passport({**auth, "token_secret": "ts"}, "https://x/services/NetSuitePort_2024_1", NOW, "n")
    found = xml_object(text.encode())["tokenPassport"]
    assert (found["account"], found["timestamp"], found["signature"]["@algorithm"]) == (
        "1&2",
        "1318622958",
        "HMAC-SHA256",
    )
    assert "urn:messages_2024_1.platform.webservices.netsuite.com" in text


def checked(token: str, key: object, algorithm: str) -> dict[str, object]:
    head, claims, signature = token.split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    message = f"{head}.{claims}".encode()
    if isinstance(key, rsa.RSAPrivateKey):
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
        key.public_key().verify(raw, message, padding.PKCS1v15() if algorithm == "RS256" else pss, hashes.SHA256())
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        pair = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
        key.public_key().verify(pair, message, ec.ECDSA(hashes.SHA256()))
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        key.public_key().verify(raw, message)
    assert json.loads(base64.urlsafe_b64decode(head + "=="))["alg"] == algorithm
    found: dict[str, object] = json.loads(base64.urlsafe_b64decode(claims + "=="))
    return found


@pytest.mark.parametrize(
    ("made", "algorithm"),
    [(rsa_key, "RS256"), (rsa_key, "PS256"), (ec_key, "ES256"), (ed25519.Ed25519PrivateKey.generate, "EdDSA")],
)
def test_a_jwt_is_signed_and_says_who_for_whom_and_until_when(
    made: Callable[[], rsa.RSAPrivateKey], algorithm: str
) -> None:
    key = made()
    auth = {"oauth2": "jwt_bearer", "token": "/token", "id": "c", "key": pem(key), "kid": "k", "alg": algorithm}
    request = oauth2.token_request(auth, "https://a.example/v1/x", NOW, "chance", None)
    assert request.url == "https://a.example/token"
    form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
    assert form["grant_type"] == "client_credentials"
    claims = checked(form["client_assertion"], key, algorithm)
    seconds = NOW // 1_000_000
    expected = {"iss": "c", "sub": "c", "aud": request.url, "iat": seconds, "exp": seconds + 300, "jti": "chance"}
    assert claims == expected


def test_a_subject_makes_it_a_grant() -> None:
    auth = {"oauth2": "jwt_bearer", "token": "https://l.example/t", "id": "c", "key": pem(rsa_key()), "subject": "me@x"}
    auth |= {"audience": "https://l.example", "scope": "a b"}
    form = parse_qs(oauth2.token_request(auth, "https://a.example", NOW, "n", None).body.decode())
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    claims = checked(form["assertion"][0], rsa_key(), "RS256")
    assert (claims["sub"], claims["aud"], claims["scope"]) == ("me@x", "https://l.example", "a b")


def test_a_key_that_cannot_sign_with_the_algorithm_is_refused() -> None:
    auth = {"oauth2": "jwt_bearer", "token": "/token", "id": "c", "key": pem(ec_key()), "alg": "RS256"}
    with pytest.raises(Refused, match="cannot sign with RS256"):
        oauth2.token_request(auth, "https://a.example", NOW, "n", None)
