"""`order: subject`: of each subject a link acts on the newest event only, and links through one connection in order."""

from __future__ import annotations

from typing import Any

import pytest

from tests.calls.world import Calls
from tidings.testing import Reaction, until

WAITS = Reaction(status=200, waits=True)
PUT = {"via": "crm", "put": "/customers/{{ subject }}", "json": {"n": "{{ data.n }}"}}
OFF = {"via": "crm", "patch": "/customers/{{ subject }}", "json": {"off": True}}


@pytest.fixture(autouse=True)
def crm(calls: Calls) -> None:
    calls.connection("crm")


def links(calls: Calls, **parts: Any) -> None:
    """The pair of a customer that is written, and one that is switched off."""
    calls.link("on", event=["contact.created", "contact.updated"], call=PUT, order="subject", **parts)
    calls.link("off", event="contact.deleted", call=OFF, order="subject", **parts)


def pause(calls: Calls) -> None:
    """Pause the link that writes, and wait until its lane knows."""
    calls.api.post("/v1/links/on:pause")
    server = calls.server.server
    assert server is not None
    lanes = server.deliver._lanes.by_link.values()
    until(lambda: not any(lane.sendable for lane in lanes if lane.link.name == "on"), "its lane is paused")


def changed(calls: Calls, n: int, subject: str = "c-1") -> str:
    return calls.api.publish("contact.updated", {"n": n}, subject=subject)


def sent(calls: Calls, subject: str = "c-1") -> list[Any]:
    """What the peer got about a subject, in order: a number, or `off`."""
    return [each.json.get("n", "off") for each in calls.peer.requests(f"/api/customers/{subject}")]


def states(calls: Calls, events: list[str], name: str) -> list[str]:
    return [calls.ended(event, name)["state"] for event in events]


@pytest.mark.slow
def test_a_newer_waiting_event_replaces_an_older_one(calls: Calls) -> None:
    links(calls)
    calls.peer.answer(WAITS)
    events = [changed(calls, 0)]
    calls.peer.wait_for(1)
    events += [changed(calls, n) for n in range(1, 20)]
    other = changed(calls, 7, subject="c-2")
    until(lambda: len(calls.api.pages("/v1/deliveries", link="on", state="replaced")) == 18, "18 are replaced")
    calls.peer.answer(200)
    calls.peer.release()
    assert states(calls, events, "on") == ["delivered", *["replaced"] * 18, "delivered"]
    assert calls.ended(other, "on")["state"] == "delivered"
    assert sent(calls) == [0, 19]
    (attempt,) = calls.ended(events[5], "on")["attempts"]
    assert (attempt["outcome"], attempt["state"]) == ("replaced", "replaced")
    assert "A newer event with the same subject" in attempt["reason"]
    assert [each["outcome"] for each in calls.ended(events[-1], "on")["attempts"]] == ["ok"]
    trail = calls.api.get(f"/v1/events/{events[5]}/trail")
    assert "replaced" in str(trail)


@pytest.mark.slow
def test_without_order_subject_each_event_is_kept_in_order(calls: Calls) -> None:
    shown = calls.link("on", event="contact.updated", call=PUT)
    assert shown["order"] == "each"
    events = [changed(calls, n) for n in range(10)]
    assert states(calls, events, "on") == ["delivered"] * 10
    assert sent(calls) == list(range(10))


@pytest.mark.slow
def test_a_retry_gives_way_to_a_newer_event(calls: Calls) -> None:
    links(calls)
    calls.peer.answer(500, 200)
    first = changed(calls, 1)
    calls.delivery(first, "on")
    second = changed(calls, 2)
    assert states(calls, [first, second], "on") == ["replaced", "delivered"]
    assert [each["outcome"] for each in calls.ended(first, "on")["attempts"]] == ["bad_status", "replaced"]
    assert sent(calls) == [1, 2]


@pytest.mark.slow
def test_what_fails_while_a_newer_one_waits_is_not_retried(calls: Calls) -> None:
    links(calls)
    calls.peer.answer(Reaction(status=503, waits=True))
    first = changed(calls, 1)
    calls.peer.wait_for(1)
    second = changed(calls, 2)
    until(lambda: any(each["held"] for each in calls.api.pages("/v1/deliveries", link="on")), "the second is held")
    calls.peer.answer(200)
    calls.peer.release()
    assert states(calls, [first, second], "on") == ["replaced", "delivered"]
    (attempt,) = calls.ended(first, "on")["attempts"]
    assert (attempt["outcome"], attempt["status"], attempt["state"]) == ("bad_status", 503, "replaced")
    assert "newer event" in attempt["reason"]


@pytest.mark.slow
def test_after_a_pause_each_subject_is_sent_once(calls: Calls) -> None:
    links(calls)
    pause(calls)
    events = [changed(calls, n, subject=f"c-{n % 3}") for n in range(60)]
    calls.api.post("/v1/links/on:resume")
    ended = states(calls, events, "on")
    assert ended == ["replaced"] * 57 + ["delivered"] * 3
    assert [sent(calls, f"c-{n}") for n in range(3)] == [[57], [58], [59]]


@pytest.mark.slow
def test_it_holds_across_a_restart(calls: Calls) -> None:
    links(calls)
    calls.peer.answer(500)
    events = [changed(calls, 0)]
    calls.delivery(events[0], "on")
    pause(calls)
    events += [changed(calls, n) for n in range(1, 6)]
    calls.server.restart()
    calls.peer.answer(200)
    calls.api.post("/v1/links/on:resume")
    assert states(calls, events, "on") == ["replaced"] * 5 + ["delivered"]
    assert sent(calls)[-1] == 5 and len(sent(calls)) <= 3


@pytest.mark.slow
def test_one_tenant_never_replaces_anothers(calls: Calls) -> None:
    calls.link("on", event="contact.updated", call=PUT, order="subject", tenant="*")
    calls.connection("crm", max_in_flight=1)
    calls.peer.answer(WAITS)
    changed(calls, 0, subject="c-0")
    calls.peer.wait_for(1)
    events = []
    for n, tenant in enumerate(("acme", "bolt", "acme", "bolt", None)):
        more = {} if tenant is None else {"tenant": tenant}
        if n < 2:
            calls.api.post("/v1/tenants", {"id": tenant, "name": tenant})
        events.append(calls.api.publish("contact.updated", {"n": n}, subject="c-1", **more))
    calls.peer.answer(200)
    calls.peer.release()
    assert states(calls, events, "on") == ["replaced", "replaced", "delivered", "delivered", "delivered"]
    assert sorted(sent(calls)) == [2, 3, 4]


@pytest.mark.slow
def test_a_retry_by_hand_sends_what_was_replaced(calls: Calls) -> None:
    links(calls)
    calls.peer.answer(500, 200)
    events = [changed(calls, 0)]
    calls.delivery(events[0], "on")
    events.append(changed(calls, 1))
    assert states(calls, events, "on") == ["replaced", "delivered"]
    calls.api.post(f"/v1/deliveries/{calls.ended(events[0], 'on')['id']}:retry")
    until(lambda: sent(calls) == [0, 1, 0], "it is sent")


# --- links that share a connection ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_links_of_a_connection_never_overtake_each_other_for_a_subject(calls: Calls) -> None:
    links(calls)
    calls.peer.answer(WAITS)
    first = changed(calls, 1)
    calls.peer.wait_for(1)
    gone = calls.api.publish("contact.deleted", {}, subject="c-1")
    other = calls.api.publish("contact.deleted", {}, subject="c-2")
    calls.peer.wait_for(2)
    assert sent(calls) == [1] and sent(calls, "c-2") == ["off"]
    back = changed(calls, 2)
    until(lambda: calls.delivery(back, "on", attempts=0)["held"], "it is held")
    calls.peer.answer(200)
    calls.peer.release()
    assert states(calls, [first, back], "on") + states(calls, [gone, other], "off") == ["delivered"] * 4
    assert sent(calls) == [1, "off", 2]


@pytest.mark.slow
def test_a_retry_of_one_link_holds_up_the_other_for_its_subject(calls: Calls) -> None:
    links(calls, retry_delays_seconds=[0, 60])
    calls.peer.answer(500, path="/api/customers/c-1")
    first = changed(calls, 1)
    calls.delivery(first, "on")
    gone = calls.api.publish("contact.deleted", {}, subject="c-1")
    other = calls.api.publish("contact.deleted", {}, subject="c-2")
    assert states(calls, [other], "off") == ["delivered"]
    assert calls.delivery(gone, "off", attempts=0)["attempts"] == []
    calls.peer.answer(200, path="/api/customers/c-1")
    calls.clock.advance(61)
    assert states(calls, [first], "on") + states(calls, [gone], "off") == ["delivered"] * 2
    assert sent(calls) == [1, 1, "off"]


@pytest.mark.slow
@pytest.mark.parametrize("restarts", [False, True])
def test_a_paused_link_holds_up_the_other_until_it_continues(calls: Calls, restarts: bool) -> None:
    links(calls)
    pause(calls)
    first = changed(calls, 1)
    gone = calls.api.publish("contact.deleted", {}, subject="c-1")
    other = calls.api.publish("contact.deleted", {}, subject="c-2")
    assert states(calls, [other], "off") == ["delivered"]
    if restarts:
        calls.server.restart()
    assert calls.delivery(gone, "off", attempts=0)["state"] == "waiting"
    calls.api.post("/v1/links/on:resume")
    assert states(calls, [first], "on") + states(calls, [gone], "off") == ["delivered"] * 2
    assert sent(calls) == [1, "off"]


@pytest.mark.slow
def test_a_deleted_link_and_a_cancelled_delivery_hold_up_nobody(calls: Calls) -> None:
    links(calls)
    pause(calls)
    for n in (1, 2):
        first = changed(calls, n, subject=f"c-{n}")
        gone = calls.api.publish("contact.deleted", {}, subject=f"c-{n}")
        until(lambda gone=gone: calls.delivery(gone, "off", attempts=0)["held"], "it is held")  # type: ignore[misc]
        if n == 1:
            calls.api.post(f"/v1/deliveries/{calls.delivery(first, 'on', attempts=0)['id']}:cancel")
            calls.clock.advance(2)
        else:
            calls.api.delete("/v1/links/on")
        assert states(calls, [gone], "off") == ["delivered"]


@pytest.mark.slow
def test_links_that_edit_one_collection_keep_their_order_together(calls: Calls) -> None:
    calls.api.put("/v1/collections/people", {"fields": {"n": "integer"}})
    put = {"collection": "people", "put": "{{ subject }}", "data": {"n": "{{ data.n }}"}}
    calls.link("on", event="contact.updated", item=put, order="subject")
    calls.link(
        "off", event="contact.deleted", item={"collection": "people", "delete": "{{ subject }}"}, order="subject"
    )
    pause(calls)
    events = [changed(calls, n) for n in range(5)]
    gone = calls.api.publish("contact.deleted", {}, subject="c-1")
    calls.api.post("/v1/links/on:resume")
    assert states(calls, events, "on") == ["replaced"] * 4 + ["delivered"]
    assert states(calls, [gone], "off") == ["delivered"]
    assert calls.api.pages("/v1/items/people") == []


@pytest.mark.slow
@pytest.mark.parametrize("order", ["none", "each", "all"])
def test_other_orders_are_a_links_own(calls: Calls, order: str) -> None:
    calls.link("on", event="contact.updated", call=PUT, order=order)
    calls.link("off", event="contact.deleted", call=OFF, order=order)
    pause(calls)
    changed(calls, 1)
    assert states(calls, [calls.api.publish("contact.deleted", {}, subject="c-1")], "off") == ["delivered"]


# --- what is refused --------------------------------------------------------------------------------------------------


def test_order_subject_takes_no_if(calls: Calls) -> None:
    body = {"when": {"event": "a"}, "call": PUT, "order": "subject", "if": "{{ data.n > 1 }}"}
    reply = calls.api.call("PUT", "/v1/links/on", body)
    assert [each["pointer"] for each in reply.json["errors"]] == ["/if"]
    assert "Use `filter`" in reply.json["errors"][0]["detail"]


@pytest.mark.slow
def test_the_order_is_shown_as_it_was_declared(calls: Calls) -> None:
    for order in ("each", "subject", "all", "none", "{{ data.n }}"):
        assert calls.link("on", event="a", call=PUT, order=order)["order"] == order
