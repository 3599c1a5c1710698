"""SIGTERM with everything under way at once: it ends within 10 s, and what was in flight is kept."""

from __future__ import annotations

import http.client
import socket
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.callers import Callers
from tests.delivery.world import World
from tidings.net.http import HttpClient
from tidings.testing import Api, ProcessServer, Reaction, Receiver, until
from tidings.testing.api import OPERATOR_KEY

STOP_SECONDS_MAX = 10.0


@pytest.mark.slow
def test_a_stop_under_load(tmp_path: Path, database: str | None) -> None:
    with Receiver() as receiver, ProcessServer(tmp_path, database=database) as server:
        receiver.answer(Reaction(delay_seconds=0.3), path="/slow")
        receiver.answer(Reaction(silent=True), path="/silent")
        fine, _ = server.api.register(receiver.url("/fine"), events=["step"])
        server.api.register(receiver.url("/slow"), events=["step", "slow"])
        server.api.register(receiver.url("/silent"), events=["step"])
        acknowledged: list[str] = []
        statuses: Counter[int] = Counter()

        def publish(caller: int) -> None:
            for n in range(100_000):
                reply = server.api.call("POST", "/v1/events", {"type": "step", "data": {"caller": caller, "n": n}})
                statuses[reply.status] += 1
                if reply.status == 202:
                    acknowledged.append(reply.json["id"])

        callers = Callers(6, publish)
        until(lambda: len(receiver.requests("/fine")) > 100, "work goes on", 30)
        receiver.wait_for(1, path="/silent")
        # A stream, an idle connection, and requests that are never finished.
        stream = http.client.HTTPConnection("127.0.0.1", server.port)
        stream.request("GET", "/v1/events/stream", headers={"Authorization": f"Bearer {OPERATOR_KEY}"})
        idle = socket.create_connection(("127.0.0.1", server.port))
        half = socket.create_connection(("127.0.0.1", server.port))
        half.sendall(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        began = time.monotonic()
        assert server.stop() == 0
        took = time.monotonic() - began
        callers.join()
        for connection in (stream, idle, half):
            connection.close()
        assert took < STOP_SECONDS_MAX, f"it took {took:.1f} s:\n{server.log[-2000:]}"
        assert "Traceback" not in server.log, server.log[-3000:]
        assert set(statuses) <= {202, 503}
        receiver.answer(204, path="/slow")
        receiver.answer(204, path="/silent")
        server.start()
        for path in ("/fine", "/slow", "/silent"):
            until(
                lambda: {each.id for each in receiver.requests(path)} >= set(acknowledged),
                f"everything arrives at {path}",
                60,
            )
        # What was answered before the end was settled: only the silent one is asked again.
        for path in ("/fine", "/slow"):
            counts = Counter(each.id for each in receiver.requests(path))
            assert [each for each, count in counts.items() if count > 1] == []
        assert len({each.id for each in receiver.requests("/fine")}) == len(stored(server.api, fine))


def stored(api: Api, endpoint: str) -> set[str]:
    """The events that an endpoint got, as stored."""
    return {each["event_id"] for each in api.pages("/v1/deliveries", endpoint=endpoint, limit=1000)}


@pytest.mark.slow
def test_a_stop_while_everything_waits_for_an_endpoint_that_never_answers(tmp_path: Path) -> None:
    with Receiver() as receiver, ProcessServer(tmp_path) as server:
        receiver.answer(Reaction(silent=True))
        server.api.register(receiver.url(), timeout_seconds=30)
        event = server.api.publish("step")
        receiver.wait_for(1)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < STOP_SECONDS_MAX
        assert "stopping: finishing what is in flight" in server.log and server.log.endswith(": stopped\n")
        receiver.answer(204)
        server.start()
        assert receiver.wait_for(2)[1].id == event


def test_a_stop_that_waits_for_an_answer_leaves_the_processor_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    look = HttpClient.poll

    def counted(client: HttpClient, seconds: float) -> None:
        nonlocal looks
        looks += 1
        look(client, seconds)

    for path, delay in (("/soon", 0.1), ("/later", 0.5)):
        world.receiver.answer(Reaction(delay_seconds=delay), path=path)
        world.register(path)
    world.api.publish("step")
    world.receiver.wait_for(2)
    monkeypatch.setattr(HttpClient, "poll", counted)
    world.server.stop()
    assert looks < 100, "the first result is stored while the other is awaited"
