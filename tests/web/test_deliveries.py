"""Deliveries over HTTP: each attempt is shown, and another try or a cancellation does what it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.web.test_endpoints import key_of
from tidings.testing import Api, Receiver, TestServer, until


@pytest.fixture(scope="module")
def receiver(server: TestServer) -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def ended(api: Api, endpoint: str, state: str, count: int = 1) -> list[dict[str, Any]]:
    """The deliveries of an endpoint, once that many are in a state."""

    def look() -> list[dict[str, Any]]:
        found = api.pages("/v1/deliveries", endpoint=endpoint, state=state)
        return found if len(found) >= count else []

    return until(look, f"{count} of {endpoint} are {state}")


def test_a_delivered_delivery_shows_its_attempt(api: Api, receiver: Receiver) -> None:
    endpoint, secret = api.register(receiver.url("/good"), events=["good.*"], headers={"X-Token": "s3cret"})
    event = api.publish("good.a", {"n": 1})
    (listed,) = ended(api, endpoint, "delivered")
    assert (listed["event_id"], listed["event_type"], listed["endpoint_id"]) == (event, "good.a", endpoint)
    assert (listed["attempts"], listed["due"]) == (1, None)
    assert (listed["last"]["outcome"], listed["last"]["status"]) == ("ok", 204)
    whole = api.call("GET", f"/v1/deliveries/{listed['id']}")
    (attempt,) = whole.json["attempts"]
    assert (attempt["n"], attempt["outcome"], attempt["state"]) == (1, "ok", "delivered")
    assert attempt["request_headers"]["webhook-id"] == event
    assert secret.encode() not in whole.body and b"s3cret" not in whole.body
    assert whole.json["next_attempt"] is None


def test_a_dead_delivery_can_be_retried(api: Api, receiver: Receiver) -> None:
    receiver.answer(500, path="/dead")
    endpoint, _ = api.register(receiver.url("/dead"), events=["dead.*"], retry_delays_seconds=[0])
    event = api.publish("dead.a")
    (dead,) = ended(api, endpoint, "dead")
    path = f"/v1/deliveries/{dead['id']}"
    assert api.get(path)["attempts"][0]["reason"] == "The endpoint answered 500."
    receiver.answer(204, path="/dead")
    assert api.call("POST", path + ":retry").status == 202
    ended(api, endpoint, "delivered")
    assert [each["status"] for each in api.get(path)["attempts"]] == [500, 204]
    assert {got.id for got in receiver.wait_for(2, path="/dead")} == {event}


@pytest.mark.slow
def test_a_waiting_delivery_can_be_retried_or_cancelled(api: Api, receiver: Receiver) -> None:
    receiver.answer(500, path="/later")
    endpoint, _ = api.register(receiver.url("/later"), events=["later.*"], retry_delays_seconds=[0, 3600, 3600])
    api.publish("later.a")

    def tried(times: int) -> dict[str, Any] | None:
        found = api.pages("/v1/deliveries", endpoint=endpoint, state="waiting")
        return found[0] if found and found[0]["attempts"] == times else None

    waiting = until(lambda: tried(1), "it waits for its second try")
    assert waiting is not None
    path = f"/v1/deliveries/{waiting['id']}"
    assert api.get(path)["next_attempt"] == waiting["due"] > waiting["created"]
    api.post(path + ":retry")
    until(lambda: tried(2), "it was tried again")
    cancelled = api.post(path + ":cancel")
    assert (cancelled["state"], cancelled["next_attempt"]) == ("cancelled", None)
    assert [each["outcome"] for each in cancelled["attempts"]] == ["bad_status", "bad_status", "cancelled"]
    again = api.call("POST", path + ":cancel")
    assert again.status == 409 and "already cancelled" in again.json["detail"]


def test_nothing_is_tried_again_while_the_endpoint_is_paused(api: Api, receiver: Receiver) -> None:
    endpoint, _ = api.register(receiver.url("/stopped"), events=["stopped.*"])
    api.publish("stopped.a")
    (sent,) = ended(api, endpoint, "delivered")
    api.post(f"/v1/endpoints/{endpoint}:pause")
    reply = api.call("POST", f"/v1/deliveries/{sent['id']}:retry")
    assert reply.status == 409 and "Resume" in reply.json["detail"]


@pytest.mark.slow
def test_lists_are_filtered_and_paged(api: Api, receiver: Receiver) -> None:
    endpoint, _ = api.register(receiver.url("/many"), events=["many.*"])
    events = [api.publish("many.a") for _ in range(12)]
    ended(api, endpoint, "delivered", 12)
    listed = api.pages("/v1/deliveries", endpoint=endpoint, limit=5)
    assert [each["event_id"] for each in listed] == events[::-1]
    assert [each["event_id"] for each in api.pages("/v1/deliveries", event=events[3])] == [events[3]]
    begun = listed[-1]["created"]
    assert len(api.pages("/v1/deliveries", endpoint=endpoint, time__gte=begun)) == 12
    assert api.pages("/v1/deliveries", endpoint=endpoint, time__lt=begun) == []
    wrong: list[dict[str, Any]] = [
        {"state": "lost"},
        {"endpoint": "ep_no"},
        {"time__gte": "yesterday"},
        {"stat": "dead"},
    ]
    for query in wrong:
        assert api.call("GET", "/v1/deliveries", **query).status == 422


@pytest.mark.slow
def test_a_tenant_sees_only_its_own(api: Api, receiver: Receiver) -> None:
    ours, theirs = key_of(api, "d-ours"), key_of(api, "d-theirs")
    endpoint: str = ours.post("/v1/endpoints", {"url": receiver.url("/tenant")})["id"]
    ours.publish("tenant.a")
    (mine,) = ended(ours, endpoint, "delivered")
    assert theirs.pages("/v1/deliveries") == []
    assert theirs.call("GET", "/v1/deliveries", endpoint=endpoint).status == 422
    path = f"/v1/deliveries/{mine['id']}"
    for method, verb in (("GET", ""), ("POST", ":retry"), ("POST", ":cancel")):
        assert theirs.call(method, path + verb).status == 404
    assert [each["id"] for each in api.pages("/v1/deliveries", tenant="d-ours")] == [mine["id"]]


@pytest.mark.parametrize("name", ["dlv_no", "evt_00000000000000000000000000", "dlv_00000000000000000000000000"])
def test_unknown_deliveries_are_not_found(api: Api, name: str) -> None:
    assert api.call("GET", f"/v1/deliveries/{name}").status == 404
    assert api.call("POST", f"/v1/deliveries/{name}:cancel").status == 404


@pytest.mark.slow
def test_they_are_listed_by_type_outcome_and_status(api: Api, receiver: Receiver) -> None:
    for path, status in (("/is422", 422), ("/is500", 500), ("/is302", 302)):
        receiver.answer(status, path=path)
    made = {}
    for path in ("/is422", "/is500", "/is302", "/is204"):
        endpoint, _ = api.register(receiver.url(path), events=[f"sorted{path.replace('/', '.')}"], give_up_on=["4xx"])
        made[path] = endpoint
        api.publish(f"sorted{path.replace('/', '.')}")
    for path, endpoint in made.items():
        until(lambda: api.pages("/v1/deliveries", endpoint=endpoint)[0]["attempts"], f"{path} answered")

    def listed(**query: str) -> set[str]:
        found = api.pages("/v1/deliveries", **{"type": "sorted.*", **query})
        return {each["event_type"].removeprefix("sorted.") for each in found}

    assert listed() == {"is422", "is500", "is302", "is204"}
    assert listed(status="422") == listed(status="4xx") == {"is422"}
    assert listed(status="5xx") == {"is500"}
    assert listed(outcome="redirect") == {"is302"}
    assert listed(outcome="bad_status") == {"is422", "is500"}
    assert listed(outcome="bad_status", status="500", state="waiting") == {"is500"}
    assert listed(type="sorted.is500") == {"is500"}
    assert listed(status="418") == set()
    assert api.get("/v1/deliveries?type=sorted.*&status=4xx&count=true")["count"] == 1
    for wrong in ("status=4x", "status=abc", "status=99", "outcome=fine", "type=a..b", "type=*"):
        reply = api.call("GET", f"/v1/deliveries?{wrong}")
        assert (reply.status, reply.json["errors"][0]["parameter"]) == (422, wrong.partition("=")[0])
