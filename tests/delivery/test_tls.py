"""Endpoints with an authority of their own, and endpoints that want to know who calls (mTLS)."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from tests.delivery.world import World
from tests.net.certificates import Authority, Issued
from tests.net.world import FINE, listening, saying
from tidings.testing import ApiError

pytestmark = [pytest.mark.sqlite_only, pytest.mark.own_server]

SERVERS, CLIENTS = Authority("Servers"), Authority("Clients")
GOOD, RENEWED, OTHER = CLIENTS.issue("one"), CLIENTS.issue("two"), CLIENTS.issue("three")


def pair(issued: Issued) -> dict[str, str]:
    return {"certificate": issued.certificate, "key": issued.key}


def outcome(world: World, endpoint: str) -> dict[str, Any]:
    found: dict[str, Any] = world.after_attempts(world.api.publish("step"), endpoint, 1)["attempts"][0]
    return found


@pytest.mark.slow
def test_webhooks_go_to_a_server_with_a_private_ca_that_requires_a_client_certificate(world: World) -> None:
    with listening(saying(FINE), tls=SERVERS.server(wants=CLIENTS)) as server:
        options = {"ca": SERVERS.pem, "client_certificate": pair(GOOD)}
        made = world.api.post("/v1/endpoints", {"url": server.url(), **options})
        assert [each["subject"] for each in made["ca"]] == ["CN=Servers"]
        assert made["client_certificate"]["subject"] == "CN=one"
        assert outcome(world, made["id"])["outcome"] == "ok"
        path = f"/v1/endpoints/{made['id']}"
        # An edit of something else keeps both; null takes one away; a new pair takes the place of the old.
        assert world.api.patch(path, {"description": "mine"})["client_certificate"] == made["client_certificate"]
        assert outcome(world, made["id"])["outcome"] == "ok"
        assert world.api.patch(path, {"client_certificate": None})["client_certificate"] is None
        assert outcome(world, made["id"])["outcome"] == "tls_failed"
        renewed = world.api.patch(path, {"client_certificate": pair(RENEWED)})
        assert renewed["client_certificate"]["subject"] == "CN=two"
        assert outcome(world, made["id"])["outcome"] == "ok"
        assert world.api.patch(path, {"ca": None})["ca"] is None
        assert "was not accepted" in outcome(world, made["id"])["reason"]


FOREIGN = SERVERS.issue("client")
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS, ids=["1.2", "1.3"])
@pytest.mark.parametrize("ours", [None, FOREIGN], ids=["missing", "foreign"])
@pytest.mark.few(2)
def test_a_client_certificate_that_is_not_accepted_is_tls_failed_in_the_attempt(
    world: World, ours: Issued | None, version: ssl.TLSVersion
) -> None:
    with listening(saying(FINE), tls=SERVERS.server(wants=CLIENTS, highest=version)) as server:
        options = {} if ours is None else {"client_certificate": pair(ours)}
        made = world.api.post("/v1/endpoints", {"url": server.url(), "ca": SERVERS.pem, **options})
        attempt = outcome(world, made["id"])
        assert attempt["outcome"] == "tls_failed" and attempt["status"] is None
        assert "client certificate" in attempt["reason"], attempt["reason"]
        assert server.posts == []


@pytest.mark.parametrize("wrong", ["unknown authority", "another name", "expired", "no TLS at all"])
@pytest.mark.few(2)
def test_a_server_that_cannot_be_trusted_is_tls_failed_in_the_attempt(world: World, wrong: str) -> None:
    tls = {
        "unknown authority": CLIENTS.server(),
        "another name": SERVERS.server(),
        "expired": SERVERS.server(days=-1),
        "no TLS at all": None,
    }[wrong]
    host = "127.0.0.2" if wrong == "another name" else "127.0.0.1"
    with listening(saying(FINE), host, tls=tls) as server:
        url = server.url(host=host).replace("http://", "https://")
        made = world.api.post("/v1/endpoints", {"url": url, "ca": SERVERS.pem})
        attempt = outcome(world, made["id"])
        assert attempt["outcome"] == "tls_failed" and attempt["status"] is None
        assert attempt["reason"].endswith(".") and "curl" not in attempt["reason"], attempt["reason"]
        assert all(post.startswith(b"\x16\x03") for post in server.posts), "nothing but the beginning of TLS has left"


@pytest.mark.slow
def test_a_renewed_certificate_may_keep_its_key(world: World) -> None:
    made = world.api.post("/v1/endpoints", {"url": "https://127.0.0.1/", "client_certificate": pair(GOOD)})
    again = CLIENTS.issue("again", key=GOOD.private)
    path = f"/v1/endpoints/{made['id']}"
    edited = world.api.patch(path, {"client_certificate": {"certificate": again.certificate}})
    assert edited["client_certificate"]["subject"] == "CN=again"
    with pytest.raises(ApiError) as refused:
        world.api.patch(path, {"client_certificate": {"certificate": OTHER.certificate}})
    assert refused.value.problem["errors"][0]["pointer"] == "/client_certificate/key"


@pytest.mark.slow
def test_certificates_as_shown_can_be_sent_back_and_change_nothing(world: World) -> None:
    options = {"ca": SERVERS.pem, "client_certificate": pair(GOOD)}
    path = f"/v1/endpoints/{world.api.post('/v1/endpoints', {'url': 'https://127.0.0.1/', **options})['id']}"
    shown = world.api.get(path)
    assert world.api.patch(path, shown)["revision"] == shown["revision"]
    for name, other in (("ca", []), ("client_certificate", {**shown["client_certificate"], "subject": "CN=other"})):
        with pytest.raises(ApiError) as refused:
            world.api.patch(path, {**shown, name: other})
        [place] = refused.value.problem["errors"]
        assert (place["pointer"], place["code"]) == (f"/{name}", "own_field")
    assert world.api.patch(path, {**shown, "description": "x"})["ca"] == shown["ca"]


@pytest.mark.slow
def test_an_empty_certificate_is_refused_even_if_one_is_stored(world: World) -> None:
    made = world.api.post("/v1/endpoints", {"url": "https://127.0.0.1/", "client_certificate": pair(GOOD)})
    with pytest.raises(ApiError) as refused:
        world.api.patch(f"/v1/endpoints/{made['id']}", {"client_certificate": {}})
    assert refused.value.problem["errors"][0]["pointer"] == "/client_certificate/certificate"
    schemas = world.api.get("/v1/openapi.json")["components"]["schemas"]
    assert schemas["ClientCertificatePatch"]["minProperties"] == 1


@pytest.mark.slow
def test_half_a_pair_is_refused_if_nothing_is_stored(world: World) -> None:
    made = world.api.post("/v1/endpoints", {"url": "https://127.0.0.1/"})
    for patch, pointer in (({}, "certificate"), ({"certificate": GOOD.certificate}, "key")):
        with pytest.raises(ApiError) as refused:
            world.api.patch(f"/v1/endpoints/{made['id']}", {"client_certificate": patch})
        [place] = refused.value.problem["errors"]
        assert (place["pointer"], place["code"]) == (f"/client_certificate/{pointer}", "incomplete")


@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        ({"ca": "nonsense"}, "/ca"),
        ({"ca": "***"}, "/ca"),
        ({"ca": CLIENTS.issue("old", days=-1).certificate}, "/ca"),
        ({"client_certificate": {"certificate": GOOD.certificate, "key": OTHER.key}}, "/client_certificate/key"),
        ({"client_certificate": {"certificate": "***", "key": "***"}}, "/client_certificate/certificate"),
        ({"client_certificate": {"certificate": GOOD.certificate}}, "/client_certificate/key"),
        ({"url": "http://127.0.0.1/", "ca": SERVERS.pem}, "/ca"),
    ],
)
@pytest.mark.few(3)
def test_unusable_certificates_are_refused_with_their_location(
    world: World, options: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(ApiError) as refused:
        world.api.post("/v1/endpoints", {"url": "https://127.0.0.1/"} | options)
    assert refused.value.status == 422
    assert refused.value.problem["errors"][0]["pointer"] == pointer, refused.value.problem


@pytest.mark.slow
def test_an_expired_certificate_does_not_stop_other_edits(world: World) -> None:
    made = world.api.post("/v1/endpoints", {"url": "https://127.0.0.1/", "client_certificate": pair(GOOD)})
    world.clock.advance(20 * 86_400)
    assert world.api.patch(f"/v1/endpoints/{made['id']}", {"description": "x"})["description"] == "x"


@pytest.mark.slow
def test_the_key_is_encrypted_at_rest_and_never_shown(world: World) -> None:
    options = {"ca": SERVERS.pem, "client_certificate": pair(GOOD)}
    made = world.api.post("/v1/endpoints", {"url": "https://127.0.0.1/", **options})
    shown = world.api.get(f"/v1/endpoints/{made['id']}")
    inside = GOOD.key.splitlines()[1]
    assert inside not in str(made) + str(shown)
    for file in world.server.folder.glob("*"):
        if file.is_file():
            assert inside.encode() not in file.read_bytes()
