"""Access tokens: one request for all links of a connection, kept before they are used, replaced once after a 401."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.calls.oauth import Service, answer
from tests.calls.world import Calls
from tidings.testing import ProcessServer, Receiver, until

CLIENT = {"oauth2": "client_credentials", "token": "/token", "id": "client:1", "secret": "s3cret&"}
REFRESH = {"oauth2": "refresh_token", "token": "/token", "id": "c", "refresh_token": "refresh-0", "client_auth": "body"}


def links(calls: Calls, count: int = 1) -> list[str]:
    names = [f"push{number}" for number in range(count)]
    for name in names:
        calls.link(name, call={"via": "shop", "put": f"/{name}", "json": {}})
    return names


@pytest.mark.slow
def test_a_token_is_asked_for_once_and_sent_with_every_call(calls: Calls) -> None:
    service = Service(calls.peer)
    calls.connection(auth={**CLIENT, "scope": "orders"})
    names = links(calls, 10)
    event = calls.api.publish("order.made", {})
    for name in names:
        done = calls.ended(event, name)
        assert (done["state"], len(done["attempts"])) == ("delivered", 1)
        assert done["attempts"][0]["request_headers"]["authorization"] == "***"
    [asked] = service.asked
    expected = {
        "grant_type": "client_credentials",
        "scope": "orders",
        "basic_id": "client:1",
        "basic_secret": "s3cret&",
    }
    assert asked == expected
    calls.server.restart()
    calls.ended(calls.api.publish("order.made", {}), names[0])
    assert len(service.asked) == 1, "a start uses the token that is stored"


@pytest.mark.slow
def test_ten_links_and_one_expired_token_make_one_refresh(calls: Calls) -> None:
    service = Service(calls.peer, rotates=True)
    calls.connection(auth=REFRESH)
    names = links(calls, 10)
    first = calls.api.publish("order.made", {})
    assert all(calls.ended(first, name)["state"] == "delivered" for name in names)
    service.expire()
    second = calls.api.publish("order.made", {})
    for name in names:
        done = calls.ended(second, name)
        assert (done["state"], len(done["attempts"])) == ("delivered", 1), "a 401 is answered by a new token at once"
    assert [each["refresh_token"] for each in service.asked] == ["refresh-0", "refresh-1"]


@pytest.mark.slow
def test_a_token_is_replaced_before_it_expires(calls: Calls) -> None:
    service = Service(calls.peer, lives_seconds=600)
    calls.connection(auth=CLIENT)
    links(calls)
    calls.ended(calls.api.publish("order.made", {}), "push0")
    calls.clock.advance(530)
    calls.ended(calls.api.publish("order.made", {}), "push0")
    assert len(service.asked) == 1
    calls.clock.advance(20)
    calls.ended(calls.api.publish("order.made", {}), "push0")
    assert len(service.asked) == 2


@pytest.mark.slow
@pytest.mark.parametrize("lives_seconds", [0, 1, None])
def test_a_token_that_expires_at_once_is_still_used(calls: Calls, lives_seconds: int | None) -> None:
    service = Service(calls.peer, lives_seconds=lives_seconds)
    calls.connection(auth=CLIENT)
    links(calls)
    for _ in range(2):
        assert calls.ended(calls.api.publish("order.made", {}), "push0")["state"] == "delivered"
    assert len(service.asked) <= 2


@pytest.mark.slow
def test_a_401_for_a_new_token_is_not_asked_about_again(calls: Calls) -> None:
    service = Service(calls.peer)
    calls.connection(auth=CLIENT)
    links(calls)
    calls.peer.answer_by(lambda got: service.token(got) if got.path == "/token" else 401)
    found = calls.delivery(calls.api.publish("order.made", {}), "push0")
    assert (found["state"], found["attempts"][0]["status"]) == ("waiting", 401)
    assert (len(service.asked), len(calls.peer.requests("/api/push0"))) == (2, 2)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            answer(400, {"error": "invalid_client", "error_description": "no such client"}),
            "400: invalid_client no such",
        ),
        (answer(503, ""), "responded with 503"),
        (answer(200, {"token_type": "bearer"}), "without a usable access_token"),
        (answer(200, {"access_token": "a\r\nX-Evil: 1"}), "without a usable access_token"),
        (answer(200, {"access_token": "a", "token_type": "mac"}), "of the type mac"),
        (answer(200, ["x"]), "without a usable access_token"),
    ],
)
@pytest.mark.few(3)
def test_calls_without_a_token_wait_and_say_why(calls: Calls, wrong: Any, said: str) -> None:
    service = Service(calls.peer)
    service.wrong = wrong
    calls.connection(auth=CLIENT)
    links(calls)
    event = calls.api.publish("order.made", {})
    found = calls.delivery(event, "push0")
    assert (found["state"], found["attempts"][0]["outcome"]) == ("waiting", "auth_failed")
    assert said in found["attempts"][0]["reason"]
    other = calls.delivery(calls.api.publish("order.made", {}), "push0")
    assert (other["attempts"][0]["outcome"], len(service.asked)) == ("auth_failed", 1), "it is not asked again at once"
    service.wrong = None
    calls.connection(auth={**CLIENT, "secret": "mended"})
    assert calls.ended(event, "push0")["state"] == "delivered"


@pytest.mark.slow
def test_soap_carries_the_token_in_its_body(calls: Calls) -> None:
    Service(calls.peer)
    calls.connection(auth=CLIENT)
    xml = "<e><h>{{ auth.access_token }}</h><b>{{ data.v }}</b></e>"
    calls.link("soap", call={"via": "shop", "post": "/soap", "xml": xml})
    tried = calls.api.post("/v1/links/soap:test", {"event": {"type": "order.made", "data": {"v": "x"}}})
    assert tried["call"]["body"] == "<e><h>***</h><b>x</b></e>"
    calls.ended(calls.api.publish("order.made", {"v": "{{ auth.access_token }}"}), "soap")
    [got] = calls.peer.requests("/api/soap")
    assert got.body == b"<e><h>token-1</h><b>{{ auth.access_token }}</b></e>"
    assert "authorization" not in got.headers


def test_a_secret_goes_nowhere_but_to_its_own_service(calls: Calls) -> None:
    Service(calls.peer)
    calls.connection(auth=CLIENT)
    refused = calls.api.call(
        "PUT", "/v1/links/x", {"when": {"event": "a"}, "call": {"post": "https://x.example/", "text": "{{ auth }}"}}
    )
    assert "There is no auth here." in refused.json["errors"][0]["detail"]
    for part in ({"json": {"a": "{{ auth.access_token }}"}}, {"query": {"a": "{{ auth.access_token }}"}}):
        body = {"when": {"event": "a"}, "call": {"via": "shop", "post": "/", **part}}
        assert calls.api.call("PUT", "/v1/links/x", body).status == 422
    shown = json.dumps(calls.api.get("/v1/connections/shop"))
    assert "s3cret" not in shown and calls.api.get("/v1/connections/shop")["auth"]["secret"] == "***"


@pytest.mark.slow
def test_a_rotated_token_survives_a_kill_right_after_it(tmp_path: Path, database: str | None, peer: Receiver) -> None:
    service = Service(peer, rotates=True)
    with ProcessServer(tmp_path, database=database) as server:
        server.api.put("/v1/connections/shop", {"base": peer.url("/api"), "auth": REFRESH})
        call = {"via": "shop", "put": "/x", "json": {}}
        server.api.put("/v1/links/push", {"when": {"event": "order.made"}, "call": call})
        for number in range(5):
            service.expire()
            event = server.api.publish("order.made", {})
            until(lambda: is_used(service), "the new token is used")
            server.kill()
            server.start()
            until(lambda event=event: delivered(server, event), f"round {number} ends", 30)  # type: ignore[misc]
        assert not [each for each in service.asked if each["refresh_token"] not in known(service)], "none is lost"
        assert service.made == len(service.asked), "no refresh token was refused"


def is_used(service: Service) -> bool:
    return any(each.headers["authorization"] == f"Bearer {service.valid}" for each in service.peer.requests("/api/x"))


def delivered(server: ProcessServer, event: str) -> bool:
    return bool(server.api.pages("/v1/deliveries", event=event, state="delivered"))


def known(service: Service) -> set[str]:
    return {f"refresh-{number}" for number in range(service.made + 1)}
