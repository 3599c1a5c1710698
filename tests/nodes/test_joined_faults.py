"""Bad days of joined nodes: one is frozen or has no network, the primary is gone, or a start is wrong."""

from __future__ import annotations

import base64
import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.nodes.joined import EVENT, KEY, Node, is_soon, joined, published, roles, sender, split
from tests.nodes.relay import Relay
from tests.postgres_pair import PostgresPair
from tidings.nodes.joined import Joined
from tidings.store.base import StoreBusy, StoreError, Taken
from tidings.store.beats.waiting import Standby
from tidings.store.engines import nodes
from tidings.store.engines.postgres import PostgresEngine
from tidings.testing import Receiver, TestServer, until

pytestmark = [pytest.mark.slow, pytest.mark.postgres]


@pytest.fixture(scope="module")
def pair() -> Iterator[PostgresPair]:
    with PostgresPair() as servers:
        yield servers


def _freeze(node: Node) -> None:
    assert node.process is not None
    node.process.send_signal(signal.SIGSTOP)


def _takes(node: Node) -> bool:
    return node.api.call("POST", "/v1/events", EVENT).status == 202


def _wake(node: Node) -> None:
    assert node.process is not None
    node.process.send_signal(signal.SIGCONT)


def test_a_frozen_sender_is_replaced_and_sends_nothing_when_it_wakes(tmp_path: Path, migrated_url: str) -> None:
    with joined(tmp_path, migrated_url, 2) as made, Receiver() as receiver:
        first, (other,) = split(migrated_url, made)
        first.api.post("/v1/endpoints", {"url": receiver.url(), "events": ["step"], "rate": 6})
        sent = published(first.api, 100)
        until(lambda: len(receiver.requests()) > 5, "some have arrived")
        _freeze(first)
        took = is_soon(lambda: sender(migrated_url) == other.url, "the other one sends", 20)
        assert took < 13 and "was not heard from for 10 s: its session was ended" in other.log
        until(lambda: {each.id for each in receiver.requests()} == set(sent), "all have arrived", 40)
        before, logged = len(receiver.requests()), len(first.log)
        _wake(first)
        until(lambda: "it takes in from now on" in first.log and first.status() == 200, "it has joined again")
        said = [line for line in first.log[logged:].splitlines() if " WARNING " in line or " ERROR " in line]
        # What it was writing when it was frozen has failed, and its next beat may have, which are other things.
        others = ("changes could not be written", "the database does not confirm")
        told = [line for line in said if not any(each in line for each in others)]
        assert len(told) == 1 and "was replaced as the sender" in told[0], "one sentence is enough"
        until(lambda: roles(migrated_url) == ["sends", "takes in"], "both are listed")
        assert sender(migrated_url) == other.url
        # At six a second, it was writing at most one request when it was frozen, and that one continues.
        assert len(receiver.requests()) <= before + 1, "it has sent nothing of what it had in memory"
        event = first.api.publish("step")
        until(lambda: event in {each.id for each in receiver.requests()}, "it takes in")


@pytest.mark.thorough
def test_a_frozen_node_that_takes_in_stops_nobody(tmp_path: Path, migrated_url: str) -> None:
    with joined(tmp_path, migrated_url, 3) as made:
        first, (frozen, other) = split(migrated_url, made)
        stop = threading.Event()

        def load() -> None:
            while not stop.wait(0.01):
                with contextlib.suppress(OSError):
                    frozen.api.call("POST", "/v1/events", EVENT)

        threads = [threading.Thread(target=load, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        published(first.api, 20)
        _freeze(frozen)
        longest = 0.0
        began = nodes.uptime()
        while "its session was ended" not in first.log + other.log:
            assert nodes.uptime() - began < 20
            for node in (first, other):
                before = time.monotonic()
                node.api.publish("step")
                longest = max(longest, time.monotonic() - before)
            stop.wait(0.02)
        stop.set()
        assert longest < 2.5
        assert roles(migrated_url) == ["sends", "takes in"]
        _wake(frozen)
        until(lambda: _takes(frozen), "it takes in again")
        assert frozen.status() == 200 and sender(migrated_url) == first.url


def test_a_node_that_only_its_callers_reach_refuses_and_stops_sending(tmp_path: Path, migrated_url: str) -> None:
    with Relay(migrated_url) as relay, Receiver() as receiver, Node(tmp_path / "alone", relay.url) as cut:
        cut.start()
        cut.api.post("/v1/endpoints", {"url": receiver.url(), "events": ["step"], "rate": 6})
        with joined(tmp_path, migrated_url, 1) as [other]:
            assert sender(migrated_url) == cut.url
            sent = published(cut.api, 150)
            until(lambda: len(receiver.requests()) > 5, "some have arrived")
            relay.cut()
            until(lambda: cut.status() == 503, "it is not ready", 10)
            assert cut.status("/healthz") == 200
            refused = cut.api.call("POST", "/v1/events", EVENT)
            assert refused.status == 503 and "cannot be reached" in refused.json["detail"]
            until(lambda: sender(migrated_url) == other.url, "the other one sends", 10)
            until(lambda: {each.id for each in receiver.requests()} == set(sent), "all have arrived", 60)
            doubled = len(receiver.requests()) - len(sent)
            assert doubled < 6 * 10, "it stopped sending within 10 s"
            relay.restore()
            until(lambda: cut.status() == 200, "it is back")
            until(lambda: roles(migrated_url) == ["sends", "takes in"], "it takes in")
            assert len(receiver.requests()) == len(sent) + doubled
        cut.kill()


def test_joined_nodes_follow_a_failover_and_lose_nothing(tmp_path: Path, pair: PostgresPair) -> None:
    url = pair.database()
    with joined(tmp_path, url, 2) as made, Receiver() as receiver:
        first, (other,) = split(url, made)
        first.api.post("/v1/endpoints", {"url": receiver.url(), "events": ["step"]})
        sent = published(first.api, 30) + published(other.api, 30)
        pair.kill_primary()
        pair.promote()
        for node in made:
            until(partial(_takes, node), "it goes on by itself")
        sent += published(first.api, 5) + published(other.api, 5)
        until(lambda: {each.id for each in receiver.requests()} >= set(sent), "all have arrived")
        until(lambda: roles(url) == ["sends", "takes in"], "one sends")
        assert all(first.api.call("GET", f"/v1/events/{event}").status == 200 for event in sent)
        pair.rejoin()


@pytest.mark.thorough
def test_no_joined_node_is_ended_while_commits_hang(tmp_path: Path, pair: PostgresPair) -> None:
    url = pair.database()
    with joined(tmp_path, url, 2) as made:
        first, (other,) = split(url, made)
        pair.hold_replica()
        try:
            began = nodes.uptime()
            until(lambda: nodes.uptime() > began + nodes.FROZEN_SECONDS + 4, "longer than a frozen node may live", 30)
        finally:
            pair.free_replica()
        for node in made:
            until(partial(_takes, node), "commits go on")
        began = nodes.uptime()
        until(lambda: nodes.uptime() > began + 3, "some more beats")
        assert "its session was ended" not in first.log + other.log
        assert sender(url) == first.url


@pytest.mark.thorough
def test_a_server_that_stands_by_works_once_all_joined_ones_are_gone(tmp_path: Path, migrated_url: str) -> None:
    with Node(tmp_path / "waits", migrated_url, join=False, standby=True) as waits:
        with joined(tmp_path, migrated_url, 2) as made:
            waits.launch()
            until(lambda: roles(migrated_url) == ["sends", "stands by", "takes in"], "it stands by")
            split(migrated_url, made)[0].kill()
            until(lambda: roles(migrated_url) == ["sends", "stands by"], "a joined one follows", 20)
            until(lambda: waits.status() == 503, "it still stands by")
        until(lambda: waits.status() == 200, "it works")
        assert roles(migrated_url) == ["works"]
        waits.kill()


def test_a_server_that_stands_by_leaves_a_joined_one_the_pen_while_it_starts_again_as_the_sender(
    tmp_path: Path, migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, may_open, close = threading.Event(), threading.Event(), Joined.close

    def between(node: Joined) -> None:
        close(node)
        if node._turn is not None:
            closed.set()
            assert may_open.wait(30)

    monkeypatch.setattr(Joined, "close", between)
    monkeypatch.setattr(nodes, "TURN_SECONDS", 60)
    shared: dict[str, Any] = {"database": migrated_url, "join": True, "secret_key": KEY}
    watch = Standby(PostgresEngine(migrated_url).builder, nodes.Own(id="n0", version="test"))
    with TestServer(tmp_path / "first", **shared) as first, TestServer(tmp_path / "second", **shared) as second:
        first.stop()
        try:
            assert closed.wait(20)
            until(lambda: roles(migrated_url) == [], "PostgreSQL has noticed that it has let go of the pen")
            assert not any(watch.look() for _ in range(3))
        finally:
            may_open.set()
        until(lambda: sender(migrated_url) == second.url, "it sends")
        assert not watch.look()
    until(watch.look, "all are gone")
    watch.close()


def test_wrong_starts_next_to_joined_nodes_are_refused(
    tmp_path: Path, migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(name: str, **settings: Any) -> TestServer:
        return TestServer(
            tmp_path / name, **{"database": migrated_url, "join": True, "secret_key": KEY, **settings}
        ).start()

    first = start("first")
    try:
        with pytest.raises(Taken, match="start this one with --join too"):
            start("alone", join=False)
        url = f"{migrated_url}&application_name=tidings@other:1"
        with pytest.raises(StoreError, match="set node_url to where the other servers reach this one"):
            start("address", database=url, node_url=first.url)
        another = base64.b64encode(b"x" * 32).decode()
        with pytest.raises(StoreError, match="is not the key of this database"):
            start("key", secret_key=another)
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() - 3_600)
        with pytest.raises(StoreBusy, match="this machine's clock is 60 minutes behind the database's"):
            start("clock")
    finally:
        first.stop()
