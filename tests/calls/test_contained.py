"""What goes wrong with one event or one answer ends that delivery: the server, and all other deliveries, continue."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.calls.world import Calls
from tidings.deliver.actions import observe
from tidings.deliver.actions.call import CallAction
from tidings.deliver.actions.paging import sizes
from tidings.deliver.actions.paging.sizes import end_of_part
from tidings.rules.mirror.difference import Observation
from tidings.store.base import StoreError
from tidings.testing import Reaction, until

JSON = {"Content-Type": "application/json"}


def serve(calls: Calls, *pages: Any) -> None:
    """The peer answers with these pages, in turn; the last one again and again."""
    bodies = [json.dumps(each).encode() if type(each) is dict else each for each in pages]
    calls.peer.answer(*(Reaction(status=200, body=each, headers=JSON) for each in bodies))


def poll(calls: Calls, **emit: Any) -> None:
    call = {"via": "shop", "get": "/items", "pages": {"next": "{{ body.next }}"}}
    declared = {"type": "shop.item", "each": "items", "key": "id", **emit}
    calls.api.put("/v1/links/pull", {"when": {"every": "1h"}, "call": call, "emit": declared})


def reason(calls: Calls) -> str:
    """Why its first run failed, or what it says."""

    def look() -> Any:
        for each in calls.api.pages("/v1/deliveries", link="pull"):
            found = calls.api.get(f"/v1/deliveries/{each['id']}")["attempts"]
            if found:
                return f"{found[0]['outcome']}: {found[0]['reason']}"
        return None

    return str(until(look, "it runs"))


def settled(calls: Calls, event: str) -> None:
    """Let time pass until the event is delivered: what could not be stored is tried again a moment later."""

    def look() -> bool:
        calls.clock.advance(1)
        return any(each["state"] == "delivered" for each in calls.api.pages("/v1/deliveries", event=event))

    until(look, f"{event} is delivered")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "outcome", "said"),
    [
        ("prepare", "unsendable", "The request could not be sent: something went wrong on the server"),
        ("judge", "in_doubt", "could not be processed: something went wrong on the server"),
        ("follow", "ok", "Answered 204."),
    ],
)
def test_a_mistake_of_ours_ends_one_delivery_and_not_the_server(
    calls: Calls, monkeypatch: pytest.MonkeyPatch, step: str, outcome: str, said: str
) -> None:
    def mistake(*_: Any) -> Any:
        raise TypeError("a mistake")

    calls.connection()
    calls.link("push", "order.*", {"via": "shop", "put": "/a", "json": {}}, once="{{ id }}")
    with monkeypatch.context() as patched:
        patched.setattr(CallAction, step, mistake)
        (attempt,) = calls.ended(calls.api.publish("order.made", {}))["attempts"]
        assert attempt["outcome"] == outcome and said in attempt["reason"]
    assert calls.ended(calls.api.publish("order.made", {}))["state"] == "delivered"


@pytest.mark.slow
def test_what_the_store_refuses_is_left_out_and_holds_up_no_other_delivery(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refused:
        def apply(self, *_: Any) -> Any:
            raise StoreError("refused")

    prepare = CallAction.prepare

    def with_a_nul(*given: Any) -> Any:
        return msgspec.structs.replace(prepare(*given), shown="\0")

    calls.connection()
    calls.link("push", "order.*", {"via": "shop", "put": "/a", "json": {}}, once="{{ id }}")
    with monkeypatch.context() as patched:
        patched.setattr(CallAction, "follow", lambda *_: Refused())
        settled(calls, calls.api.publish("order.made", {}))
    with monkeypatch.context() as patched:
        # PostgreSQL stores no NUL in a text.
        patched.setattr(CallAction, "prepare", with_a_nul)
        settled(calls, calls.api.publish("order.made", {}))
    assert calls.ended(calls.api.publish("order.made", {}))["state"] == "delivered"


@pytest.mark.slow
def test_an_answer_whose_lists_are_empty_breaks_nothing(calls: Calls) -> None:
    calls.connection()
    serve(calls, {"lists": [[], [1]]})
    keep = {"first": "{{ body.lists | map('first') }}"}
    calls.link("push", "order.*", {"via": "shop", "post": "/a", "json": "{{ data | items | map('last') }}"}, keep=keep)
    event = calls.api.publish("order.made", {"a": []}, subject="o-1")
    assert calls.ended(event)["state"] == "delivered"
    assert calls.api.get("/v1/links/push/kept?subject=o-1")["values"] == {"first": [None, 1]}


@pytest.mark.slow
def test_a_nul_in_what_another_system_says_holds_up_no_other_delivery(calls: Calls) -> None:
    said = b'{"error": "a\\u0000b", "error_description": "\\u0000"}'
    calls.peer.answer(Reaction(status=400, body=said, headers=JSON), path="/token")
    auth = {"oauth2": "client_credentials", "token": "/token", "id": "i", "secret": "s"}
    calls.connection("crm", auth=auth)
    calls.link("first", "order.*", {"via": "crm", "put": "/a"})
    event = calls.api.publish("order.made", {})
    (attempt,) = calls.delivery(event, "first")["attempts"]
    assert attempt["reason"] == "The token endpoint responded with 400: a\ufffdb \ufffd."
    calls.connection()
    calls.link("push", "order.*", {"via": "shop", "put": "/a"})
    assert calls.ended(calls.api.publish("order.made", {}))["state"] == "delivered"


@pytest.mark.slow
@pytest.mark.parametrize("life", [b'"nan"', b"NaN"])
def test_a_token_that_says_nonsense_about_its_life_is_used(calls: Calls, life: bytes) -> None:
    body = b'{"access_token": "t", "expires_in": ' + life + b"}"
    calls.peer.answer(Reaction(status=200, body=body, headers=JSON), path="/token")
    calls.connection("crm", auth={"oauth2": "client_credentials", "token": "/token", "id": "i", "secret": "s"})
    calls.link("push", "order.*", {"via": "crm", "put": "/a"})
    (attempt,) = calls.delivery(calls.api.publish("order.made", {}))["attempts"]
    # What is not JSON has no token; either way the server continues.
    assert attempt["outcome"] == ("auth_failed" if life == b"NaN" else "ok")


@pytest.mark.slow
def test_a_value_of_order_that_is_too_long_to_keep_something_for_ends_that_delivery(calls: Calls) -> None:
    calls.connection()
    calls.link("push", "order.*", {"via": "shop", "post": "/a"}, keep={"n": "{{ status }}"}, order="{{ data.k }}")
    # Characters that no database compresses: its keys have at most 2,704 bytes.
    dead = calls.ended(calls.api.publish("order.made", {"k": "".join(map(chr, range(0x4E00, 0x4E00 + 2000)))}))
    assert dead["state"] == "dead" and "at most 256 characters" in dead["attempts"][0]["reason"]
    assert calls.ended(calls.api.publish("order.made", {"k": "é" * 256}))["attempts"][0]["reason"].endswith("Kept n.")


@pytest.mark.slow
def test_a_link_that_is_deleted_while_its_run_waits_sends_nothing_more(calls: Calls) -> None:
    calls.connection(rate="60/h")
    serve(calls, {"items": [{"id": "a"}], "next": "/api/items?p=2"}, {"items": [{"id": "b"}]})
    poll(calls)
    until(lambda: calls.api.pages("/v1/events", type="shop.item.*"), "the first page is stored")
    calls.api.delete("/v1/links/pull")
    calls.clock.advance(120)
    calls.link("push", "order.*", {"via": "shop", "put": "/b", "json": {}})
    calls.ended(calls.api.publish("order.made", {}))
    assert [each.path for each in calls.peer.requests()] == ["/api/items", "/api/b"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"items": [{"id": "a", "v": [' + b"{}," * 500_000 + b"1]}]}", "more than 500,000 names and values"),
        (
            b'{"items": [{"id": "b"}, {"id": "a", "v": "' + b"," * 1_048_576 + b'"}]}',
            "The record a has 1,048,593 bytes",
        ),
    ],
)
def test_a_page_that_would_hold_up_everyone_is_refused_whole(calls: Calls, body: bytes, said: str) -> None:
    calls.connection()
    serve(calls, body)
    poll(calls)
    assert reason(calls).startswith("bad_answer") and said in reason(calls)
    assert not calls.api.pages("/v1/events", type="shop.item.*")


@pytest.mark.slow
def test_a_page_is_looked_at_and_stored_in_parts(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(observe, "OBSERVED_BYTES_PER_STEP", 100)
    monkeypatch.setattr(sizes, "OBSERVED_BYTES_PER_STEP", 100)
    calls.connection()
    serve(calls, {"items": [{"id": f"r{number}", "v": "x" * number} for number in range(99)]})
    poll(calls, key="{{ record.id }}")
    assert "99 created" in reason(calls)


@pytest.mark.parametrize(
    ("sizes_of", "ends"), [([10] * 3, [3]), ([600_000] * 3, [1, 2, 3]), ([9, 9, 1_048_570, 9], [2, 3, 4])]
)
def test_a_part_ends_before_it_is_too_large(sizes_of: list[int], ends: list[int]) -> None:
    observed = [Observation(str(number), "x" * size) for number, size in enumerate(sizes_of)]
    found, at = [], 0
    while at < len(observed):
        at = end_of_part(observed, at, is_large=True)
        found.append(at)
    assert found == ends
