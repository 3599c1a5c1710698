"""Links with a timer: a due time becomes one event, aimed at its link, and delivered like any other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.delivery.world import World
from tidings.model.moment import DAY, SECOND, from_text
from tidings.testing import Api, FakeClock, TestServer, until

DAYS = {"fields": {"day": {"type": "string"}, "missed": {"type": "integer"}, "runs": {"type": "integer"}}}
MARK = {"collection": "days", "create": True, "data": {"day": "{{ data.due }}", "missed": "{{ data.missed }}"}}
NINE = {"at": "09:00", "tz": "Europe/Berlin", "days": "mon-fri"}


@pytest.fixture
def clock() -> FakeClock:
    """Friday, before the clocks go back, at noon in Berlin."""
    return FakeClock(from_text("2026-10-23T10:00:00Z"))


@pytest.fixture
def server(tmp_path: Path, database: str | None, clock: FakeClock) -> Iterator[TestServer]:
    with TestServer(tmp_path / "tidings", database=database, clock=clock) as server:
        server.api.put("/v1/collections/days", DAYS)
        yield server


def link(api: Api, when: dict[str, Any], name: str = "morning", **parts: Any) -> dict[str, Any]:
    found: dict[str, Any] = api.put(f"/v1/links/{name}", {"when": when, "item": MARK, **parts})
    return found


def shown(api: Api, name: str = "morning") -> dict[str, Any]:
    found: dict[str, Any] = api.get(f"/v1/links/{name}", counts="true")
    return found


def runs(api: Api, count: int) -> list[tuple[str, int]]:
    """When each run was due, and what it stands for, once there are that many."""

    found: list[tuple[str, int]] = []

    def look() -> bool:
        found[:] = sorted((each["day"], each["missed"]) for each in api.pages("/v1/items/days"))
        return len(found) >= count

    until(look, f"there are {count} runs")
    assert len(found) == count, found
    return found


def advance_to(clock: FakeClock, text: str) -> None:
    clock.advance((from_text(text) - clock.now()) / SECOND)


def due(server: TestServer, at: str) -> str:
    until(lambda: shown(server.api)["next_due"] == at, f"it is due at {at}")
    return at


@pytest.mark.slow
def test_nine_in_berlin_runs_once_through_both_changes_of_the_clocks(server: TestServer, clock: FakeClock) -> None:
    link(server.api, NINE)
    assert due(server, "2026-10-26T08:00:00.000Z")
    advance_to(clock, "2026-10-26T07:59:59Z")
    assert runs(server.api, 0) == []
    advance_to(clock, "2026-10-26T08:00:00Z")
    assert runs(server.api, 1) == [("2026-10-26T08:00:00.000Z", 0)]
    assert due(server, "2026-10-27T08:00:00.000Z")
    clock.advance(3600)
    assert shown(server.api)["last_due"] == "2026-10-26T08:00:00.000Z"
    link(server.api, NINE, "spring")
    server.api.delete("/v1/links/morning")
    advance_to(clock, "2026-10-27T07:00:00Z")
    assert len(runs(server.api, 1)) == 1, "what was deleted runs no more"


@pytest.mark.slow
def test_a_restart_at_nine_runs_it_once(server: TestServer, clock: FakeClock) -> None:
    link(server.api, NINE)
    advance_to(clock, "2026-10-26T07:59:59Z")
    server.stop()
    advance_to(clock, "2026-10-26T08:00:00Z")
    server.start()
    assert runs(server.api, 1) == [("2026-10-26T08:00:00.000Z", 0)]
    server.restart()
    assert due(server, "2026-10-27T08:00:00.000Z")
    (event,) = server.api.pages("/v1/events", type="timer.due")
    assert (event["subject"], event["time"], event["data"]["missed"]) == ("morning", "2026-10-26T08:00:00.000Z", 0)
    runs(server.api, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("missed", "expected"), [("once", [("2026-10-28T08:00:00.000Z", 2)]), ("skip", [])])
def test_missed_times_become_one_run_or_none(
    server: TestServer, clock: FakeClock, missed: str, expected: list[Any]
) -> None:
    link(server.api, {**NINE, "missed": missed})
    server.stop()
    advance_to(clock, "2026-10-28T12:00:00Z")
    server.start()
    assert due(server, "2026-10-29T08:00:00.000Z")
    assert runs(server.api, len(expected)) == expected


@pytest.mark.slow
def test_a_pause_counts_as_missed_and_can_be_left_out(server: TestServer, clock: FakeClock) -> None:
    link(server.api, {"every": "1h"})
    runs(server.api, 1)
    server.api.post("/v1/links/morning:pause")
    assert shown(server.api)["next_due"] is None
    clock.advance(3 * 3600 + 60)
    server.api.post("/v1/links/morning:resume", {"missed": "cancel"})
    assert shown(server.api)["next_due"] == "2026-10-23T14:00:00.000Z"
    runs(server.api, 1)
    server.api.post("/v1/links/morning:pause")
    clock.advance(2 * 3600)
    server.api.post("/v1/links/morning:resume")
    assert runs(server.api, 2)[1] == ("2026-10-23T15:00:00.000Z", 1)


@pytest.mark.slow
def test_an_edit_remembers_the_last_run(server: TestServer, clock: FakeClock) -> None:
    link(server.api, {"every": "1h"})
    runs(server.api, 1)
    clock.advance(30 * 60)
    link(server.api, {"every": "2h"})
    assert due(server, "2026-10-23T12:00:00.000Z")
    link(server.api, {"every": "10m"})
    assert len(runs(server.api, 2)) == 2, "ten minutes were over"
    link(server.api, NINE)
    assert due(server, "2026-10-26T08:00:00.000Z")
    link(server.api, {"event": "x"})
    assert shown(server.api)["next_due"] is None
    clock.advance(5 * DAY / SECOND)
    runs(server.api, 2)


@pytest.mark.slow
def test_a_link_never_has_two_runs_at_once(server: TestServer, clock: FakeClock) -> None:
    missing = {"collection": "days", "patch": "none-yet", "data": {"missed": "{{ data.missed }}"}}
    link(server.api, {"every": "1m"}, item=missing, retry_delays_seconds=[600, 600])
    until(
        lambda: any(each["attempts"] for each in server.api.pages("/v1/deliveries", state="waiting")),
        "the first run waits for another try",
    )
    clock.advance(5 * 60)
    until(lambda: shown(server.api)["next_due"] is not None, "it is checked")
    refused = server.api.call("POST", "/v1/links/morning:run")
    assert (refused.status, refused.json["code"]) == (409, "running")
    assert len(server.api.pages("/v1/events", type="timer.due")) == 1
    server.api.put("/v1/items/days/none-yet", {"day": "x"})
    clock.advance(5 * 60)
    until(lambda: not server.api.pages("/v1/deliveries", state="waiting"), "the run ends")
    clock.advance(60)
    events = until(
        lambda: len(found := server.api.pages("/v1/events", type="timer.due")) > 1 and found, "the next runs"
    )
    missed = [each["data"]["missed"] for each in reversed(events)]
    assert missed[0] == 0
    assert max(missed) >= 9, "all that was missed is one run"


@pytest.mark.slow
def test_a_clock_change_moves_intervals_and_keeps_times_of_day(server: TestServer, clock: FakeClock) -> None:
    link(server.api, {"every": "1h"}, "hourly")
    link(server.api, NINE)
    runs(server.api, 1)
    clock.set_by(-7 * 24 * 3600)
    until(lambda: shown(server.api, "hourly")["next_due"] == "2026-10-16T11:00:00.000Z", "an hour stays an hour")
    assert due(server, "2026-10-19T07:00:00.000Z")
    advance_to(clock, "2026-10-19T07:00:01Z")
    until(lambda: shown(server.api)["last_due"] == "2026-10-19T07:00:00.000Z", "it runs")
    clock.set_by(-5)
    assert due(server, "2026-10-20T07:00:00.000Z")
    clock.advance(60)
    ran = [each for each in server.api.pages("/v1/events", type="timer.due") if each["subject"] == "morning"]
    assert len(ran) == 1, "nine was over already"


@pytest.mark.slow
def test_run_now(world: World) -> None:
    world.api.put("/v1/collections/days", DAYS)
    link(world.api, NINE)
    made = world.api.post("/v1/links/morning:run")
    assert (made["type"], made["subject"]) == ("timer.due", "morning")
    runs(world.api, 1)
    event = world.api.get(f"/v1/events/{made['id']}")
    assert [each["link"] for each in event["deliveries"]] == ["morning"]
    before = shown(world.api)
    assert (before["last_run"], before["last_due"]) == (made["id"], None)
    key = {"Idempotency-Key": "k"}
    again = [world.api.call("POST", "/v1/links/morning:run", None, key).json["id"] for _ in range(2)]
    assert again[0] == again[1] != made["id"]
    runs(world.api, 2)
    world.api.put("/v1/links/other", {"when": {"event": "x"}, "item": MARK})
    assert world.api.call("POST", "/v1/links/other:run").json["code"] == "no_timer"
    world.api.post("/v1/links/morning:pause")
    assert world.api.call("POST", "/v1/links/morning:run").json["code"] == "paused"
    assert world.api.call("POST", "/v1/links/none:run").status == 404


@pytest.mark.slow
def test_nobody_else_gets_the_event_of_a_timer(world: World) -> None:
    world.api.put("/v1/collections/days", DAYS)
    endpoint = world.register(events=["*", "timer.*"])
    world.api.put("/v1/links/curious", {"when": {"event": "timer.*"}, "item": MARK})
    link(world.api, NINE)
    event = world.api.post("/v1/links/morning:run")["id"]
    runs(world.api, 1)
    found = world.api.get(f"/v1/events/{event}")
    assert [each["link"] for each in found["deliveries"]] == ["morning"]
    reasons = {each["endpoint"] or each["link"]: each["reason"] for each in found["not_matched"]}
    assert reasons[endpoint] == reasons["curious"] == "The event is from the timer of another link."
    runs(world.api, 1)


@pytest.mark.slow
def test_a_trial_shows_what_the_timer_would_do(world: World) -> None:
    world.api.put("/v1/collections/days", DAYS)
    link(world.api, NINE)
    tried = world.api.post("/v1/links/morning:test", {})
    assert (tried["wants"], tried["outcome"], tried["edit"]["data"]["missed"]) == (True, "ok", 0)
    assert runs(world.api, 0) == []
    given = world.api.post("/v1/links/morning:test", {"event": {"type": "x", "data": {}}})
    assert given["reason"] == "The link runs on a timer, not on events."
    world.api.put("/v1/links/other", {"when": {"event": "x"}, "item": MARK})
    assert world.api.call("POST", "/v1/links/other:test", {}).status == 422


@pytest.mark.slow
def test_a_timer_of_a_tenant_makes_events_of_that_tenant(world: World) -> None:
    world.api.put("/v1/collections/days", DAYS)
    link(world.api, NINE, tenant="acme")
    world.api.post("/v1/links/morning:run")
    (item,) = until(lambda: world.api.pages("/v1/items/days"), "it runs") or []
    assert item["tenant"] == "acme"


@pytest.mark.parametrize(
    ("parts", "pointer"),
    [
        ({"when": {"every": "1h"}, "filter": {"data": {"a": 1}}}, "/filter"),
        ({"when": {"tz": "UTC"}}, "/when"),
        ({"when": {"every": "1h", "at": "09:00"}}, "/when"),
        ({"when": {"at": "25:00"}}, "/when/at"),
        ({"when": {"cron": "* * *"}}, "/when/cron"),
        ({"when": {"every": "1h", "often": True}}, "/when/often"),
    ],
)
@pytest.mark.few(2)
def test_wrong_timers_are_refused_with_their_location(world: World, parts: dict[str, Any], pointer: str) -> None:
    refused = world.api.call("PUT", "/v1/links/morning", {"item": MARK, **parts})
    assert refused.status == 422
    assert pointer in [each["pointer"] for each in refused.json["errors"]]
