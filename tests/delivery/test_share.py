"""Endpoints of one tenant that never answer hold that tenant's share, and no other tenant's events wait for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.delivery.world import World
from tidings.deliver import lanes
from tidings.deliver.lane import shares
from tidings.testing import FakeClock, Reaction, Receiver, TestServer, until

ENDPOINTS = 12


@pytest.fixture(params=["near", "far"])
def tight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, database: str | None
) -> Iterator[World]:
    """A server with few places; "far" behind, it passes by what only joins a backlog."""
    monkeypatch.setattr(shares, "FLIGHTS_MAX", 40)
    monkeypatch.setattr(shares, "QUEUED_MAX", 400)
    if request.param == "far":
        monkeypatch.setattr(lanes, "HEAD_ROWS", 20)
        monkeypatch.setattr(lanes, "MANY_LANES", 1)
    clock = FakeClock()
    with Receiver() as receiver, TestServer(tmp_path / "tight", clock=clock, database=database) as server:
        yield World(server, clock, receiver)
        # Or the server would wait for all that is in flight.
        receiver.down()


def batch(world: World, tenant: str | None, count: int, kind: str = "step") -> list[str]:
    owner = {} if tenant is None else {"tenant": tenant}
    events = [{"type": kind, "data": {"n": n}, **owner} for n in range(count)]
    return [each["id"] for each in world.api.post("/v1/events:batch", {"events": events})["events"]]


@pytest.mark.slow
@pytest.mark.parametrize("tenant", ["busy", None])
def test_requests_that_never_return_leave_slots_for_others(tight: World, tenant: str | None) -> None:
    owner = {} if tenant is None else {"tenant": tenant}
    for number in range(ENDPOINTS):
        path = f"/never/{number}"
        tight.receiver.answer(Reaction(waits=True), path=path)
        tight.register(path, events=["step"], **owner)
    tight.register("/quiet", events=["step"], tenant="quiet")
    batch(tight, tenant, 200)
    assert tight.server.server is not None
    flights = tight.server.server.deliver._shares.flights
    # One lane may start a few more than its tenant's share at once.
    until(lambda: flights.held(tenant) >= 30, "the busy tenant has its share")
    for _ in range(3):
        sent = batch(tight, "quiet", 5)
        tight.receiver.wait_for(len(sent), path="/quiet")
        tight.receiver.clear()
    queued = tight.server.server.deliver._shares.queued
    assert queued.held(tenant) <= 300
    assert {view.name for view in tight.server.server.deliver.shares()} >= {"flights", "flight_bytes", "queued"}


@pytest.mark.slow
def test_deliveries_that_waited_for_their_tenants_share_arrive(tight: World) -> None:
    for number in range(ENDPOINTS):
        path = f"/later/{number}"
        tight.receiver.answer(*[Reaction(waits=True)] * 16, 204, path=path)
        tight.register(path, events=["step"], tenant="busy")
    sent = batch(tight, "busy", 60)
    assert tight.server.server is not None
    flights = tight.server.server.deliver._shares.flights
    until(lambda: flights.held("busy") >= 30, "the busy tenant has its share")

    def all_arrived() -> bool:
        tight.receiver.release()
        return all(
            {each.id for each in tight.receiver.requests(f"/later/{number}")} >= set(sent)
            for number in range(ENDPOINTS)
        )

    until(all_arrived, "everything has arrived", 20)
    until(lambda: flights.used == 0, "nothing is in flight")
    assert tight.server.server.deliver._shares.flight_bytes.used == 0
    until(lambda: tight.server.server is not None and tight.server.server.deliver._shares.queued.used == 0, "settled")
