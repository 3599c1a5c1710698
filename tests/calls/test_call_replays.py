"""Replays of links that call: the calls of a time range again, or those that failed."""

from __future__ import annotations

import pytest

from tests.calls.world import Calls
from tests.web.test_replays import done
from tidings.model.moment import to_text
from tidings.testing import until

CALL = {"via": "shop", "put": "/orders/{{ data.id }}", "json": {"n": "{{ data.n }}"}}


def replayed(calls: Calls, which: str) -> int:
    calls.clock.advance(1)
    started = calls.api.post("/v1/replays", {"link": "push", "since": to_text(calls.since), "which": which})
    sent: int = done(calls.api, started["id"])["sent"]
    return sent


@pytest.mark.slow
def test_calls_are_made_again_with_the_values_of_their_events(calls: Calls) -> None:
    calls.connection()
    calls.link(call=CALL)
    for number in (1, 2):
        calls.ended(calls.api.publish("order.made", {"id": "o-1", "n": number}))
    assert replayed(calls, "all") == 2
    until(lambda: len(calls.peer.requests()) == 4, "both calls are made again")
    assert sorted(got.json["n"] for got in calls.peer.requests()) == [1, 1, 2, 2]


def test_what_may_succeed_once_is_skipped(calls: Calls) -> None:
    calls.connection()
    calls.link(call=CALL, once="{{ data.id }}")
    event = calls.api.publish("order.made", {"id": "o-1", "n": 1})
    calls.ended(event)
    assert replayed(calls, "all") == 1
    again = until(
        lambda: [each for each in calls.api.pages("/v1/deliveries", event=event) if each["state"] != "waiting"][1:],
        "the second delivery ends",
    )
    assert len(again) == 1 and len(calls.peer.requests()) == 1


@pytest.mark.slow
def test_calls_that_failed_are_made_once_the_other_side_takes_them(calls: Calls) -> None:
    calls.connection()
    calls.link(call=CALL)
    calls.peer.answer(422)
    event = calls.api.publish("order.made", {"id": "o-1", "n": 1})
    assert calls.ended(event)["state"] == "dead"
    calls.peer.answer(204)
    assert replayed(calls, "failed") == 1
    assert calls.delivery(event, attempts=2)["state"] == "delivered"
    assert replayed(calls, "failed") == 0
