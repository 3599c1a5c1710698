"""Tallies: attempts are counted by link and minute, stored with a settlement, once, and dropped once they are old."""

from __future__ import annotations

from typing import Any

import pytest

from tests.delivery.world import World
from tests.web.test_endpoints import key_of
from tidings.model.moment import DAY, HOUR, MINUTE
from tidings.rules.deliver import tally
from tidings.store.base import Db
from tidings.store.log import tallies
from tidings.store.log.tallies import TallyBatch
from tidings.testing import until

pytestmark = pytest.mark.own_server


def counted(world: World, attempts: int, **query: Any) -> dict[str, Any]:
    """The report, once it has this many attempts; time passes meanwhile, as counts are stored every few seconds."""

    def look() -> dict[str, Any] | None:
        world.clock.advance(1)
        found: dict[str, Any] = world.api.get("/v1/tallies", **query)
        return found if found["total"]["attempts"] == attempts else None

    found = until(look, f"{attempts} attempts are counted")
    assert found is not None
    return found


@pytest.mark.slow
def test_attempts_are_counted_with_durations_reasons_and_what_waits(world: World) -> None:
    api = world.api
    for tenant in ("anna", "bert"):
        api.post("/v1/tenants", {"id": tenant})
    world.receiver.answer(503, path="/busy")
    good = world.register("/good", events=["counted.*"], tenant="anna")
    busy = world.register("/busy", events=["counted.*"], tenant="bert", retry_delays_seconds=[0, 86_400])
    for number in range(3):
        api.publish("counted.a", {"n": number}, tenant="anna")
        api.publish("counted.a", {"n": number}, tenant="bert")
    fine = counted(world, 3, endpoint=good)
    assert fine["total"]["delivered"] == 3 and fine["total"]["success_rate"] == 1.0
    assert sum(sum(point["buckets"]) for point in fine["points"]) == 3 and fine["reasons"] == []
    assert fine["total"]["p50_ms"] is not None and fine["total"]["accepted"] is None
    bad = counted(world, 3, endpoint=busy)
    assert bad["total"]["rejected"] == 3 and bad["total"]["success_rate"] == 0.0
    (why,) = bad["reasons"]
    assert (why["outcome"], why["status"], why["count"]) == ("bad_status", 503, 3)
    assert why["reason"] == "The endpoint answered 503." and why["links"][0]["endpoint_id"] == busy
    assert api.get(f"/v1/deliveries/{why['example']}")["endpoint_id"] == busy
    whole = counted(world, 6)
    assert whole["total"]["accepted"] == 6 and whole["total"]["delivered"] == 3
    assert counted(world, 6, step="hour")["total"] == whole["total"]
    assert counted(world, 3, tenant="bert")["total"]["rejected"] == 3
    mine = api.get("/v1/tallies:links", tenant="bert")["data"]
    assert [(each["endpoint_id"], each["waiting"], each["total"]["rejected"]) for each in mine] == [(busy, 3, 3)]
    assert mine[0]["oldest_waiting_seconds"] >= 1 and mine[0]["last_failure"] == "The endpoint answered 503."
    assert sum(hour["failed"] for hour in mine[0]["hours"]) == 3
    both = api.pages("/v1/tallies:links", limit=1)
    assert {each["endpoint_id"] for each in both} >= {good, busy}
    own = key_of(api, "anna")
    assert own.get("/v1/tallies")["total"]["attempts"] == 3
    assert [each["endpoint_id"] for each in own.get("/v1/tallies:links")["data"]] == [good]
    assert own.call("GET", "/v1/tallies", endpoint=busy).status == 422
    assert own.call("GET", "/v1/tallies", tenant="bert").status == 404
    refused = api.call("GET", "/v1/tallies", time__gte="2026-01-02T00:00:00Z", time__lt="2026-01-01T00:00:00Z")
    assert refused.status == 422


@pytest.mark.slow
def test_a_cancellation_is_counted_but_is_no_attempt(world: World) -> None:
    world.receiver.answer(503, path="/x")
    endpoint = world.register("/x", events=["cancelled.*"], retry_delays_seconds=[0, 86_400])
    world.api.publish("cancelled.a")
    (delivery,) = until(lambda: [each for each in world.deliveries(endpoint=endpoint) if each["attempts"]], "it waits")
    world.api.post(f"/v1/deliveries/{delivery['id']}:cancel")

    def look() -> bool:
        world.clock.advance(5)
        total = world.api.get("/v1/tallies", endpoint=endpoint)["total"]
        return (total["skipped"], total["attempts"]) == (1, 1)

    until(look, "it is counted as skipped")


@pytest.mark.slow
def test_a_batch_is_added_once_and_old_rows_are_dropped(world: World) -> None:
    assert world.server.server is not None
    writer = world.server.server.writer
    link, now = 1_000_000, world.clock.now()
    minute = now - now % MINUTE
    cell = tally.empty()
    cell[tally.DELIVERED] = 7

    def add(number: int, at: int, *, again: bool) -> None:
        batch = TallyBatch(number, minute, [(at, link, list(cell))], {(link, at - at % HOUR, "timeout", 0, ""): ONE})
        writer.wait(lambda db: tallies.add(db, [batch], again=again))

    def read(db: Db, seconds: int) -> list[int]:
        return [row.tally[tally.DELIVERED] for row in tallies.series(db, [link], seconds, 0, now + DAY)]

    first = 1 << 60
    add(first, minute, again=False)
    add(first, minute, again=True)
    add(first + 1, minute, again=True)
    old = minute - tallies.MINUTES_KEPT - MINUTE
    add(first + 2, old, again=False)
    assert sum(writer.wait(lambda db: read(db, 3600))) == 21
    # The hourly task may have been here first.
    assert writer.wait(lambda db: tallies.prune(db, now, 100)) <= 2
    assert writer.wait(lambda db: read(db, 60)) == [14]
    assert writer.wait(lambda db: tallies.prune(db, now + tallies.HOURS_KEPT + DAY, 1_000)) > 2
    assert writer.wait(lambda db: read(db, 3600)) == []
    assert writer.wait(lambda db: tallies.reasons(db, [link], 0, now, 10)) == []


ONE = (1, 1, 1, 1, 1)


def test_times_of_steps_are_whole_minutes_and_hours(world: World) -> None:
    report = world.api.get(
        "/v1/tallies", step="hour", time__gte="2026-01-01T10:20:00Z", time__lt="2026-01-01T12:20:00Z"
    )
    assert (report["since"], report["until"]) == ("2026-01-01T10:00:00.000Z", "2026-01-01T13:00:00.000Z")
