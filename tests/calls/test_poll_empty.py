"""Polls: responses that mean "no records" by the link's own word, and events that do not fit their type's schema."""

from __future__ import annotations

from typing import Any

import pytest

from tests.calls.test_polls import Source, emitted, poll, ran
from tests.calls.world import Calls
from tidings.testing import Reaction, until

EMPTY = Reaction(status=204)


@pytest.fixture
def source(calls: Calls) -> Source:
    calls.connection()
    return Source(calls)


def with_empty(calls: Calls, *statuses: int, **emit: Any) -> None:
    call = {"via": "shop", "get": "/items", "pages": {"next": "{{ body.next }}"}, "empty": list(statuses)}
    rule = {"type": "shop.item", "each": "items", "key": "id", **emit}
    body = {"when": {"every": "1h"}, "emit": rule, "call": call}
    assert calls.api.put("/v1/links/pull", body)["call"]["empty"] == list(statuses)


def attempts(calls: Calls, count: int) -> list[dict[str, Any]]:
    def look() -> Any:
        deliveries = calls.api.pages("/v1/deliveries", link="pull")
        if not deliveries:
            return None
        delivery = deliveries[-1]
        found = calls.api.get(f"/v1/deliveries/{delivery['id']}")["attempts"]
        return len(found) >= count and found

    found: list[dict[str, Any]] = until(look, f"{count} attempts")
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("status", "body"), [(204, b""), (200, b" \n"), (404, b"nothing found")])
def test_a_response_without_records_may_be_declared(calls: Calls, source: Source, status: int, body: bytes) -> None:
    source.put("a", "10:00:00")
    with_empty(calls, status)
    ran(calls, 1)
    source.fails = [Reaction(status=status, body=body)]
    calls.clock.advance(3601)
    assert ran(calls, 2)[1] == "Read 0 records on 1 page: 0 created, 0 updated, 0 deleted."
    source.put("b", "11:00:00")
    calls.clock.advance(3601)
    until(lambda: len(emitted(calls)) == 2, "the poll continues")


@pytest.mark.slow
def test_without_it_the_run_fails(calls: Calls, source: Source) -> None:
    source.fails = [EMPTY]
    poll(calls)
    assert "no content" in attempts(calls, 1)[0]["reason"]


@pytest.mark.slow
def test_a_204_with_a_body_where_200_was_declared_is_no_excuse(calls: Calls, source: Source) -> None:
    source.fails = [Reaction(status=200, body=b"<html>login</html>", headers={"Content-Type": "text/html"})]
    with_empty(calls, 200)
    assert attempts(calls, 1)[0]["outcome"] == "bad_answer"


@pytest.mark.slow
def test_a_full_read_without_records_deletes_nothing(calls: Calls, source: Source) -> None:
    source.put("a", "10:00:00")
    with_empty(calls, 204, sweep=True)
    ran(calls, 1)
    source.fails = [EMPTY]
    calls.clock.advance(3601)
    until(lambda: len(calls.peer.requests()) == 2, "it asks again")
    calls.clock.advance(1)
    assert [each[0] for each in emitted(calls)] == ["created"]


@pytest.mark.slow
def test_a_404_on_a_further_page_does_not_mean_that_this_was_all(calls: Calls, source: Source) -> None:
    for n in range(3):
        source.put(f"r{n}", f"1{n}:00:00")

    def fail() -> None:
        source.fails = [Reaction(status=404)]

    source.before[2] = fail
    with_empty(calls, 404, sweep=True)
    assert attempts(calls, 1)[0]["status"] == 404


@pytest.mark.slow
def test_an_event_that_does_not_fit_its_types_schema_fails_the_run(calls: Calls, source: Source) -> None:
    schema = {"type": "object", "properties": {"v": {"type": "integer"}}, "required": ["v"]}
    calls.api.put("/v1/event-types/shop.item.created", {"schema": schema})
    source.put("a", "10:00:00", v="five")
    poll(calls)
    failed = attempts(calls, 1)[0]
    assert failed["outcome"] == "bad_answer"
    assert "shop.item.created for a does not match the schema of its type: /v:" in failed["reason"], failed
    assert emitted(calls) == []
    source.put("a", "10:00:00", v=5)
    calls.clock.advance(60)
    ran(calls, 1)
    assert [each[:3] for each in emitted(calls)] == [("created", "a", 5)]


def test_statuses_that_cannot_be_are_refused(calls: Calls) -> None:
    calls.connection()
    for empty in ([500], [301], [], "204", [204.5]):
        call = {"via": "shop", "get": "/items", "empty": empty}
        body = {"when": {"every": "1h"}, "call": call, "emit": {"type": "x.y", "key": "id"}}
        assert calls.api.call("PUT", "/v1/links/pull", body).status == 422, empty
