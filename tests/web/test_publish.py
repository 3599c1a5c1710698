"""Publishing: stored before the answer, verbatim, safe to repeat."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.wire import post, send
from tidings.testing import Api, ApiError, TestServer


def test_an_event_is_answered_after_it_is_stored(api: Api) -> None:
    reply = api.call("POST", "/v1/events", {"type": "a.b", "subject": "s", "data": {"n": 1}, "tenant": "acme"})
    assert reply.status == 202
    accepted = reply.json
    assert accepted["id"].startswith("evt_") and accepted["tenant"] == "acme"
    found = api.get(f"/v1/events/{accepted['id']}")
    assert {name: found[name] for name in accepted} == accepted
    assert found["data"] == {"n": 1} and found["previous"] is None and found["created"]


def test_data_is_kept_byte_for_byte(server: TestServer, api: Api) -> None:
    data = b'{ "b": 1.50,\n  "a": "\\u00e9/\\/",  "big": 9007199254740993, "z": {} }'
    said = send(server.url, post(b'{"type":"a.b","id":"verbatim","data":  ' + data + b" }"))
    assert said.status == 202, said.body
    assert data in api.call("GET", "/v1/events/verbatim").body
    assert data in api.call("GET", "/v1/events?limit=1").body


def test_the_time_may_be_given_in_any_zone(api: Api) -> None:
    event = api.publish("a.b", time="2026-01-01T02:00:00.5+02:00")
    assert api.get(f"/v1/events/{event}")["time"] == "2026-01-01T00:00:00.500Z"


def test_an_id_with_a_time_between_dots_is_refused(api: Api) -> None:
    for id_ in ("order.1790000000", "order.1790000000.paid"):
        answer = api.call("POST", "/v1/events", {"type": "a.b", "id": id_, "data": {}})
        assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "/id")
    assert api.post("/v1/events", {"type": "a.b", "id": "1790000000.order.7", "data": {}})["id"]


def test_the_same_id_again_is_the_same_event(api: Api) -> None:
    first = api.post("/v1/events", {"type": "a.b", "id": "mine:1", "data": {"n": 1}})
    again = api.post("/v1/events", {"type": "a.b", "id": "mine:1", "data": {"n": 1}})
    assert first["id"] == again["id"] == "mine:1"
    assert len([event for event in api.pages("/v1/events") if event["id"] == "mine:1"]) == 1
    other = api.call("POST", "/v1/events", {"type": "a.b", "id": "mine:1", "data": {"n": 2}})
    assert other.status == 409
    # Another tenant's ids are its own.
    assert api.publish("a.b", {"n": 2}, id="mine:1", tenant="other") == "mine:1"
    assert api.get("/v1/events/mine:1", tenant="other")["data"] == {"n": 2}
    assert api.get("/v1/events/mine:1")["data"] == {"n": 1}


TIME = "2026-01-02T03:04:05.123456Z"


@pytest.mark.parametrize("way", ["single", "batch", "single with a key", "batch with a key"])
def test_an_id_with_another_time_is_refused_and_a_repeat_answers_what_is_stored(api: Api, way: str) -> None:
    name = f"way-{way}".replace(" ", "-")
    sent = 0

    def publish(**more: Any) -> tuple[int, dict[str, Any]]:
        nonlocal sent
        sent += 1
        event = {"type": "a.b", "subject": "s", "id": name, "data": {"n": 1}, **more}
        headers = {"Idempotency-Key": f"{name}-{sent}"} if "key" in way else {}
        if way.startswith("single"):
            reply = api.call("POST", "/v1/events", event, headers)
            return reply.status, reply.json
        reply = api.call("POST", "/v1/events:batch", {"events": [{"type": "x.y", "data": {}}, event]}, headers)
        return reply.status, reply.json["events"][1] if reply.status == 202 else reply.json

    status, first = publish(time="2026-01-02T03:04:05.123456789Z")
    assert (status, first["time"]) == (202, TIME)
    for repeat in ({}, {"time": TIME}, {"time": "2026-01-02T05:04:05.123456+02:00"}):
        assert publish(**repeat) == (202, first)
    pointer = "/id" if way.startswith("single") else "/events/1/id"
    for other in ({"time": "2026-01-02T03:04:05.123457Z"}, {"type": "a.c"}, {"subject": "t"}, {"data": {"n": 2}}):
        status, problem = publish(**other)
        assert status == 409
        assert [place["pointer"] for place in problem["errors"]] == [pointer]
        assert f"different {next(iter(other))}." in problem["detail"]
    assert api.get(f"/v1/events/{name}")["time"] == TIME
    assert api.get("/v1/events", time__gte=TIME, time__lt="2026-01-02T03:04:05.123457Z", type="a.b")["data"]


def test_a_repeat_of_an_event_without_a_time_answers_the_time_that_is_stored(api: Api) -> None:
    one = {"type": "a.b", "id": "timeless", "data": {}}
    first = api.post("/v1/events", one)
    assert api.post("/v1/events", one) == first
    assert api.post("/v1/events:batch", {"events": [one]})["events"] == [first]
    assert api.get("/v1/events/timeless")["time"] == first["time"]


def test_a_batch_names_every_id_that_is_taken(api: Api) -> None:
    for n in range(3):
        api.publish("a.b", {"n": n}, id=f"taken-{n}")
    events = [{"type": "a.b", "id": f"taken-{n}", "data": {"n": n + n % 2}} for n in (2, 1, 9, 9)]
    reply = api.call("POST", "/v1/events:batch", {"events": events})
    assert reply.status == 409
    assert [place["pointer"] for place in reply.json["errors"]] == ["/events/1/id", "/events/3/id"]
    assert api.call("GET", "/v1/events/taken-9").status == 404


def test_a_batch_of_a_thousand_wrong_events_names_fifty_places(api: Api) -> None:
    events = [{"type": "not a type", "data": {}}] * 1_000
    reply = api.call("POST", "/v1/events:batch", {"events": events})
    assert reply.status == 422 and len(reply.json["errors"]) == 50
    assert "first 50 errors" in reply.json["detail"]
    with pytest.raises(ApiError) as refused:
        api.post("/v1/events:batch", {"events": events})
    assert len(str(refused.value)) < 1_000


@pytest.mark.slow
def test_a_batch_keeps_its_order(api: Api) -> None:
    start = api.get("/v1/events", after="end")["next_cursor"]
    events = [{"type": "batch.item", "subject": str(n), "data": {"n": n}} for n in range(1_000)]
    accepted = api.post("/v1/events:batch", {"events": events})["events"]
    assert [event["subject"] for event in accepted] == [str(n) for n in range(1_000)]
    found = api.get("/v1/events", after=start, limit=1000)["data"]
    assert [event["id"] for event in found] == [event["id"] for event in accepted]


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events:batch"])
def test_an_idempotency_key_gives_the_same_answer_again(api: Api, path: str) -> None:
    one = {"type": "a.b", "data": {"path": path}}
    body = one if path == "/v1/events" else {"events": [one, one]}
    headers = {"Idempotency-Key": f"key-of {path}".replace(" ", "-")}
    before = len(api.pages("/v1/events", type="a.b", limit=1000))
    first = api.call("POST", path, body, headers)
    again = api.call("POST", path, body, headers)
    assert first.status == again.status == 202
    assert first.body == again.body
    assert "idempotency-replayed" not in first.headers and again.headers["idempotency-replayed"] == "true"
    assert len(api.pages("/v1/events", type="a.b", limit=1000)) - before == len(body.get("events", [1]))
    other = api.call("POST", path, {**body, "x": 1} if path == "/v1/events:batch" else {**one, "subject": "x"}, headers)
    assert other.status == 422


def test_an_idempotency_key_belongs_to_its_caller(api: Api) -> None:
    other = api.with_key(api.post("/v1/keys", {"scopes": ["events:write"]})["key"])
    headers = {"Idempotency-Key": "shared"}
    first = api.call("POST", "/v1/events", {"type": "a.b", "data": {"n": 1}}, headers)
    second = other.call("POST", "/v1/events", {"type": "a.b", "data": {"n": 2}}, headers)
    assert first.status == second.status == 202
    assert first.json["id"] != second.json["id"]


def test_a_refused_request_keeps_no_answer(api: Api) -> None:
    headers = {"Idempotency-Key": "second-try"}
    assert api.call("POST", "/v1/events", {"type": "not contain spaces", "data": {}}, headers).status == 422
    assert api.call("POST", "/v1/events", {"type": "a.b", "data": {}}, headers).status == 202


@pytest.mark.parametrize("key", ["", "a b", "x" * 256])
def test_malformed_idempotency_keys_are_refused(api: Api, key: str) -> None:
    reply = api.call("POST", "/v1/events", {"type": "a.b", "data": {}}, {"Idempotency-Key": key})
    assert reply.status == 422 and reply.json["errors"][0]["parameter"] == "Idempotency-Key"


def test_a_key_of_a_tenant_publishes_for_its_tenant(api: Api) -> None:
    theirs = api.with_key(api.post("/v1/keys", {"scopes": ["events:write", "events:read"], "tenant": "acme"})["key"])
    event = theirs.publish("a.b")
    assert theirs.get(f"/v1/events/{event}")["tenant"] == "acme"
    assert theirs.publish("a.b", tenant="acme")
    with pytest.raises(ApiError) as refused:
        theirs.publish("a.b", tenant="other")
    assert refused.value.problem["errors"][0]["pointer"] == "/tenant"


SCHEMA = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string", "pattern": "^(a+)+$"}},
        "at": {"type": "string", "format": "date-time"},
    },
    "additionalProperties": False,
}


@pytest.mark.slow
def test_a_schema_is_held_against_events(api: Api) -> None:
    api.post("/v1/event-types", {"name": "checked.thing", "schema": SCHEMA, "example": {"id": 1, "tags": ["aa"]}})
    assert api.publish("checked.thing", {"id": 7, "tags": ["a"]})
    cases = [
        ({}, ["/data"]),
        ({"id": "x", "tags": ["a", 3]}, ["/data/id", "/data/tags/1"]),
        ({"id": 1, "color": "red"}, ["/data"]),
        ({"id": 1, "at": "now"}, ["/data/at"]),
        # A backtracking expression would take this for minutes.
        ({"id": 1, "tags": ["a" * 60 + "!"]}, ["/data/tags/0"]),
    ]
    for data, pointers in cases:
        reply = api.call("POST", "/v1/events", {"type": "checked.thing", "data": data})
        assert reply.status == 422
        assert sorted(place["pointer"] for place in reply.json["errors"]) == pointers
    batch = {"events": [{"type": "checked.thing", "data": {"id": 1}}, {"type": "checked.thing", "data": {"id": "x"}}]}
    reply = api.call("POST", "/v1/events:batch", batch)
    assert [place["pointer"] for place in reply.json["errors"]] == ["/events/1/data/id"]
    # A changed schema holds at once.
    api.patch("/v1/event-types/checked.thing", {"schema": {"required": ["color"]}, "example": None})
    assert api.call("POST", "/v1/events", {"type": "checked.thing", "data": {"id": 1}}).status == 422
    assert api.publish("checked.thing", {"color": "red"})
