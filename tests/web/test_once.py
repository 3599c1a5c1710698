"""Idempotency-Key: whatever is sent twice with one is done once, and answered twice the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.web.test_deliveries import ended
from tidings.testing import Api, ApiReply, Receiver, TestServer, until
from tidings.web.operations import OPERATIONS

LONG_AGO = "2020-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def receiver(server: TestServer) -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def twice(api: Api, path: str, body: Any = None) -> tuple[ApiReply, ApiReply]:
    """The same request sent two times with one key; the same key for another request is refused."""
    headers = {"Idempotency-Key": f"once:{path}"}
    first = api.call("POST", path, body, headers)
    second = api.call("POST", path, body, headers)
    assert first.status == second.status < 300, (first.body, second.body)
    assert "idempotency-replayed" not in first.headers and second.headers["idempotency-replayed"] == "true"
    assert first.headers.get("location") == second.headers.get("location")
    assert first.headers.get("etag") == second.headers.get("etag")
    other = api.call("POST", "/v1/events", {"type": "a.b", "data": {}}, headers)
    assert other.status == 422 and other.json["code"] == "idempotency_key_reused"
    return first, second


CHANGES_NOTHING = (
    "plan_collections",
    "plan_forms",
    "plan_hooks",
    "plan_links",
    "test_link",
    "try_endpoint",
    "test_connection",
    "make_stream_ticket",
)


def test_every_post_takes_one() -> None:
    changing = [op for op in OPERATIONS if op.method == "POST" and op.name not in CHANGES_NOTHING]
    assert [op.name for op in changing if not op.idempotent_key] == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/events:batch", {"events": [{"type": "twice.a", "data": {}}]}),
        ("/v1/endpoints", {"url": "http://127.0.0.1:9/", "events": ["never"]}),
        ("/v1/event-types", {"name": "twice.a"}),
        ("/v1/tenants", {"id": "twice"}),
        ("/v1/collections", {"name": "twice", "fields": {"a": "string"}}),
        ("/v1/collections:apply", {"collections": {"twice_too": {}}}),
        ("/v1/keys", {"scopes": ["events:read"]}),
    ],
)
def test_what_creates_creates_once(api: Api, path: str, body: Any) -> None:
    listed = path.partition(":")[0]
    before = len(api.pages(listed))
    first, second = twice(api, path, body)
    assert first.body == second.body and len(api.pages(listed)) == before + 1


@pytest.mark.slow
def test_verbs_of_an_endpoint_act_once(api: Api, receiver: Receiver) -> None:
    endpoint, secret = api.register(receiver.url("/verbs"), events=["verbs.*"])
    path = f"/v1/endpoints/{endpoint}"
    first, second = twice(api, path + ":test")
    assert first.json["event_id"] == second.json["event_id"] and second.json["delivery"] == first.json["delivery"]
    receiver.wait_for(1, path="/verbs")
    first, second = twice(api, path + "/secret", {"overlap_seconds": 60})
    assert first.body == second.body and first.json["previous"][0]["secret"] == secret
    assert api.get(path + "/secret")["secret"] == first.json["secret"]
    first, second = twice(api, path + ":pause", {"reason": "once"})
    assert first.json["revision"] == second.json["revision"] == api.get(path)["revision"]
    missed = [api.publish("verbs.a") for _ in range(3)]
    until(lambda: api.get(path, counts="true")["waiting"] == 3, "three wait")
    first, second = twice(api, path + ":resume", {"missed": "cancel"})
    assert first.body == second.body and first.json["waiting"] == len(missed)
    # A second resume that acted would be refused: the endpoint is enabled already.
    assert api.call("POST", path + ":resume", {"missed": "cancel"}).status == 409


@pytest.mark.slow
def test_verbs_of_a_delivery_act_once(api: Api, receiver: Receiver) -> None:
    receiver.answer(500, path="/once")
    endpoint, _ = api.register(receiver.url("/once"), events=["once.*"], retry_delays_seconds=[0, 3600, 3600])
    api.publish("once.a")
    path = "/v1/deliveries/" + until(lambda: api.pages("/v1/deliveries", endpoint=endpoint), "it is there")[0]["id"]
    until(lambda: len(api.get(path)["attempts"]) == 1, "it was tried")
    first, second = twice(api, path + ":retry")
    assert first.body == second.body
    until(lambda: len(api.get(path)["attempts"]) == 2, "it was tried once more")
    first, second = twice(api, path + ":cancel")
    assert first.body == second.body and first.json["state"] == "cancelled"
    assert api.call("POST", path + ":cancel").status == 409
    assert len(ended(api, endpoint, "cancelled")[0]) and len(receiver.requests("/once")) == 2


@pytest.mark.slow
def test_a_replay_is_cancelled_once(server: TestServer, api: Api, receiver: Receiver) -> None:
    endpoint, _ = api.register(receiver.url("/replay"), events=["replay.*"])
    body = {"endpoint_id": endpoint, "since": LONG_AGO, "which": "all"}
    first, second = twice(api, "/v1/replays", body)
    assert first.body == second.body and len(api.pages("/v1/replays", endpoint=endpoint)) == 1
    # One that nobody was notified of stays as it was stored, as soon as nothing else runs.
    assert server.server is not None
    parts = server.server.parts
    replaying = parts.replays._replaying
    link = parts.catalog.now.endpoints_by_id[endpoint]

    def still_running() -> str | None:
        replay = parts.readers.run(lambda db: replaying.prepare(db, link, "all", 0, None))
        parts.writer.wait(lambda db: replaying.add(db, replay))
        parts.writer.wait(lambda db: None)
        return replay.id if api.get(f"/v1/replays/{replay.id}")["state"] == "running" else None

    until(lambda: api.pages("/v1/replays", state="running") == [], "nothing runs")

    def cancelled() -> tuple[str, ApiReply, ApiReply] | None:
        replay = still_running()
        if replay is None:
            return None
        try:
            return replay, *twice(api, f"/v1/replays/{replay}:cancel")
        except AssertionError:
            # It may have ended between the look and the call.
            assert api.get(f"/v1/replays/{replay}")["state"] == "done"
            return None

    replay, first, second = until(cancelled, "one that was cancelled before it ended")
    assert first.body == second.body and first.json["state"] == "cancelled"
    assert api.call("POST", f"/v1/replays/{replay}:cancel").status == 409


def test_a_malformed_key_is_refused_before_anything_is_done(api: Api) -> None:
    endpoint, _ = api.register("http://127.0.0.1:9/", events=["never"])
    for verb in (":pause", ":resume", ":test", "/secret"):
        reply = api.call("POST", f"/v1/endpoints/{endpoint}{verb}", None, {"Idempotency-Key": "a b"})
        assert reply.status == 422 and reply.json["errors"][0]["parameter"] == "Idempotency-Key", verb
    assert api.get(f"/v1/endpoints/{endpoint}")["revision"] == 1
