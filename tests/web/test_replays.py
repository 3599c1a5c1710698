"""Replays over HTTP: counted first, then done, told as they go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.web.test_deliveries import ended
from tests.web.test_endpoints import key_of
from tidings.testing import Api, Receiver, TestServer, until

LONG_AGO = "2020-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def receiver(server: TestServer) -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def done(api: Api, replay: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = api.get(f"/v1/replays/{replay}")
        return found if found["state"] != "running" else None

    found = until(look, f"{replay} ends")
    assert found is not None
    return found


@pytest.mark.slow
def test_what_failed_is_sent_again(api: Api, receiver: Receiver) -> None:
    receiver.answer(500, path="/failed")
    endpoint, _ = api.register(receiver.url("/failed"), events=["failed.*"], retry_delays_seconds=[0])
    api.publish("failed.a")
    (dead,) = ended(api, endpoint, "dead")
    receiver.answer(204, path="/failed")
    body = {"endpoint_id": endpoint, "since": LONG_AGO, "which": "failed"}
    dry = api.call("POST", "/v1/replays", {**body, "dry_run": True})
    assert (dry.status, dry.json["would_send"], dry.json["total"]) == (200, 1, 1)
    assert api.pages("/v1/replays", endpoint=endpoint) == []
    spaced = api.call("POST", "/v1/replays", {**body, "dry_run": True}, {"Idempotency-Key": "a b"})
    assert spaced.status == 422 and spaced.json["errors"][0]["parameter"] == "Idempotency-Key"
    reply = api.call("POST", "/v1/replays", body)
    assert reply.status == 201 and reply.headers["location"] == f"/v1/replays/{reply.json['id']}"
    ran = done(api, reply.json["id"])
    assert (ran["state"], ran["total"], ran["looked_at"], ran["sent"]) == ("done", 1, 1, 1)
    (delivered,) = ended(api, endpoint, "delivered")
    assert delivered["id"] == dead["id"]
    assert api.call("POST", f"/v1/replays/{ran['id']}:cancel").status == 409


@pytest.mark.slow
def test_all_sends_what_an_endpoint_of_today_would_have_got(api: Api, receiver: Receiver) -> None:
    events = [api.publish("past.a") for _ in range(20)]
    endpoint, _ = api.register(receiver.url("/past"), events=["past.*"])
    body = {"endpoint_id": endpoint, "since": LONG_AGO, "which": "all"}
    assert api.post("/v1/replays", {**body, "dry_run": True})["would_send"] == 20
    ran = done(api, api.post("/v1/replays", body)["id"])
    assert ran["sent"] == 20
    assert {got.id for got in receiver.wait_for(20, path="/past")} == set(events)
    assert [each["id"] for each in api.pages("/v1/replays", endpoint=endpoint, state="done")] == [ran["id"]]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"endpoint_id": "ep_no"}, "/endpoint_id"),
        ({"since": "yesterday"}, "/since"),
        ({"until": "2019-01-01T00:00:00Z"}, "/until"),
        ({"which": "some"}, "/which"),
        ({"dry": True}, "/dry"),
    ],
)
def test_what_is_wrong_is_named(api: Api, change: Any, pointer: str) -> None:
    endpoint, _ = api.register("http://127.0.0.1:9/", events=["never.this"])
    reply = api.call("POST", "/v1/replays", {"endpoint_id": endpoint, "since": LONG_AGO, **change})
    assert reply.status == 422 and reply.json["errors"][0]["pointer"] == pointer


def test_a_tenant_replays_only_its_own(api: Api) -> None:
    ours, theirs = key_of(api, "r-ours"), key_of(api, "r-theirs")
    endpoint: str = ours.post("/v1/endpoints", {"url": "http://127.0.0.1:9/"})["id"]
    body = {"endpoint_id": endpoint, "since": LONG_AGO}
    assert theirs.call("POST", "/v1/replays", body).status == 422
    replay = ours.post("/v1/replays", body)["id"]
    assert theirs.call("GET", f"/v1/replays/{replay}").status == 404
    assert theirs.call("POST", f"/v1/replays/{replay}:cancel").status == 404
    assert theirs.pages("/v1/replays") == [] and len(ours.pages("/v1/replays")) == 1


def test_the_same_idempotency_key_starts_one(api: Api) -> None:
    endpoint, _ = api.register("http://127.0.0.1:9/", events=["never.this"])
    headers = {"Idempotency-Key": "replay-once"}
    body = {"endpoint_id": endpoint, "since": LONG_AGO}
    one, two = (api.call("POST", "/v1/replays", body, headers) for _ in range(2))
    assert one.json == two.json and len(api.pages("/v1/replays", endpoint=endpoint)) == 1
