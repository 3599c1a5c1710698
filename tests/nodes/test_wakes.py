"""What joined nodes hear of one another: soon by a notification, within a quarter of a second without one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.nodes.peers import neighbour
from tests.postgres_server import PostgresServer
from tidings.store import journal
from tidings.store.engines.postgres import PostgresDb
from tidings.store.joined import wakes
from tidings.store.joined.wakes import LOOK_SECONDS, Wakes
from tidings.testing import Receiver, until


class Node:
    """What one node has heard."""

    def __init__(self, url: str) -> None:
        self.events: list[int] = []
        self.versions: list[int] = []
        self.wants = True
        self.wakes = Wakes(url, self.events.append, self.versions.append, lambda: self.wants)


@pytest.fixture
def url(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.database(migrated=True) as url:
        with closing(PostgresDb(url)) as db:
            journal.begin(db)
        yield url


@contextmanager
def nodes(url: str, count: int) -> Iterator[list[Node]]:
    with ExitStack() as stack:
        made = []
        for _ in range(count):
            node = Node(url)
            node.wakes.start()
            stack.callback(node.wakes.stop)
            made.append(node)
        for node in made:
            until(lambda: node.events, "it has looked")
        yield made


def move(url: str, name: str, count: int = 1) -> int:
    with psycopg.connect(url, autocommit=True) as db:
        sql = "UPDATE cursor SET position = position + %s WHERE journal = 0 AND name = %s RETURNING position"
        row = db.execute(sql, [count, name]).fetchone()
        assert row is not None
        return int(row[0])


def test_what_one_node_commits_the_others_hear_once_and_without_an_echo(url: str) -> None:
    with nodes(url, 3) as (a, b, c):
        for told in range(1, 21):
            move(url, "event")
            a.wakes.committed(is_catalog=True)
            until(lambda: b.wakes.heard == c.wakes.heard == told, "they have heard")
        version = move(url, "catalog", 3)
        a.wakes.committed(is_catalog=True)
        until(lambda: b.wakes.heard == c.wakes.heard == 21, "of the catalogue, too")
        assert b.versions[-1] == c.versions[-1] == version
        # Others may hear before the one who tells has counted it.
        until(lambda: a.wakes.told == 21 and a.versions[-1] == version, "it knows what it has told")
        assert b.events == sorted(set(b.events)), "each position once, in order"
        for node in (b, c):
            # They commit nothing new: what they have heard they do not pass on.
            node.wakes.committed(is_catalog=True)
            until(lambda: not node.wakes._has_news, "it has seen that there is nothing to tell")
        assert b.wakes.told == c.wakes.told == 0 and a.wakes.told == 21


def test_only_who_wants_to_hears_of_events_and_everyone_hears_of_the_catalogue(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakes, "LISTEN_SECONDS", 0.0)
    with nodes(url, 2) as (a, b):
        b.wants = False
        until(lambda: not b.wakes._listens_until, "it has stopped to listen")
        # Otherwise a look would find it.
        monkeypatch.setattr(wakes, "LOOK_SECONDS", 3600.0)
        until(lambda: b.wakes._look_at > time.monotonic() + 60, "it looks no more")
        position, version = move(url, "event"), move(url, "catalog")
        a.wakes.committed(is_catalog=True)
        until(lambda: b.versions[-1:] == [version], "it has heard of the catalogue")
        assert b.wakes.heard == 1 and b.events[-1:] != [position]
        b.wants = True
        b.wakes.wanted()
        until(lambda: b.events[-1] == position, "it has looked when it began to listen")
        position = move(url, "event")
        a.wakes.committed(is_catalog=True)
        until(lambda: b.events[-1] == position, "it has heard")
        assert b.wakes.heard == 2


def test_while_events_flow_a_node_tells_seldom_and_who_wants_them_looks_by_itself(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nodes(url, 2) as (a, b):
        # Otherwise a look finds what nobody has told.
        monkeypatch.setattr(wakes, "LOOK_SECONDS", 3600.0)
        # However slow the machine is.
        monkeypatch.setattr(wakes, "FLOW_LEAST", 1)
        until(lambda: b.wakes._look_at > time.monotonic() + 60, "it looks only if it was told to")

        def commit() -> int:
            position = move(url, "event")
            a.wakes.committed(is_catalog=False)
            return position

        until(lambda: commit() and a.wakes._flows and b.wakes._soon_until > time.monotonic(), "it has said so")
        heard = b.wakes.heard
        for _ in range(20):
            position = commit()
            until(lambda at=position: b.events[-1] == at, "it has looked")  # type: ignore[misc]
        assert b.wakes.heard - heard < 20
        told, version = a.wakes.told, move(url, "catalog")
        a.wakes.committed(is_catalog=True)
        until(lambda: b.versions[-1:] == [version], "a change of the catalogue is told at once")
        # Others may hear before the one who tells has counted it.
        until(lambda: told < a.wakes.told, "it was told, not found")


def test_a_node_that_stops_may_still_commit(url: str) -> None:
    with nodes(url, 1) as [node]:
        node.wakes.stop()
        node.wakes.committed(is_catalog=True)


def test_a_notification_that_is_lost_is_made_up_for_by_a_look(url: str) -> None:
    with nodes(url, 2) as (a, b):
        b.wakes._hear = lambda text, sender: None  # type: ignore[method-assign]
        position = move(url, "event")
        a.wakes.committed(is_catalog=True)
        until(lambda: b.events[-1] == position, "it has looked")
        began, position = time.monotonic(), move(url, "catalog")
        until(lambda: b.versions[-1:] == [position], "it has looked at the catalogue")
        assert time.monotonic() - began < LOOK_SECONDS * 8, "even on a busy machine"


def test_a_connection_that_breaks_is_opened_again_and_what_was_missed_is_found(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with nodes(url, 2) as (a, b):
        with psycopg.connect(url, autocommit=True) as db:
            ended = db.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%name IN (%'"
            ).fetchone()
        assert ended == (2,)
        position = move(url, "event")
        until(lambda: a.events[-1] == b.events[-1] == position, "both have looked again")
        until(lambda: not a.wakes._wrong and not b.wakes._wrong, "both say that they are back")
        said = [record.message for record in caplog.records]
        assert sum("cannot be followed" in text for text in said) == 2
        position = move(url, "event")
        a.wakes.committed(is_catalog=True)
        until(lambda: b.events[-1] == position, "it hears again")


def test_what_others_notify_on_the_channel_is_not_believed(url: str) -> None:
    with nodes(url, 2) as (a, b):
        with psycopg.connect(url, autocommit=True) as db:
            for text in ("other event 99999", "public event x", "public other 5", "", "public event -7", "é"):
                db.execute("SELECT pg_notify('tidings_event', %s)", [text])
        position = move(url, "event")
        a.wakes.committed(is_catalog=True)
        until(lambda: b.events[-1] == position, "it still hears")
        assert max(b.events) == position


def test_who_waits_at_one_node_gets_what_another_takes_in_and_the_sender_sends_it(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Otherwise a look finds what was not notified.
    monkeypatch.setattr(wakes, "LOOK_SECONDS", 3600.0)
    with neighbour(url, tmp_path / "a") as a, neighbour(url, tmp_path / "b") as b, Receiver() as receiver:
        a.api.post("/v1/endpoints", {"url": receiver.url(), "events": ["step"]})
        for here, there in ((a, b), (b, a)) * 5:
            cursor = there.api.get("/v1/events", after="end")["next_cursor"]
            with ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(there.api.get, "/v1/events", after=cursor, wait=30)
                ident = here.api.publish("step")
                began = time.monotonic()
                assert [each["id"] for each in waiting.result()["data"]] == [ident]
            assert time.monotonic() - began < 10, "long before its time was over"
            until(lambda: ident in {each.id for each in receiver.requests()}, "it was sent by the one that sends")
        assert len(receiver.requests()) == 10
