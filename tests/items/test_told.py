"""Changes of items reach whoever listens: webhooks, feed and stream say the same, whole, thin or as CloudEvents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.web.test_events import Reader
from tidings.client import verify
from tidings.testing import Api, Receiver, TestServer

PATH = "/v1/items/tasks"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def listen(api: Api, receiver: Receiver, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Registers endpoints of this test's own."""
    made: list[str] = []

    def register(path: str, **options: Any) -> str:
        endpoint, secret = api.register(receiver.url(path), **options)
        made.append(endpoint)
        return secret

    yield register
    for endpoint in made:
        api.call("DELETE", f"/v1/endpoints/{endpoint}")


@pytest.mark.slow
def test_webhook_feed_and_stream_say_the_same(server: TestServer, api: Api, receiver: Receiver, listen: Any) -> None:
    secret = listen("/same", events=["tasks.*"], tenant="acme")
    reader = Reader(server, "/v1/events/stream?collection=tasks")
    own = api.post("/v1/keys", {"scopes": ["items:read", "items:write"], "tenant": "acme"})
    its = api.with_key(own["key"])
    made = its.call(
        "POST", PATH, {"title": "Üb 😀", "place": {"x": [1, 1.5, None]}, "at": "2026-01-01T00:00:00.000001Z"}
    )
    edited = its.patch(f"{PATH}/{made.json['id']}", {"title": "b", "place": {"y": True}, "done": True})
    its.call("PATCH", f"{PATH}/{made.json['id']}", {"title": "b"})
    its.call("DELETE", f"{PATH}/{made.json['id']}")
    webhooks = receiver.wait_for(3, path="/same")
    feed = api.get("/v1/events", after="start", collection="tasks", subject=made.json["id"])["data"]
    listed = api.pages("/v1/events", collection="tasks", subject=made.json["id"], sort="created")
    framed = [reader.frame() for _ in range(3)]
    reader.close()
    assert [event["type"] for event in listed] == ["tasks.created", "tasks.completed", "tasks.deleted"]
    for webhook, event, one, frame in zip(webhooks, feed, listed, framed, strict=True):
        body = verify(webhook.headers, webhook.body, secret)
        assert body["id"] == event["id"] == one["id"] and frame is not None
        streamed = json.loads(frame["data"])
        for name in (
            "id",
            "type",
            "subject",
            "tenant",
            "data",
            "previous",
            "changed",
            "collection",
            "actor",
            "request_id",
        ):
            values = [each.get(name) for each in (body, event, one, streamed)]
            assert values[1:] == values[:1] * 3, (name, values)
        assert (body["collection"], body["actor"], body["tenant"]) == ("tasks", own["id"], "acme")
        assert body["timestamp"] == event["time"] == one["time"] == streamed["time"]
        assert body["subject"] == made.json["id"] and body["request_id"].startswith("req_")
    created, completed, deleted = (webhook.json for webhook in webhooks)
    assert created["data"] == made.json and created.get("previous") is None and created.get("changed") is None
    assert completed["data"] == edited and completed["previous"] == made.json
    assert completed["changed"] == ["title", "done", "place"]
    assert deleted["data"] == edited and deleted.get("changed") is None
    assert created["request_id"] == made.headers["request-id"]


@pytest.mark.slow
def test_filters_see_what_was_and_what_changed(api: Api, receiver: Receiver, listen: Any) -> None:
    listen("/up", filter={"previous": {"pieces": {"$lt": 5}}, "data": {"pieces": {"$gte": 5}}})
    listen("/renamed", filter={"changed": ["title"]})
    listen("/last", events=["tasks.updated"], filter={"data": {"title": "end"}})
    made = api.post(PATH, {"title": "a", "pieces": 1})
    path = f"{PATH}/{made['id']}"
    for patch in (
        {"pieces": 4},
        {"pieces": 5},
        {"pieces": 6},
        {"title": "b"},
        {"title": "c", "pieces": 1},
        {"title": "end"},
    ):
        api.patch(path, patch)
    receiver.wait_for(1, path="/last")
    assert [
        (each.json["previous"]["pieces"], each.json["data"]["pieces"]) for each in receiver.wait_for(1, path="/up")
    ] == [(4, 5)]
    renamed = receiver.wait_for(3, path="/renamed")
    assert [each.json["data"]["title"] for each in renamed] == ["b", "c", "end"]
    assert renamed[1].json["changed"] == ["title", "pieces"]


@pytest.mark.slow
def test_other_bodies_describe_changes_too(api: Api, receiver: Receiver, listen: Any) -> None:
    secrets = {
        "/thin": listen("/thin", events=["tasks.*"], body="thin"),
        "/cloud": listen("/cloud", events=["tasks.*"], body="cloudevents"),
        "/chosen": listen("/chosen", events=["tasks.*"], fields=["title"]),
    }
    made = api.post(PATH, {"title": "private", "price": 1})
    api.patch(f"{PATH}/{made['id']}", {"price": 2})
    found = {path: receiver.wait_for(2, path=path) for path in secrets}
    for path, secret in secrets.items():
        assert all(verify(webhook.headers, webhook.body, secret) for webhook in found[path])
    for webhook in found["/thin"]:
        assert "private" not in webhook.body.decode() and webhook.json["subject"] == made["id"]
    cloud = found["/cloud"][1].json
    assert (cloud["specversion"], cloud["type"], cloud["subject"]) == ("1.0", "tasks.updated", made["id"])
    assert cloud["data"]["price"] == 2.0
    assert [webhook.json["data"] for webhook in found["/chosen"]] == [{"title": "private"}] * 2
    assert "price" not in json.dumps(found["/chosen"][1].json.get("previous") or {})


def test_a_tenants_endpoint_gets_events_of_its_own_items_only(api: Api, receiver: Receiver, listen: Any) -> None:
    listen("/mine", events=["tasks.*"], tenant="mine")
    for tenant in ("theirs", "mine"):
        api.post(PATH, {"title": tenant}, tenant=tenant)
    assert [each.json["data"]["title"] for each in receiver.wait_for(1, path="/mine")] == ["mine"]


@pytest.mark.slow
def test_a_batch_of_a_thousand_emits_a_thousand_events_in_order(api: Api, receiver: Receiver, listen: Any) -> None:
    listen("/many", events=["people.*"], batch={"max_events": 100, "max_ms": 100})
    operations: list[dict[str, Any]] = [
        {"op": "create", "id": f"m{n}", "data": {"email": f"m{n}@many.example"}} for n in range(998)
    ]
    operations += [{"op": "edit", "id": "m0", "data": {"name": "x"}}, {"op": "delete", "id": "m1"}]
    results = api.post("/v1/items/people:batch", {"operations": operations})["results"]
    assert len(results) == 1_000 and results[998]["item"]["revision"] == 2
    told = api.pages("/v1/events", collection="people", sort="created", limit=1_000)
    assert [event["subject"] for event in told[-1_000:]] == [operation["id"] for operation in operations]
    assert {event["request_id"] for event in told[-1_000:]} == {told[-1]["request_id"]}
    came: list[str] = []
    count = 0
    while len(came) < 1_000:
        count += 1
        came = [one["subject"] for each in receiver.wait_for(count, path="/many") for one in each.json["data"]]
    assert sorted(came) == sorted(operation["id"] for operation in operations)
