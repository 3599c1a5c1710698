"""Why deliveries failed lately, in groups; and of one event, why each endpoint did not get it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.test_endpoints import key_of
from tidings.rules.deliver.reasons import folded, of_all
from tidings.testing import Api, Receiver, until

REASONS = "/v1/deliveries:reasons"
EVENT = "evt_01m7xv663afar931yg06gzrrhs"


def test_numbers_and_ids_do_not_make_another_reason() -> None:
    assert folded("The endpoint answered 503.", 503) == "The endpoint answered 503."
    assert folded("No answer from 10.0.0.7:443 within 15.0 s.", None) == "No answer from # within # s."
    assert folded(f"{EVENT} of 3f1b8f8e-2a7d-4c90-b6e5-1a0212345678", None) == "* of *"
    assert folded("deadbeef is no number, deadbeefdeadbeefdeadbeef is", None) == (
        "deadbeef is no number, deadbeefdeadbeefdeadbeef is"
    )
    assert folded(None, 503) is None
    long = folded("word " * 500, None)
    assert long is not None and len(long) < 310


def test_a_group_says_its_numbers_if_all_have_the_same() -> None:
    assert of_all(["No response within 2 s."] * 2, None) == "No response within 2 s."
    assert of_all(["No response within 2 s.", "No response within 1 s."], None) == "No response within # s."
    assert of_all([None], None) is None


@pytest.mark.slow
def test_failures_are_grouped_by_reason_with_an_example(api: Api) -> None:
    for tenant in ("anna", "bert"):
        api.post("/v1/tenants", {"id": tenant})
    with Receiver() as receiver:
        receiver.answer(503, path="/503")
        receiver.answer(422, path="/422")
        busy, _ = api.register(receiver.url("/503"), events=["grouped.*"], tenant="anna")
        strict, _ = api.register(receiver.url("/422"), events=["grouped.*"], tenant="bert", give_up_on=[422])
        for number in range(4):
            api.publish("grouped.a", {"n": number}, tenant="anna")
        for number in range(2):
            api.publish("grouped.a", {"n": number}, tenant="bert")
        event = api.publish("grouped.b", tenant="bert")

        def look() -> list[dict[str, Any]]:
            found = [api.get(REASONS, endpoint=each)["reasons"] for each in (busy, strict)]
            return [*found[0], *found[1]] if [sum(r["count"] for r in each) for each in found] == [4, 3] else []

        waits, dead = until(look, "all have failed")
    assert (waits["outcome"], waits["status"], waits["reason"]) == ("bad_status", 503, "The endpoint answered 503.")
    assert (waits["count"], waits["waiting"], waits["dead"]) == (4, 4, 0)
    assert waits["links"] == [{"endpoint_id": busy, "link": None, "tenant": "anna", "count": 4}]
    assert waits["links_total"] == 1 and waits["first"] <= waits["last"]
    assert api.get(f"/v1/deliveries/{waits['example']}")["last"]["status"] == 503
    assert (dead["count"], dead["waiting"], dead["dead"], dead["status"]) == (3, 0, 3, 422)
    assert api.get(REASONS)["is_complete"]
    assert api.get(REASONS, endpoint=busy, since="2999-01-01T00:00:00Z")["reasons"] == []
    # A tenant gets its own only.
    own = key_of(api, "anna")
    assert [each["status"] for each in own.get(REASONS)["reasons"]] == [503]
    assert own.call("GET", REASONS, tenant="bert").json.get("reasons") in (None, [])
    assert own.call("GET", REASONS, endpoint=strict).status == 422
    # Of one event: dead with the reason; the other endpoint is not of its tenant.
    detail = api.get(f"/v1/events/{event}", tenant="bert")
    (lost,) = detail["deliveries"]
    assert (lost["endpoint"], lost["state"], lost["outcome"], lost["due"]) == (strict, "dead", "bad_status", None)
    assert lost["reason"].startswith("The endpoint answered 422.")


@pytest.mark.slow
def test_an_event_says_until_when_each_delivery_waits_and_who_was_created_later(api: Api) -> None:
    with Receiver() as receiver:
        receiver.answer(500, path="/waits")
        waits, _ = api.register(receiver.url("/waits"), events=["later.*"], retry_delays_seconds=[0, 3600])
        good, _ = api.register(receiver.url("/good"), events=["later.*"])
        other, _ = api.register(receiver.url("/other"), events=["other.*"])
        event = api.publish("later.a")

        def tried() -> dict[str, Any] | None:
            found = {each["endpoint"]: each for each in api.get(f"/v1/events/{event}")["deliveries"]}
            return found if {each["outcome"] for each in found.values()} == {"ok", "bad_status"} else None

        found = until(tried, "both were tried")
        late, _ = api.register(receiver.url("/late"), events=["later.*"])
    assert (found[waits]["state"], found[waits]["reason"]) == ("waiting", "The endpoint answered 500.")
    assert found[waits]["due"] > api.get(f"/v1/events/{event}")["created"]
    assert (found[good]["state"], found[good]["due"], found[good]["reason"]) == ("delivered", None, None)
    missing = {each["endpoint"]: each["reason"] for each in api.get(f"/v1/events/{event}")["not_matched"]}
    assert missing[late] == "The event is older than the endpoint or link."
    assert missing[other] == "The selected types are other.*, but the event's type is later.a."
