"""A clock that is set wrongly, forwards or back: what waits, waits as long as before, and nothing is dropped for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.delivery.world import World
from tidings.control.upkeep.retention import trusted
from tidings.model.moment import DAY, HOUR, SECOND, SystemClock
from tidings.testing import FakeClock, Receiver, TestServer, until

DAY_SECONDS = 86_400
STEPS = [-DAY_SECONDS, 30 * DAY_SECONDS]


class DumbClock:
    """A clock of somebody else's: it does not say that it was set."""

    def __init__(self) -> None:
        self.inner = FakeClock()

    def now(self) -> int:
        return self.inner.now()

    def on_jump(self, wake: object) -> None:
        self.inner.on_jump(wake)  # type: ignore[arg-type]


@pytest.fixture
def world_of(tmp_path: Path, database: str | None, clock: FakeClock, receiver: Receiver) -> Iterator[World]:
    """A server on each engine."""
    with TestServer(tmp_path / "data", clock=clock, database=database) as server:
        yield World(server, clock, receiver)


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_a_retry_is_due_when_it_was_whatever_the_clock_says(world_of: World, step: int) -> None:
    world, receiver = world_of, world_of.receiver
    endpoint = world.register(retry_delays_seconds=[0, 600])
    receiver.answer(503)
    event = world.api.publish("step")
    receiver.wait_for(1)
    until(lambda: world.delivery(event, endpoint)["attempts"], "the failure is stored")
    receiver.answer(204)
    world.clock.set_by(step)
    until(lambda: "deliveries stay due" in _due(world, event, endpoint, 600), "the store was moved too")
    world.clock.advance(590)
    world.api.publish("other")
    receiver.wait_for(2)
    assert [each.id for each in receiver.requests()].count(event) == 1, "it is not early"
    world.clock.advance(11)
    receiver.wait_for(3)
    until(lambda: world.delivery(event, endpoint)["state"] == "delivered", "it is delivered")


def _due(world: World, event: str, endpoint: str, seconds: int) -> str:
    """Whether the delivery is due as many seconds from now, as the store has it."""
    from tidings.model.moment import from_text

    due = world.delivery(event, endpoint)["due"]
    far = abs(from_text(due) - world.clock.now() - seconds * SECOND) if due else 10**18
    return "deliveries stay due" if far < 2 * SECOND else f"off by {far}"


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_a_failing_endpoint_is_probed_in_time_and_not_disabled(world_of: World, step: int) -> None:
    world, receiver = world_of, world_of.receiver
    endpoint = world.register(retry_delays_seconds=[0] * 3)
    receiver.answer(503)
    for _ in range(12):
        world.api.publish("step")
    until(lambda: world.endpoint(endpoint)["health"]["next_probe"], "the breaker is open")
    world.clock.set_by(step)
    receiver.answer(204)
    before = len(receiver.requests())
    world.clock.advance(61)
    receiver.wait_for(before + 1)
    assert world.endpoint(endpoint)["state"] == "enabled"


@pytest.mark.slow
def test_a_retry_is_due_in_time_after_a_restart_under_a_clock_that_was_set_back(world_of: World) -> None:
    world, receiver = world_of, world_of.receiver
    world.register(retry_delays_seconds=[0, 5])
    receiver.answer(503)
    world.api.publish("step")
    receiver.wait_for(1)
    world.server.stop()
    world.clock.set_by(-DAY_SECONDS)
    receiver.answer(204)
    world.server.start()
    world.clock.advance(6)
    receiver.wait_for(2)


@pytest.mark.slow
def test_a_clock_set_back_without_notice_is_detected(tmp_path: Path, database: str | None, receiver: Receiver) -> None:
    clock = DumbClock()
    with TestServer(tmp_path / "data", clock=clock, database=database) as server:
        server.api.register(receiver.url("/"), retry_delays_seconds=[0, 5])
        receiver.answer(503)
        server.api.publish("step")
        receiver.wait_for(1)
        clock.inner.set_by(-DAY_SECONDS)
        receiver.answer(204)
        until(lambda: clock.inner.advance(1) and len(receiver.requests()) == 2, "it is tried again within seconds")


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"rate": 1}, {"batch": {"max_events": 10, "max_ms": 50}}])
def test_rates_and_batches_continue_after_the_clock_was_set_back(
    world: World, receiver: Receiver, options: dict[str, Any]
) -> None:
    world.register(**options)
    world.api.publish("step")
    until(lambda: world.clock.advance(1) and len(receiver.requests()) >= 1, "the first one is sent")
    world.clock.set_by(-DAY_SECONDS)
    world.api.publish("step")
    until(lambda: world.clock.advance(1) and len(receiver.requests()) >= 2, "the next one is sent")


@pytest.mark.parametrize("steps", [[30 * DAY_SECONDS, -30 * DAY_SECONDS], [-DAY_SECONDS], [-30]])
@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.few(3)
def test_a_call_limit_lasts_no_longer_than_its_window(world_of: World, steps: list[int], restarts: bool) -> None:
    key = world_of.api.post(
        "/v1/keys", {"name": "k", "scopes": ["events:read"], "limits": [{"calls": 5, "seconds": 60}]}
    )
    api = world_of.api.with_key(key["key"])
    for step in steps:
        for _ in range(6):
            api.call("GET", "/v1/events")
        world_of.clock.set_by(step)
        if restarts:
            world_of.server.restart()
            api = world_of.api.with_key(key["key"])
    reply = api.call("GET", "/v1/events")
    if reply.status == 429:
        assert int(reply.headers["retry-after"]) <= 60
    world_of.clock.advance(61)
    assert api.call("GET", "/v1/events").status == 200


@pytest.mark.slow
def test_an_idempotency_key_answers_after_the_clock_was_set(world: World) -> None:
    first = world.api.call("POST", "/v1/events", {"type": "step", "data": {}}, headers={"Idempotency-Key": "k"})
    world.clock.set_by(-DAY_SECONDS)
    again = world.api.call("POST", "/v1/events", {"type": "step", "data": {}}, headers={"Idempotency-Key": "k"})
    assert again.json["id"] == first.json["id"]


def test_a_clock_that_is_ahead_for_a_while_drops_nothing() -> None:
    last, days = 1_000 * DAY, 30
    assert trusted(last + HOUR, last, days, first=False) == last + HOUR
    assert trusted(last + DAY, last, days, first=True) == last + DAY
    wrong = last + 30 * DAY
    assert trusted(wrong, last, days, first=True) == last, "a start under it drops nothing"
    assert trusted(wrong, last, days, first=False) - last < 2 * DAY
    after, hours = last, 0
    while after < wrong:
        after, hours = trusted(wrong, after, days, first=False), hours + 1
    assert hours <= 24, "but after a long rest it follows within a day"
    assert trusted(last - DAY, last, days, first=True) == last - DAY


@pytest.mark.slow
@pytest.mark.parametrize("days", [1, 30])
def test_a_start_under_a_clock_that_is_ahead_drops_nothing(tmp_path: Path, clock: FakeClock, days: int) -> None:
    with TestServer(tmp_path, clock=clock, retention_days=days) as server:
        event = server.api.publish("step")
        for step in (40 * DAY_SECONDS, -40 * DAY_SECONDS):
            server.stop()
            clock.set_by(step)
            server.start()
        server.api.publish("step")
        assert server.api.call("GET", f"/v1/events/{event}").status == 200


# --- the machine's own clock ------------------------------------------------------------------------------------------


class Machine:
    """Two clocks of a machine, in nanoseconds."""

    def __init__(self) -> None:
        self.wall_ns, self.steady_ns = 1_700_000_000 * 10**9, 5 * 10**9
        self.clock = SystemClock(lambda: self.wall_ns, lambda: self.steady_ns)
        self.woken: list[int] = []
        self.clock.on_jump(lambda: self.woken.append(self.clock.now()))

    def pass_seconds(self, seconds: int) -> None:
        for _ in range(seconds):
            self.wall_ns += 10**9
            self.steady_ns += 10**9
            self.clock.check()

    def set_by(self, seconds: float) -> None:
        self.wall_ns += round(seconds * 10**9)


def test_a_jump_that_is_taken_back_never_happened() -> None:
    machine = Machine()
    start = machine.clock.now()
    for step in STEPS:
        machine.set_by(step)
        machine.pass_seconds(5)
        machine.set_by(-step)
        machine.pass_seconds(5)
    assert machine.clock.now() - start == 20 * SECOND and machine.clock.stepped == 0 and machine.woken == []


@pytest.mark.parametrize("step", [*STEPS, 3600.5, -90])
def test_a_lasting_jump_is_followed_and_logged(step: float) -> None:
    machine = Machine()
    start = machine.clock.now()
    machine.set_by(step)
    machine.pass_seconds(60)
    assert machine.clock.now() == start + round((60 + step) * SECOND)
    assert machine.clock.stepped == round(step * SECOND) and len(machine.woken) == 1


def test_small_corrections_are_followed_at_once_and_change_nothing() -> None:
    machine = Machine()
    start = machine.clock.now()
    machine.set_by(-0.4)
    machine.pass_seconds(1)
    assert machine.clock.now() == start + 600_000 and machine.clock.stepped == 0


def test_time_passes_while_the_machine_sleeps() -> None:
    machine = Machine()
    start = machine.clock.now()
    machine.wall_ns += 8 * 3600 * 10**9
    machine.steady_ns += 8 * 3600 * 10**9
    machine.clock.check()
    assert machine.clock.now() == start + 8 * HOUR and machine.clock.stepped == 0


@pytest.mark.slow
def test_a_server_on_the_machines_clock_is_not_moved_by_a_jump_that_is_taken_back(tmp_path: Path) -> None:
    """Thirty days ahead for two seconds, then right: calls, retries and ids are as if nothing had been."""
    machine = Machine()
    clock = SystemClock(lambda: machine.wall_ns, lambda: machine.steady_ns)
    with Receiver() as receiver, TestServer(tmp_path, clock=clock) as server:
        server.api.register(receiver.url("/"), retry_delays_seconds=[0, 5])
        receiver.answer(503, 204)
        key = server.api.post(
            "/v1/keys", {"name": "k", "scopes": ["events:read"], "limits": [{"calls": 2, "seconds": 60}]}
        )
        machine.set_by(30 * DAY_SECONDS)
        clock.check()
        api = server.api.with_key(key["key"])
        assert [api.call("GET", "/v1/events").status for _ in range(3)] == [200, 200, 429]
        server.api.publish("step")
        until(lambda: server.api.get("/v1/deliveries")["data"][0]["attempts"] == 1, "its failure is written down")
        machine.set_by(-30 * DAY_SECONDS)
        clock.check()
        assert int(api.call("GET", "/v1/events").headers["retry-after"]) <= 60
        machine.pass_seconds(6)
        clock.check()
        receiver.wait_for(2)
