"""Less: filters, chosen fields, other bodies, batches, a rate, extra headers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.delivery.oracle import signed_by
from tests.delivery.world import World
from tidings.model.moment import to_text
from tidings.testing import Reaction, until


@pytest.mark.slow
def test_types_and_filters_choose(world: World) -> None:
    world.register("/tasks", events=["tasks.*"])
    world.register("/done", events=["tasks.done", "notes.done"])
    world.register("/dear", filter={"data": {"price": {"$gte": 100}}})
    world.api.publish("tasks.done", {"price": 5})
    world.api.publish("tasks.added", {"price": 100})
    world.api.publish("notes.done", {"price": 250})
    world.api.publish("notes.added")
    assert [each.json["type"] for each in world.receiver.wait_for(2, path="/tasks")] == ["tasks.done", "tasks.added"]
    assert [each.json["type"] for each in world.receiver.wait_for(2, path="/done")] == ["tasks.done", "notes.done"]
    assert [each.json["data"]["price"] for each in world.receiver.wait_for(2, path="/dear")] == [100, 250]
    world.nothing_more(6)


@pytest.mark.slow
@pytest.mark.sqlite_only
def test_only_the_chosen_fields_are_sent(world: World) -> None:
    endpoint = world.register(fields=["id", "owner.name"])
    world.api.publish("tasks.done", {"id": 7, "secret": "x", "owner": {"name": "Ada", "mail": "a@b.test"}})
    [webhook] = world.receiver.wait_for(1)
    assert webhook.json["data"] == {"id": 7, "owner": {"name": "Ada"}}
    assert webhook.json["type"] == "tasks.done"
    assert signed_by(webhook, world.secret(endpoint))


@pytest.mark.slow
@pytest.mark.sqlite_only
def test_a_thin_body_says_only_that_something_happened(world: World) -> None:
    world.register(body="thin")
    event = world.api.publish("tasks.done", {"title": "private"}, subject="t_1")
    [webhook] = world.receiver.wait_for(1)
    assert "private" not in webhook.body.decode()
    assert (webhook.json["type"], webhook.json["id"], webhook.json["subject"]) == ("tasks.done", event, "t_1")


@pytest.mark.slow
@pytest.mark.sqlite_only
def test_cloudevents(world: World) -> None:
    endpoint = world.register(body="cloudevents")
    event = world.api.publish("tasks.done", {"id": 7}, subject="t_1")
    [webhook] = world.receiver.wait_for(1)
    assert webhook.headers["content-type"] == "application/cloudevents+json"
    found = webhook.json
    assert found["specversion"] == "1.0"
    assert (found["id"], found["type"], found["subject"], found["data"]) == (event, "tasks.done", "t_1", {"id": 7})
    assert found["source"] and found["time"] == to_text(world.clock.now())
    assert signed_by(webhook, world.secret(endpoint))


@pytest.mark.parametrize("options", [{}, {"body": "cloudevents"}, {"fields": ["a", "b"]}, {"batch": {"max_events": 2}}])
@pytest.mark.few(2)
def test_numbers_arrive_digit_by_digit_as_they_were_published(world: World, options: dict[str, Any]) -> None:
    numbers = [
        b"12345678901234567.89",
        b"9007199254740993",
        b"1.0",
        b"1",
        b"1.50",
        b"-0.0",
        b"1E+2",
        b"9223372036854775807",
    ]
    data = b'{"a":[' + b",".join(numbers) + b'],"b":{"c":0.1234567890123456789}}'
    world.register(**options)
    one = b'{"type":"paid","data":' + data + b"}"
    alone = world.api.call("POST", "/v1/events", one)
    batch = world.api.call("POST", "/v1/events:batch", b'{"events":[' + one + b"]}")
    assert (alone.status, batch.status) == (202, 202)
    if "batch" not in options:
        world.receiver.wait_for(1)
    for webhook in world.receiver.wait_for(1 if "batch" in options else 2):
        assert data in webhook.body
    for event in (alone.json, *batch.json["events"]):
        assert data in world.api.call("GET", f"/v1/events/{event['id']}").body


@pytest.mark.slow
def test_a_full_batch_is_sent_at_once(world: World) -> None:
    endpoint = world.register(batch={"max_events": 100, "max_ms": 60_000})
    events = [{"type": "step", "data": {"n": n}} for n in range(250)]
    world.api.post("/v1/events:batch", {"events": events})
    world.receiver.wait_for(2)
    world.nothing_more(2, "/")
    world.clock.advance(60)
    batches = world.receiver.wait_for(3, path="/")
    assert [len(each.json["data"]) for each in batches] == [100, 100, 50]
    assert [one["data"]["n"] for each in batches for one in each.json["data"]] == list(range(250))
    assert all(signed_by(each, world.secret(endpoint)) for each in batches)


@pytest.mark.slow
def test_a_partial_batch_is_sent_after_max_ms(world: World) -> None:
    world.register(batch={"max_events": 100, "max_ms": 5_000})
    for n in range(3):
        world.api.publish("step", {"n": n})
    world.nothing_more(0, "/")
    world.clock.advance(5)
    [batch] = world.receiver.wait_for(1, path="/")
    assert [one["data"]["n"] for one in batch.json["data"]] == [0, 1, 2]


@pytest.mark.slow
def test_a_batch_that_failed_is_tried_again_whole(world: World) -> None:
    world.receiver.answer(500, 204)
    endpoint = world.register(batch={"max_events": 5, "max_ms": 1000})
    sent = world.api.post("/v1/events:batch", {"events": [{"type": "step", "data": {"n": n}} for n in range(5)]})
    events = [each["id"] for each in sent["events"]]
    world.after_attempts(events[0], endpoint, 1)
    world.clock.advance(5)
    world.clock.advance(1)
    world.delivered(events, endpoint)
    arrived = [one["data"]["n"] for each in world.receiver.requests()[1:] for one in each.json["data"]]
    assert sorted(arrived) == [0, 1, 2, 3, 4]


@pytest.mark.sqlite_only
def test_a_batch_of_cloudevents_is_a_list(world: World) -> None:
    world.register(body="cloudevents", batch={"max_events": 2, "max_ms": 1000})
    world.api.post("/v1/events:batch", {"events": [{"type": "step", "data": {"n": n}} for n in range(2)]})
    [batch] = world.receiver.wait_for(1)
    assert batch.headers["content-type"] == "application/cloudevents-batch+json"
    assert [each["data"]["n"] for each in batch.json] == [0, 1]


@pytest.mark.slow
@pytest.mark.sqlite_only
def test_a_rate_is_kept(world: World) -> None:
    endpoint = world.register(rate=10)
    events = [world.api.publish("step", {"n": n}) for n in range(25)]
    world.receiver.wait_for(1)
    world.nothing_more(1, "/")
    for second in range(1, 25):
        world.clock.advance(0.1)
        world.receiver.wait_for(second + 1, path="/")
    world.delivered(events, endpoint)
    stamps = [each.timestamp for each in world.receiver.requests("/")]
    assert max(stamps.count(stamp) for stamp in set(stamps)) <= 10


@pytest.mark.slow
@pytest.mark.sqlite_only
def test_a_rate_limits_retries_too(world: World) -> None:
    world.receiver.answer(500)
    endpoint = world.register(rate=1, retry_delays_seconds=[0, 1, 1])
    event = world.api.publish("step")
    world.after_attempts(event, endpoint, 1)
    others = [world.api.publish("step") for _ in range(3)]
    world.nothing_more(1, "/")
    for tried in range(1, 5):
        world.clock.advance(1)
        world.receiver.wait_for(tried + 1, path="/")
        until(lambda: world.endpoint(endpoint)["health"]["fails"] == tried + 1, "it is written down")
    assert len(world.receiver.requests("/")) == 5
    assert len(others) == 3


@pytest.mark.slow
@pytest.mark.sqlite_only
def test_extra_headers_are_sent_and_never_shown(world: World) -> None:
    endpoint = world.register(headers={"Authorization": "Bearer very-private", "X-Empty": ""})
    event = world.api.publish("step")
    [webhook] = world.receiver.wait_for(1)
    assert webhook.headers["authorization"] == "Bearer very-private"
    assert webhook.headers["x-empty"] == ""
    shown = world.ended(event, endpoint)["attempts"][0]["request_headers"]
    assert shown["authorization"] == "***"
    assert "very-private" not in str([shown, world.endpoint(endpoint)])


@pytest.mark.slow
def test_stored_headers_do_not_follow_an_endpoint_to_another_host(world: World) -> None:
    endpoint = world.register(headers={"Authorization": "Bearer very-private"})
    path, here = f"/v1/endpoints/{endpoint}", world.endpoint(endpoint)["url"]
    elsewhere = here.replace("http://127.0.0.1", "http://127.0.0.2")
    refused = world.api.call("PATCH", path, {"url": elsewhere})
    (place,) = refused.json["errors"]
    assert (refused.status, place["pointer"], place["code"]) == (422, "/headers/Authorization", "unknown_value")
    assert "`url` has a new host" in place["detail"]
    assert world.api.call("PATCH", path, {"url": f"{here}/other"}).status == 200
    assert world.api.call("PATCH", path, {"url": elsewhere, "headers": {"Authorization": "again"}}).status == 200


@pytest.mark.slow
@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.sqlite_only
def test_max_in_flight_is_kept(world: World, most: int) -> None:
    world.receiver.answer(Reaction(waits=True))
    endpoint = world.register(max_in_flight=most)
    events = [world.api.publish("step", {"n": n}) for n in range(10)]
    world.receiver.wait_for(most)
    world.nothing_more(most, "/")
    world.receiver.answer(204)
    world.receiver.release()
    world.delivered(events, endpoint)
