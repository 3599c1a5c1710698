"""Two nodes take in at once: what one has acknowledged, the other neither loses nor does again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import Queue
from threading import Event
from typing import Any

import psycopg
import pytest

from tests.items.collections import declare
from tests.nodes.peers import neighbour
from tests.postgres_server import PostgresServer
from tidings.model.collection import Collection, Field
from tidings.model.errors import Unavailable
from tidings.store.base import Db
from tidings.store.jobs import NoSavepoint
from tidings.testing import Api, ApiReply, TestServer, until

Pair = tuple[TestServer, TestServer]
COUNTERS = Collection(
    name="counters",
    fields=(
        Field(name="count", type="integer"),
        Field(name="code", type="string", unique=True),
        Field(name="parent", type="reference", to="counters"),
    ),
)


@pytest.fixture(scope="module")
def url(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.database(migrated=True) as url:
        yield url


@pytest.fixture(scope="module")
def pair(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    with neighbour(url, folder / "a") as a:
        declare(a, COUNTERS)
        with neighbour(url, folder / "b") as b:
            yield a, b


def together(pair: Pair, *calls: Callable[[Api, int], ApiReply], count: int, threads: int = 4) -> list[list[ApiReply]]:
    """Each call `count` times at each node at once; the replies of each pair."""
    with ThreadPoolExecutor(2 * threads) as pool:
        futures = [[pool.submit(call, node.api, n) for call in calls for node in pair] for n in range(count)]
        return [[future.result() for future in each] for each in futures]


def deadlocks(url: str) -> int:
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("SELECT pg_stat_clear_snapshot()")
        row = db.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
        assert row is not None
        return int(row[0])


def test_one_idempotency_key_at_two_nodes_is_one_change(pair: Pair, url: str) -> None:
    def create(api: Api, n: int) -> ApiReply:
        # Every tenth is refused.
        data: dict[str, Any] = {"count": "many" if n % 10 == 0 else n}
        return api.call("POST", "/v1/items/counters", data, {"Idempotency-Key": f"one:{n}"})

    replies = together(pair, create, count=100)
    for n, (one, other) in enumerate(replies):
        assert one.status == other.status == (422 if n % 10 == 0 else 201), (one.body, other.body)
        if n % 10:
            assert one.json["id"] == other.json["id"]
            assert ("idempotency-replayed" in one.headers) is not ("idempotency-replayed" in other.headers)
    with psycopg.connect(url) as db:
        assert db.execute("SELECT COUNT(*) FROM answer WHERE idempotency_key LIKE 'one:%'").fetchone() == (90,)


def test_no_edit_through_two_nodes_is_lost(pair: Pair, url: str) -> None:
    a, b = pair
    idents = [f"hot{n}" for n in range(4)]
    for ident in idents:
        a.api.put(f"/v1/items/counters/{ident}", {"count": 0})
    before = deadlocks(url)

    def add(api: Api, n: int) -> ApiReply:
        path = f"/v1/items/counters/{idents[n % len(idents)]}"
        while True:
            read = api.call("GET", path)
            reply = api.call("PATCH", path, {"count": read.json["count"] + 1}, {"If-Match": read.headers["etag"]})
            if reply.status != 412:
                return reply

    replies = together(pair, add, count=200)
    assert {reply.status for each in replies for reply in each} == {200}
    assert sum(b.api.get(f"/v1/items/counters/{ident}")["count"] for ident in idents) == 400
    assert deadlocks(url) == before


def test_an_endpoint_made_at_one_node_gets_the_next_event_published_at_the_other(pair: Pair, url: str) -> None:
    expected = set()
    for n in range(30):
        here, there = pair if n % 2 else pair[::-1]
        kind = f"pair{n}.made"
        endpoint = here.api.post("/v1/endpoints", {"url": "http://127.0.0.1:9/", "events": [kind]})
        event = there.api.post("/v1/events", {"type": kind, "data": {}})
        expected.add((endpoint["id"], event["id"]))
    with psycopg.connect(url, autocommit=True) as db:
        # The sender routes what the other took in with its next group, some milliseconds after the answer.
        until, all_routed = time.monotonic() + 10, "SELECT position >= %s FROM cursor WHERE name = 'route'"
        last = db.execute("SELECT MAX(seq) FROM event").fetchone()
        while db.execute(all_routed, last).fetchone() != (True,):
            assert time.monotonic() < until, "the sender did not route everything"
        sql = "SELECT l.id, e.id FROM delivery AS d JOIN link AS l ON l.num = d.link JOIN event AS e ON e.seq = d.event"
        assert expected - {(row[0], row[1]) for row in db.execute(sql)} == set()


def test_of_two_nodes_that_make_the_same_thing_one_is_told_so(pair: Pair) -> None:
    """Names, numbers of links and limits are decided in memory, or by counting: never a 500, and never two."""

    def tenant(api: Api, n: int) -> ApiReply:
        return api.call("POST", "/v1/tenants", {"id": f"same{n}"})

    def unique(api: Api, n: int) -> ApiReply:
        return api.call("POST", "/v1/items/counters", {"code": f"code{n}"})

    def chosen(api: Api, n: int) -> ApiReply:
        return api.call("POST", "/v1/events", {"id": f"chosen{n}", "type": "a.b", "data": {"by": api.url}})

    def put(api: Api, n: int) -> ApiReply:
        return api.call("PUT", f"/v1/items/counters/put{n}", {"count": 1}, {"If-None-Match": "*"})

    for call, won, lost in ((tenant, 201, 409), (unique, 201, 409), (chosen, 202, 409), (put, 201, 412)):
        for replies in together(pair, call, count=20):
            assert sorted(reply.status for reply in replies) == [won, lost], [reply.body for reply in replies]


def test_links_made_at_two_nodes_at_once_have_numbers_of_their_own(pair: Pair, url: str) -> None:
    def endpoint(api: Api, n: int) -> ApiReply:
        return api.call("POST", "/v1/endpoints", {"url": f"http://127.0.0.1:9/{n}", "events": ["never"]})

    replies = together(pair, endpoint, count=25)
    assert {reply.status for each in replies for reply in each} == {201}
    with psycopg.connect(url) as db:
        idents = [reply.json["id"] for each in replies for reply in each]
        assert db.execute("SELECT COUNT(DISTINCT num) FROM link WHERE id = ANY(%s)", [idents]).fetchone() == (50,)


def test_an_item_is_not_deleted_while_the_other_node_refers_to_it(pair: Pair, url: str) -> None:
    a = pair[0]
    for n in range(20):
        a.api.put(f"/v1/items/counters/target{n}", {"count": 0})

    def once(api: Api, n: int) -> ApiReply:
        if api.url == a.url:
            return api.call("DELETE", f"/v1/items/counters/target{n}")
        return api.call("POST", "/v1/items/counters", {"parent": f"target{n}"})

    def act(api: Api, n: int) -> ApiReply:
        # On a busy machine either may wait too long for the other, and is then asked to try again.
        for _ in range(5):
            if (reply := once(api, n)).status != 503:
                break
        return reply

    for gone, made in together(pair, act, count=20):
        assert (gone.status, made.status) in ((204, 422), (409, 201)), (gone.body, made.body)


def test_a_frozen_neighbour_that_holds_an_item_stops_only_those_who_want_it(pair: Pair, url: str) -> None:
    node = pair[1]
    node.api.put("/v1/items/counters/held", {"count": 0})
    assert node.server is not None
    writer, refused = node.server.writer, Queue[Any]()
    waits: list[str] = []

    def want(db: Db) -> None:
        waits.append("waits")
        db.query("SELECT seq FROM c_counters WHERE id = 'held' FOR UPDATE", {})

    with psycopg.connect(url) as frozen, ThreadPoolExecutor(1) as pool:
        frozen.execute("SELECT 1 FROM c_counters WHERE id = 'held' FOR UPDATE")
        # One group: the job that has to wait comes between others.
        ready = Event()
        writer.submit(lambda db: ready.wait(1) and None, lambda result, wrong: None)
        writer.submit(NoSavepoint(want, ("counters", "held")), lambda result, wrong: refused.put(wrong))
        published = pool.submit(node.api.publish, "a.b")
        ready.set()
        wrong = refused.get(timeout=30)
        assert isinstance(wrong, Unavailable) and wrong.detail.startswith("Another server is changing the same")
        assert len(waits) == 2, "it waits twice, the second time in a hurry; then the others go on without it"
        assert published.result()
        began = time.monotonic()
        for _ in range(4):
            writer.submit(NoSavepoint(want, ("counters", "held")), lambda result, wrong: refused.put(wrong))
            assert isinstance(refused.get(timeout=30), Unavailable)
        assert time.monotonic() - began < 1.9, "whoever wants it now holds up the others for a tenth of a second"
        assert node.api.call("GET", "/readyz").status == 200, "the store is well"
    assert node.api.call("PATCH", "/v1/items/counters/held", {"count": 1}).status == 200


def test_of_two_that_wait_for_one_another_neither_is_refused(pair: Pair, url: str) -> None:
    """PostgreSQL looks for deadlocks after a second, as long as a job waits for a lock: either may come first."""
    server = pair[1].server
    assert server is not None
    for ident in ("left", "right"):
        pair[1].api.put(f"/v1/items/counters/{ident}", {"count": 0})
    lock = "SELECT seq FROM c_counters WHERE id = %s FOR UPDATE"
    answers = []
    for _ in range(6):
        server.writer._waits._until = float("-inf")
        refused, has_left = Queue[Any](), Event()

        def both(db: Db, has_left: Event = has_left) -> None:
            db.query("SELECT seq FROM c_counters WHERE id = 'left' FOR UPDATE", {})
            has_left.set()
            db.query("SELECT seq FROM c_counters WHERE id = 'right' FOR UPDATE", {})

        with psycopg.connect(url) as other:
            other.execute(lock, ["right"])
            reply = partial(lambda to, result, wrong: to.put(wrong), refused)
            server.writer.submit(NoSavepoint(both, ("counters", "left")), reply)
            assert has_left.wait(10)
            with contextlib.suppress(psycopg.errors.DeadlockDetected):
                other.execute(lock, ["left"])
        answers.append(refused.get(timeout=30))
    # On a busy machine the other's commit may come after the tenth of a second that the job waits the second time.
    assert answers.count(None) >= 5, answers


def test_who_waits_for_an_item_behind_another_node_waits_no_longer_than_that_is_bearable(pair: Pair, url: str) -> None:
    """PostgreSQL counts the wait for the other node and the wait for who holds the item, each by itself."""
    for node in pair:
        node.api.put("/v1/items/counters/wanted", {"count": 0})
        assert node.server is not None
        node.server.writer._waits._until = float("-inf")

    def edit(node: TestServer) -> tuple[int, float]:
        began = time.monotonic()
        reply = node.api.call("PATCH", "/v1/items/counters/wanted", {"count": 1})
        return reply.status, time.monotonic() - began

    def waits() -> int:
        sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        row = looking.execute(sql).fetchone()
        assert row is not None
        return int(row[0])

    with (
        psycopg.connect(url) as frozen,
        psycopg.connect(url, autocommit=True) as looking,
        ThreadPoolExecutor(2) as pool,
    ):
        frozen.execute("SELECT 1 FROM c_counters WHERE id = 'wanted' FOR UPDATE")
        first = pool.submit(edit, pair[0])
        until(lambda: waits() == 1, "one node waits")
        second = pool.submit(edit, pair[1])
        until(lambda: waits() == 2, "the other one waits behind it")
        for status, seconds in (first.result(), second.result()):
            assert status == 503 and seconds < 3


@pytest.mark.thorough
def test_while_somebody_locks_a_whole_table_groups_are_refused_and_not_each_job_after_a_wait(
    pair: Pair, url: str
) -> None:
    """As an operator's CREATE INDEX on the events does."""
    api = pair[1].api
    began = time.monotonic()
    with psycopg.connect(url) as locking, ThreadPoolExecutor(12) as pool:
        locking.execute("LOCK TABLE event IN SHARE MODE")
        replies = list(pool.map(lambda n: api.call("POST", "/v1/events", {"type": "a.b", "data": {}}), range(12)))
    assert {reply.status for reply in replies} == {503}
    assert time.monotonic() - began < 20, "two or three groups wait for 2 s, twice; one by one it would be 48 s"
    api.publish("a.b")
