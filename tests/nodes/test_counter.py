"""Joined nodes append to one journal: numbers become visible in order, and nobody holds the counter for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from queue import Queue
from typing import Any

import psycopg
import pytest

from tests.nodes.cut import Cut
from tests.postgres_server import PostgresServer
from tests.route.test_route import endpoint
from tests.store.conftest import HandClock
from tests.store.test_positions import publication
from tidings.model.errors import Conflict
from tidings.model.event import Event
from tidings.route.route import Router
from tidings.store import journal
from tidings.store.base import LOCK_SECONDS, Db
from tidings.store.catalog import Catalog
from tidings.store.engines import gaps
from tidings.store.engines.opening import open_engine
from tidings.store.engines.postgres import PostgresDb
from tidings.store.jobs import Whole
from tidings.store.journal import Gap
from tidings.store.log import events, numbering
from tidings.store.log.events import IdsTaken, WithEvents
from tidings.store.seal import Sealer
from tidings.store.writer import Writer
from tidings.testing import until


class Node:
    """The writer of a joined node; of the one that sends, with the route stage."""

    def __init__(self, url: str, folder: Path) -> None:
        self.engine = open_engine(url, folder, joined=True)
        self.clock = HandClock()
        self.catalog = Catalog(Sealer(b"k" * 32))
        self.writer = Writer(self.engine, self.clock)
        self.writer.keep_up(self.catalog)
        self.router = Router(self.catalog, self.clock) if self.engine.sends else None
        self.writer.start(None if self.router is None else self.router.step)
        self.writer.wait(self.catalog.load)

    def publish(self, *idents: str, ids_given: bool = False) -> Any:
        """Store some events."""
        return self.writer.wait(publication(*idents, ids_given=ids_given))  # type: ignore[arg-type]

    def hold(self) -> threading.Event:
        """Let jobs gather, so that they are one group, until it is set."""
        ready, waits = threading.Event(), threading.Event()

        def wait(db: Db) -> None:
            waits.set()
            ready.wait(10)

        self.writer.submit(wait, lambda result, wrong: None)
        waits.wait(10)
        return ready

    def close(self) -> None:
        self.writer.close()
        self.engine.close()


@pytest.fixture
def join(migrated_url: str, tmp_path: Path) -> Iterator[Callable[[], Node]]:
    with ExitStack() as stack:

        def joined() -> Node:
            node = Node(migrated_url, tmp_path)
            stack.callback(node.close)
            return node

        yield joined


def rows(url: str, sql: str) -> list[Any]:
    with psycopg.connect(url, autocommit=True) as db:
        return db.execute(sql.encode()).fetchall()


def stored(url: str) -> list[tuple[int, str]]:
    return rows(url, "SELECT seq, id FROM event ORDER BY seq")


def waits_for_more(url: str, node: Node) -> bool:
    """Whether the session of a node's writer waits for the next message, or the rest of one."""
    sql = f"SELECT wait_event FROM pg_stat_activity WHERE pid = {node.writer.session}"
    return rows(url, sql) == [("ClientRead",)]


def routed(url: str) -> list[int]:
    return [row[0] for row in rows(url, "SELECT event FROM delivery ORDER BY number")]


def test_numbers_of_several_nodes_become_visible_in_order_and_without_holes(
    join: Callable[[], Node], migrated_url: str
) -> None:
    nodes, done, seen, wrong = [join() for _ in range(4)], threading.Event(), list[int](), list[str]()

    def read() -> None:
        with psycopg.connect(migrated_url, autocommit=True) as db:
            while not done.is_set() or db.execute("SELECT 1 FROM event WHERE seq > %s", [len(seen)]).fetchone():
                last = seen[-1] if seen else 0
                new = [row[0] for row in db.execute("SELECT seq FROM event WHERE seq > %s ORDER BY seq", [last])]
                if new and new != list(range(last + 1, last + len(new) + 1)):
                    wrong.append(f"after {last}: {new[:5]}")
                seen.extend(new)

    def write(at: int, node: Node) -> None:
        for n in range(50):
            node.publish(*(f"evt_{at}_{n}_{each}" for each in range(1 + n % 7)))

    reader = threading.Thread(target=read)
    reader.start()
    threads = [threading.Thread(target=write, args=each) for each in enumerate(nodes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    done.set()
    reader.join(60)
    assert wrong == []
    count = 4 * sum(1 + n % 7 for n in range(50))
    assert seen == list(range(1, count + 1))
    for at in range(4):
        own = [ident for _, ident in stored(migrated_url) if ident.startswith(f"evt_{at}_")]
        expected = [f"evt_{at}_{n}_{each}" for n in range(50) for each in range(1 + n % 7)]
        assert own == expected, "a node's events keep their order"


def test_an_event_is_stored_no_earlier_than_the_one_before_it_whatever_the_clocks_say(
    join: Callable[[], Node], migrated_url: str
) -> None:
    right, behind = join(), join()
    behind.clock.at -= 2_000_000
    for n in range(5):
        right.publish(f"evt_{n}_right")
        behind.publish(f"evt_{n}_behind")
        right.clock.at += 500_000
        behind.clock.at += 500_000
    created = [row[0] for row in rows(migrated_url, "SELECT created FROM event ORDER BY seq")]
    assert created == sorted(created) and created[-1] > created[0]


def test_a_node_that_joins_after_one_that_worked_alone_stores_no_earlier_than_that(
    join: Callable[[], Node], migrated_url: str, tmp_path: Path
) -> None:
    engine, clock = open_engine(migrated_url, tmp_path), HandClock()
    alone = Writer(engine, clock)
    alone.start()
    alone.wait(publication("evt_alone"))  # type: ignore[arg-type]
    alone.close()
    node = join()
    node.clock.at -= 1_000_000
    node.publish("evt_joined")
    assert [row[0] for row in rows(migrated_url, "SELECT created FROM event ORDER BY seq")] == [clock.at, clock.at]
    assert stored(migrated_url) == [(1, "evt_alone"), (2, "evt_joined")]


def test_what_a_job_appended_before_it_failed_takes_no_number(join: Callable[[], Node], migrated_url: str) -> None:
    node = join()

    def fails(db: Db) -> None:
        events.append_new(db, publication("evt_lost", "evt_lost_too").events, now=1)
        raise Conflict("it is refused after it has written")

    ready, answers = node.hold(), Queue[Any]()
    node.writer.submit(publication("evt_1"), lambda result, wrong: answers.put(wrong))
    node.writer.submit(fails, lambda result, wrong: answers.put(wrong))
    told = WithEvents(None, publication("evt_2").events)
    node.writer.submit(lambda db: told, lambda result, wrong: answers.put(wrong))
    ready.set()
    assert [type(answers.get(timeout=10)) for _ in range(3)] == [type(None), Conflict, type(None)]
    assert stored(migrated_url) == [(1, "evt_1"), (2, "evt_2")]
    assert journal_of(migrated_url)["event"] == 2


def journal_of(url: str) -> dict[str, int]:
    return dict(rows(url, "SELECT name, position FROM cursor WHERE journal = 0"))


@pytest.mark.parametrize("refused", [False, True], ids=["stored", "refused"])
def test_more_events_than_one_statement_takes_are_copied_and_then_numbered(
    join: Callable[[], Node], migrated_url: str, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    monkeypatch.setattr(numbering, "KEPT_ROWS_MAX", 10)
    node, other = join(), join()
    idents = [f"evt_{at}" for at in range(25)]

    def job(db: Db) -> None:
        other.publish("evt_meanwhile")
        for ident in idents:
            events.append_new(db, publication(ident).events, now=1)
        if refused:
            raise Conflict("refused after some were copied")

    answers, ready = Queue[Any](), node.hold()
    node.writer.submit(publication("evt_before"), lambda result, wrong: answers.put(wrong))
    node.writer.submit(job, lambda result, wrong: answers.put(wrong))
    ready.set()
    found = [answers.get(timeout=10) for _ in range(2)]
    assert [type(wrong) for wrong in found] == [type(None), Conflict if refused else type(None)]
    expected = ["evt_meanwhile", "evt_before", *([] if refused else idents)]
    assert stored(migrated_url) == list(enumerate(expected, 1))
    late = publication(*(f"evt_late_{n}" for n in range(11)))
    node.writer.wait(lambda db: WithEvents(None, late.events))
    assert len(stored(migrated_url)) == len(expected) + 11, "the table is made again"


def test_events_whose_text_is_long_are_copied(join: Callable[[], Node], migrated_url: str) -> None:
    node = join()
    data = f'{{"text":"{"x" * numbering.NUMBERED_CHARS_MAX}"}}'
    node.writer.wait(lambda db: WithEvents(None, [Event(id="evt_long", type="a.b", time=1, data=data)]))
    assert rows(migrated_url, "SELECT seq, data FROM event") == [(1, data)]


def test_an_id_that_two_nodes_store_at_once_is_one_event(join: Callable[[], Node], migrated_url: str) -> None:
    nodes, answers = [join(), join()], Queue[Any]()
    for n in range(20):
        ready = [node.hold() for node in nodes]
        for node in nodes:
            job = publication(f"evt_{n}", f"evt_{n}_more", ids_given=True)
            node.writer.submit(job, lambda result, wrong: answers.put((result, wrong)))
        for each in ready:
            each.set()
        found = [answers.get(timeout=10) for _ in nodes]
        assert [wrong for _, wrong in found] == [None, None]
        assert sorted(result.fresh for result, _ in found) == [0, 2]
    assert [seq for seq, _ in stored(migrated_url)] == list(range(1, 41)), "a group that was undone took no numbers"


def test_a_job_sees_the_ids_that_its_group_has_stored(join: Callable[[], Node], migrated_url: str) -> None:
    node, answers, runs = join(), Queue[Any](), list[int]()

    def job(db: Db) -> Any:
        runs.append(1)
        same, other = publication("evt_1", ids_given=True), Event(id="evt_1", type="a.b", time=2, data="{}")
        taken = events.Publication((other,), ids_given=True)
        return events.append(db, [same, taken], now=1)

    ready = node.hold()
    node.writer.submit(publication("evt_1"), lambda result, wrong: answers.put(wrong))
    node.writer.submit(job, lambda result, wrong: answers.put(wrong or result))
    ready.set()
    assert answers.get(timeout=10) is None
    repeat, refused = answers.get(timeout=10)
    assert repeat.fresh == 0 and isinstance(refused, IdsTaken)
    assert stored(migrated_url) == [(1, "evt_1")] and runs == [1], "the group was written once"


def test_a_job_reads_what_was_committed_as_the_position(join: Callable[[], Node]) -> None:
    node, seen = join(), Queue[int]()
    node.publish("evt_1")
    ready = node.hold()
    node.writer.submit(publication("evt_2"), lambda result, wrong: None)
    node.writer.submit(lambda db: seen.put(journal.position(db, "event")), lambda result, wrong: None)
    ready.set()
    assert seen.get(timeout=10) == 1


def test_the_sender_routes_what_all_nodes_have_stored_in_order(join: Callable[[], Node], migrated_url: str) -> None:
    sender, other = join(), join()
    assert sender.router is not None and other.router is None
    sender.writer.wait(lambda db: endpoint(db, sender.catalog, 1))
    for n in range(10):
        (sender if n % 2 else other).publish(f"evt_{n}")
    sender.publish("evt_last")
    until(lambda: len(routed(migrated_url)) == 11, "its own last one is routed though nobody else writes")
    assert routed(migrated_url) == [seq for seq, _ in stored(migrated_url)] == list(range(1, 12))


def test_an_event_that_follows_a_new_endpoint_is_routed_to_it_though_the_group_began_before_both(
    join: Callable[[], Node], migrated_url: str
) -> None:
    sender, other = join(), join()
    began, changed = threading.Event(), threading.Event()

    def job(db: Db) -> None:
        # The catalogue was checked with the first statement.
        db.query("SELECT 1", {})
        if not began.is_set():
            began.set()
            changed.wait(10)

    answers = Queue[Any]()
    sender.writer.submit(Whole(job), lambda result, wrong: answers.put(wrong))
    assert began.wait(10)
    other.writer.wait(lambda db: endpoint(db, other.catalog, 1))
    other.publish("evt_1")
    changed.set()
    assert answers.get(timeout=10) is None
    until(lambda: journal_of(migrated_url)["route"] == 1, "it is routed")
    assert routed(migrated_url) == [1]


def test_a_group_that_changes_the_catalogue_and_routes_what_others_have_stored_is_written_once(
    join: Callable[[], Node], migrated_url: str
) -> None:
    sender, other, runs = join(), join(), list[int]()
    sender.writer.wait(lambda db: endpoint(db, sender.catalog, 1))

    def job(db: Db) -> None:
        runs.append(1)
        sender.catalog.drop_tenant(db, "nobody")
        other.publish("evt_1")

    sender.writer.wait(job)
    assert runs == [1], "its own change of the catalogue is not another node's"
    assert routed(migrated_url) == [1]


def test_a_group_of_publications_is_one_round_trip_at_a_node_that_takes_in(
    join: Callable[[], Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, node = join(), join()
    node.publish("evt_0")
    sent, whole = list[list[str]](), PostgresDb._sent

    def counted(db: PostgresDb, later: Any, sql: str, params: Any) -> Any:
        if db is node.writer._db:
            sent.append([*(text for text, _ in later), sql])
        return whole(db, later, sql, params)

    monkeypatch.setattr(PostgresDb, "_sent", counted)
    node.publish(*(f"evt_{n}" for n in range(1, 500)))
    assert len(sent) == 1
    assert sent[0][-1] == "COMMIT" and "UPDATE cursor" in sent[0][-2], "the counter's row is locked last of all"


def test_a_gap_after_a_restore_begins_where_other_nodes_have_come_to(
    join: Callable[[], Node], migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, other = join(), join()
    node.publish("evt_1")

    def meanwhile(db: Db, seen: int | None) -> int:
        other.publish("evt_2", "evt_3")
        return 0

    # It has read the position before, and moves the counter after that.
    monkeypatch.setattr(gaps, "_last_time", meanwhile)
    gap = node.writer.wait(lambda db: gaps.gap_after_restore(db, gaps.HowFar(5, 0), None, 0))
    assert gap == Gap(3, 7 + gaps.MARGIN)
    other.publish("evt_4")
    assert stored(migrated_url) == [(1, "evt_1"), (2, "evt_2"), (3, "evt_3"), (gap.until + 1, "evt_4")]


@pytest.mark.slow
def test_a_node_that_is_cut_off_at_any_byte_of_a_group_holds_the_others_up_for_a_moment_at_most(
    join: Callable[[], Node],
    postgres_server: PostgresServer,
    migrated_url: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = join()
    with Cut(postgres_server.folder) as cut:
        node = Node(cut.url(migrated_url), tmp_path)
        lengths = []
        for n in range(10):
            before = cut.passed
            node.publish(f"evt_{n:08d}a")
            lengths.append(cut.passed - before)
        # Its statements are prepared by now, and what it sends has the same length from now on.
        length, acknowledged, waited = min(lengths), [f"evt_{n:08d}a"], list[float]()
        for at in [*range(0, length - 130, 50), *range(length - 130, length, 9)]:
            answers = Queue[Any]()
            cut.stop_after(at)
            node.writer.submit(publication(f"evt_{at:08d}a"), lambda result, wrong: answers.put(wrong))
            assert cut.is_held.wait(10)
            until(lambda: cut.unread() == 0 and waits_for_more(migrated_url, node), "PostgreSQL has done what it got")
            began = time.monotonic()
            other.publish(f"evt_{at:08d}b")
            waited.append(time.monotonic() - began)
            acknowledged.append(f"evt_{at:08d}b")
            cut.go_on()
            if answers.get(timeout=10) is None:
                acknowledged.append(f"evt_{at:08d}a")
                continue
            # Its session was ended; the next one prepares its statements first.
            for n in range(5):
                node.publish(f"evt_{at:06d}{n}c")
        node.close()
    found = stored(migrated_url)
    assert {ident for _, ident in found} >= set(acknowledged), "nothing that was acknowledged is lost"
    assert [seq for seq, _ in found] == list(range(1, len(found) + 1))
    ended = [line for line in caplog.messages if "broke right before its commit" in line]
    assert 0 < len(ended) < len(waited) / 2, "only between the last two messages, and then for as long as one lock"
    assert sum(waited) < (len(ended) + 1) * (LOCK_SECONDS + 1) + len(waited)
