"""kill -9 of a real server: what was answered with 202 arrives, repeats are only what was in flight."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.examples import examples
from tests.kills import killed_in_the_middle
from tidings.testing import Api, ProcessServer, Reaction, Receiver, until

IN_FLIGHT_MAX = 16
CALLERS = 8


@pytest.mark.slow
def test_nothing_acknowledged_is_lost(tmp_path: Path, database: str | None) -> None:
    with Receiver() as receiver, ProcessServer(tmp_path, database=database) as server:
        receiver.answer(Reaction(delay_seconds=0.01))
        server.api.register(receiver.url(), max_in_flight=IN_FLIGHT_MAX)
        acknowledged: list[str] = []

        def publish(caller: int) -> None:
            for n in range(100_000):
                acknowledged.append(server.api.publish("step", {"caller": caller, "n": n}))

        kills = examples(10)
        for round_number in range(kills):
            # Each time at another point of the work.
            most = len(receiver.requests()) + 50 + 37 * round_number
            with killed_in_the_middle(server, CALLERS, publish):
                until(lambda: len(receiver.requests()) > most, "work goes on", 30)
        until(lambda: {each.id for each in receiver.requests()} >= set(acknowledged), "everything arrives", 60)
        counts = Counter(each.id for each in receiver.requests())
    repeats = sum(counts.values()) - len(counts)
    assert repeats <= kills * 2 * IN_FLIGHT_MAX
    assert len(acknowledged) > 100


def test_deliveries_waiting_for_a_retry_survive(tmp_path: Path) -> None:
    with Receiver() as receiver, ProcessServer(tmp_path, movable_clock=True) as server:
        receiver.answer(500)
        endpoint, _ = server.api.register(receiver.url())
        event = server.api.publish("step")
        until(lambda: _attempts(server.api, endpoint), "the first attempt is written down")
        server.kill()
        receiver.answer(204)
        server.start()
        server.advance(10)
        assert receiver.wait_for(2)[1].id == event


@pytest.mark.slow
def test_a_stop_lets_requests_in_flight_finish(tmp_path: Path) -> None:
    with Receiver() as receiver, ProcessServer(tmp_path) as server:
        receiver.answer(Reaction(delay_seconds=0.5))
        endpoint, _ = server.api.register(receiver.url())
        server.api.publish("step")
        receiver.wait_for(1)
        assert server.stop() == 0
        server.start()
        until(lambda: server.api.get("/v1/deliveries", endpoint=endpoint, state="delivered")["data"], "it is delivered")
        assert len(receiver.requests()) == 1


def _attempts(api: Api, endpoint: str) -> list[object]:
    [delivery] = api.get("/v1/deliveries", endpoint=endpoint)["data"] or [None]
    return [] if delivery is None else list(api.get(f"/v1/deliveries/{delivery['id']}")["attempts"])
