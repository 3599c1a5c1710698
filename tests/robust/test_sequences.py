"""Random sequences of everything that can happen to deliveries, against a small model (hypothesis, stateful).

At the end everything is healthy, resumed and late enough. Then each event must have ended at each endpoint that chose
it, nothing may wait forever, nobody may have got what was not for him, and ordered lines must have kept their order.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.robust.stalls import stalled
from tidings.testing import FakeClock, Reaction, Receiver, TestServer, until

TYPES = ("a.x", "b.y")
PATTERNS: dict[str, tuple[str, ...]] = {"all": ("*",), "a": ("a.*",), "b": ("b.*",)}
RETRIES = [0, 5, 60, 300]
ENDPOINTS_MAX = 4
ENDED = {"delivered", "dead", "cancelled"}
DRAIN_SECONDS = 40


class Known:
    """What the model knows of an endpoint."""

    def __init__(self, path: str, pattern: str, order: str) -> None:
        self.path, self.pattern, self.order = path, pattern, order
        self.deleted = False
        self.wanted: list[str] = []
        self.moved: set[str] = set()
        """Events that somebody cancelled or retried by hand: they have left their line."""

    def wants(self, kind: str) -> bool:
        return not self.deleted and any(each == "*" or kind.startswith(each[:2]) for each in PATTERNS[self.pattern])


class Sequences(RuleBasedStateMachine):
    """The server, its receiver, and the model."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tidings-sequences-"))
        self.starts = self.number = 0
        self.clock = FakeClock()
        self.receiver = Receiver().start()
        self.server = TestServer(self.folder / "0", clock=self.clock).start()
        self.known: dict[str, Known] = {}
        self.numbers: dict[str, tuple[str | None, int]] = {}
        self.crashes = 0

    @property
    def alive(self) -> list[str]:
        return [each for each, known in self.known.items() if not known.deleted]

    def pick(self, data: st.DataObject) -> str:
        return str(data.draw(st.sampled_from(self.alive), label="endpoint"))

    @precondition(lambda self: len(self.known) < ENDPOINTS_MAX)
    @rule(
        pattern=st.sampled_from(sorted(PATTERNS)),
        order=st.sampled_from(["none", "subject", "all"]),
        slots=st.sampled_from([1, 3, 64]),
        batch=st.booleans(),
    )
    def register(self, pattern: str, order: str, slots: int, batch: bool) -> None:
        path = f"/{len(self.known)}"
        options: dict[str, Any] = {"events": PATTERNS[pattern], "order": order, "max_in_flight": slots}
        if batch and order != "subject":
            options["batch"] = {"max_events": 5, "max_ms": 100}
        options |= {"retry_delays_seconds": RETRIES, "order_max_age_seconds": 86400}
        made = self.server.api.register(self.receiver.url(path), **options)[0]
        self.known[made] = Known(path, pattern, order)

    @precondition(lambda self: self.alive)
    @rule(kind=st.sampled_from(TYPES), subject=st.sampled_from([None, "s", "t"]), count=st.sampled_from([1, 3, 20]))
    def publish(self, kind: str, subject: str | None, count: int) -> None:
        events: list[dict[str, Any]] = []
        for _ in range(count):
            self.number += 1
            events.append({"type": kind, "data": {"n": self.number}, **({"subject": subject} if subject else {})})
        for made, event in zip(
            self.server.api.post("/v1/events:batch", {"events": events})["events"], events, strict=True
        ):
            self.numbers[made["id"]] = (subject, event["data"]["n"])
            for known in self.known.values():
                if known.wants(kind):
                    known.wanted.append(made["id"])

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), how=st.sampled_from(["fine", "error", "gone", "slow", "held", "now and then"]))
    def behave(self, data: st.DataObject, how: str) -> None:
        reactions: dict[str, list[Reaction | int]] = {
            "fine": [204],
            "error": [500],
            "gone": [410],
            "slow": [Reaction(delay_seconds=0.02)],
            "held": [Reaction(waits=True)],
            "now and then": [204, 500, 204, 204, 503, 204, 500, 500, 204],
        }
        self.receiver.answer(*reactions[how], path=self.known[self.pick(data)].path)

    @rule()
    def release(self) -> None:
        self.receiver.release()

    @rule(up=st.booleans())
    def plug(self, up: bool) -> None:
        if up:
            self.receiver.up()
        else:
            self.receiver.down()

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), how=st.sampled_from(["pause", "resume"]))
    def switch(self, data: st.DataObject, how: str) -> None:
        assert self.server.api.call("POST", f"/v1/endpoints/{self.pick(data)}:{how}").status in (200, 409)

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def resume_without(self, data: st.DataObject) -> None:
        endpoint = self.pick(data)
        self.receiver.release()
        waiting = self.waiting(endpoint)
        reply = self.server.api.call("POST", f"/v1/endpoints/{endpoint}:resume", {"missed": "cancel"})
        assert reply.status in (200, 409)
        self.known[endpoint].moved.update(each["event_id"] for each in waiting)

    @precondition(lambda self: self.alive)
    @rule(
        data=st.data(),
        change=st.sampled_from(
            [{"max_in_flight": 2}, {"rate": 50}, {"rate": None}, {"order": "none"}, {"order": "subject", "batch": None}]
        ),
    )
    def edit(self, data: st.DataObject, change: dict[str, Any]) -> None:
        endpoint = self.pick(data)
        self.server.api.patch(f"/v1/endpoints/{endpoint}", change)
        if change.get("order", self.known[endpoint].order) != self.known[endpoint].order:
            # What was published before the change has no order that could be checked.
            self.known[endpoint].order = change["order"]
            self.known[endpoint].moved.update(self.known[endpoint].wanted)

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), pattern=st.sampled_from(sorted(PATTERNS)))
    def choose(self, data: st.DataObject, pattern: str) -> None:
        endpoint = self.pick(data)
        self.server.api.patch(f"/v1/endpoints/{endpoint}", {"events": PATTERNS[pattern]})
        self.known[endpoint].pattern = pattern

    @precondition(lambda self: len(self.alive) > 1)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        endpoint = self.pick(data)
        self.server.api.delete(f"/v1/endpoints/{endpoint}")
        self.known[endpoint].deleted = True

    @precondition(lambda self: self.numbers)
    @rule(data=st.data(), how=st.sampled_from(["cancel", "retry"]))
    def by_hand(self, data: st.DataObject, how: str) -> None:
        found = self.server.api.get("/v1/deliveries", limit=100)["data"]
        if found:
            delivery = data.draw(st.sampled_from(found), label="delivery")
            reply = self.server.api.call("POST", f"/v1/deliveries/{delivery['id']}:{how}")
            assert reply.status in (200, 202, 409), reply
            self.known[delivery["endpoint_id"]].moved.add(delivery["event_id"])

    @rule(seconds=st.sampled_from([0.2, 6, 61, 400]))
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def restart(self) -> None:
        with self.nothing_held():
            self.server.stop()
        self.server.start()

    @rule()
    def crash(self) -> None:
        """Go on with what is on disk at this moment, as after a kill."""
        self.starts += 1
        self.crashes += 1
        folder = self.folder / str(self.starts)
        before = self.server
        assert before.folder is not None
        # Nothing is written while it is copied; a kill would find it so.
        with stalled(before):
            shutil.copytree(before.folder, folder, ignore=shutil.ignore_patterns("lock", "*-shm"))
        with self.nothing_held():
            before.stop()
        self.server = TestServer(folder, clock=self.clock).start()

    @contextlib.contextmanager
    def nothing_held(self) -> Iterator[None]:
        """Let every request be answered, so that a stop ends none of them."""
        stopped = threading.Event()

        def release() -> None:
            while not stopped.wait(0.01):
                self.receiver.release()

        thread = threading.Thread(target=release)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()

    def waiting(self, endpoint: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.server.api.pages(
            "/v1/deliveries", endpoint=endpoint, state="waiting", limit=1000
        )
        return found

    def teardown(self) -> None:
        if not hasattr(self, "server"):
            return
        try:
            self.drain()
            self.judge()
        finally:
            self.receiver.release()
            with contextlib.suppress(Exception):
                self.server.stop()
            self.receiver.stop()
            shutil.rmtree(self.folder, ignore_errors=True)

    def drain(self) -> None:
        """Everything is healthy, resumed, and late enough."""
        self.receiver.up()
        self.receiver.answer(204)
        for known in self.known.values():
            self.receiver.answer(204, path=known.path)
        self.receiver.release()

        def look() -> bool:
            for endpoint in self.alive:
                # Also one that a late 410 has disabled.
                if self.server.api.get(f"/v1/endpoints/{endpoint}")["state"] != "enabled":
                    self.server.api.post(f"/v1/endpoints/{endpoint}:resume")
            self.clock.advance(61)
            return not self.server.api.get("/v1/deliveries", state="waiting")["data"]

        until(look, "nothing waits any more", DRAIN_SECONDS)

    def judge(self) -> None:
        """What must hold in the end."""
        for endpoint, known in self.known.items():
            deliveries = self.server.api.pages("/v1/deliveries", endpoint=endpoint, limit=1000)
            made = [each["event_id"] for each in deliveries if each["event_type"] in TYPES]
            assert sorted(made) == sorted(known.wanted), "each event is routed once to each endpoint that chose it"
            arrived = self.arrived(known.path)
            for delivery in deliveries:
                self.judge_one(delivery, known, len(arrived.get(delivery["event_id"], [])))
            assert set(arrived) <= set(known.wanted), "nobody gets what he did not choose"
            self.judge_order(known, arrived)

    def judge_one(self, delivery: dict[str, Any], known: Known, arrivals: int) -> None:
        assert delivery["state"] in ENDED, delivery
        tries = delivery["attempts"]
        if delivery["state"] == "delivered":
            assert arrivals >= 1, f"{delivery} says delivered, and never came"
        elif delivery["state"] == "dead":
            assert delivery["last"]["outcome"] not in ("ok", "cancelled") and tries >= len(RETRIES), delivery
        else:
            assert known.deleted or delivery["event_id"] in known.moved, f"{delivery}: nobody cancelled it"
        # Only a crash makes repeats beyond the attempts that are written down.
        assert arrivals <= tries + self.crashes, (delivery, arrivals)

    def arrived(self, path: str) -> dict[str, list[int]]:
        """By event, the places at which it arrived, in the order of all arrivals."""
        found: dict[str, list[int]] = defaultdict(list)
        place = 0
        for each in self.receiver.requests(path):
            events = each.json["data"] if each.json["type"] == "batch" else [each.json]
            for event in events:
                found[event["id"]].append(place)
                place += 1
        return found

    def judge_order(self, known: Known, arrived: dict[str, list[int]]) -> None:
        lines: dict[str | None, list[tuple[int, int]]] = defaultdict(list)
        for event, places in arrived.items():
            subject, number = self.numbers[event]
            if event in known.moved or known.order == "none" or (known.order == "subject" and subject is None):
                continue
            lines["" if known.order == "all" else subject].append((places[0], number))
        for subject, came in lines.items():
            in_time = [number for _, number in sorted(came)]
            assert in_time == sorted(in_time), f"{known.path}, {known.order}, {subject}: {in_time}"


def run(examples: int, steps: int) -> None:
    """Play this many sequences."""
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    chosen = settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=checks)
    run_state_machine_as_test(Sequences, settings=chosen)


@pytest.mark.slow
def test_a_few_sequences() -> None:
    run(3, 15)


@pytest.mark.thorough
@pytest.mark.slow
def test_many_sequences() -> None:
    run(16, 40)
