"""PostgreSQL goes away and comes back: 503 meanwhile, on by itself after it, nothing lost and nothing twice."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.postgres_server import PostgresServer
from tests.robust.stalls import stalled, writer_of
from tidings.store.base import Db, StoreBusy, StoreError
from tidings.store.engines import nodes, pen
from tidings.store.log.events import Publication
from tidings.testing import Api, ProcessServer, Receiver, TestServer, until


class HaltablePostgres(PostgresServer):
    """A PostgreSQL that can be stopped; `start` starts it again on the same folder and socket."""

    def halt(self) -> None:
        """Stop it as `pg_ctl stop -m fast` does: every connection is ended."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[HaltablePostgres]:
    with HaltablePostgres() as server:
        yield server


@pytest.fixture
def own_url(own_postgres: HaltablePostgres) -> Iterator[str]:
    with own_postgres.database() as url:
        yield url


@pytest.fixture
def server(tmp_path: Path, own_url: str) -> Iterator[TestServer]:
    with TestServer(tmp_path / "tidings", database=own_url) as server:
        yield server


EVENT = {"type": "step", "data": {}}
pytestmark = [pytest.mark.slow, pytest.mark.postgres]


class Publishers:
    """Callers that publish with ids of their own, and send again what was not acknowledged, until told to stop."""

    def __init__(self, api: Api, callers: int = 4) -> None:
        self._api = api
        self._stop = threading.Event()
        self.acknowledged: list[str] = []
        self.statuses: Counter[int] = Counter()
        self.without_retry_after = 0
        self._threads = [threading.Thread(target=self._publish, args=(n,)) for n in range(callers)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let each finish its event."""
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _publish(self, caller: int) -> None:
        n = 0
        while not self._stop.is_set():
            id = f"c{caller}-{n}"
            body = {"type": "step", "data": {"n": n}, "id": id}
            while True:
                reply = self._api.call("POST", "/v1/events", body)
                self.statuses[reply.status] += 1
                if reply.status == 202:
                    break
                self.without_retry_after += "retry-after" not in reply.headers
                time.sleep(0.05)
            self.acknowledged.append(id)
            n += 1


def terminate(postgres: PostgresServer, url: str) -> None:
    """End every connection that Tidings has to this database."""
    name = urlsplit(url).path[1:]
    postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")


def counts(url: str, sql: str) -> Any:
    with psycopg.connect(url) as conn:
        row = conn.execute(sql.encode()).fetchone()
        assert row is not None
        return row[0]


def all_arrived(server: TestServer, url: str, receiver: Receiver, acknowledged: list[str]) -> None:
    """Everything acknowledged arrives, each event is stored and routed once, and everything is settled."""
    until(lambda: {each.id for each in receiver.requests()} >= set(acknowledged), "everything arrives", 60)
    settled = "SELECT COUNT(DISTINCT delivery) FROM attempt WHERE state = 'delivered'"
    until(lambda: counts(url, settled) == len(set(acknowledged)), "everything is settled", 60)
    assert counts(url, "SELECT COUNT(*) FROM event") == len(set(acknowledged))
    assert counts(url, "SELECT COUNT(*) FROM delivery") == len(set(acknowledged))
    assert server.server is not None and not server.server.failed


@pytest.mark.thorough
def test_connections_are_cut_under_load(server: TestServer, own_postgres: HaltablePostgres, own_url: str) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with Receiver() as receiver:
        server.api.register(receiver.url())
        publishers = Publishers(server.api)
        try:
            for cuts in range(25):
                so_far = len(publishers.acknowledged)
                until(lambda: len(publishers.acknowledged) > so_far + 5, f"it goes on after {cuts} cuts", 30)
                time.sleep(chance.random() * 0.1)
                terminate(own_postgres, own_url)
        finally:
            publishers.stop()
        assert set(publishers.statuses) <= {202, 503} and publishers.without_retry_after == 0
        all_arrived(server, own_url, receiver, publishers.acknowledged)


def test_it_is_stopped_and_started_again(
    server: TestServer, own_postgres: HaltablePostgres, own_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Receiver() as receiver:
        server.api.register(receiver.url())
        publishers = Publishers(server.api)
        try:
            until(lambda: len(publishers.acknowledged) > 50, "work goes on")
            own_postgres.halt()
            until(lambda: publishers.statuses[503] > 5, "503 meanwhile")
            began = time.monotonic()
            refused = server.api.call("GET", "/readyz")
            assert refused.status == 503 and time.monotonic() - began < 6
            for read in (server.api.call("GET", "/v1/events"), server.api.call("POST", "/v1/events", EVENT)):
                # Where the database is, is nobody's business but the operator's, who reads it in the log.
                assert read.status == 503 and "PostgreSQL cannot be reached" in read.json["detail"]
                assert str(own_postgres.folder) not in read.body.decode()
            assert str(own_postgres.folder) in caplog.text
            assert server.api.call("GET", "/healthz").status == 200
        finally:
            own_postgres.start()
        until(lambda: server.api.call("GET", "/readyz").status == 200, "it is ready again", 20)
        so_far = len(publishers.acknowledged)
        until(lambda: len(publishers.acknowledged) > so_far + 50, "it goes on by itself", 30)
        publishers.stop()
        assert set(publishers.statuses) <= {202, 503} and publishers.without_retry_after == 0
        all_arrived(server, own_url, receiver, publishers.acknowledged)


def test_waiting_deliveries_continue_without_new_events(
    server: TestServer, own_postgres: HaltablePostgres, own_url: str
) -> None:
    with Receiver() as receiver:
        endpoint, _ = server.api.register(receiver.url(), rate=20)
        ids = [f"e{n}" for n in range(200)]
        events = [{"type": "step", "data": {}, "id": each} for each in ids]
        server.api.post("/v1/events:batch", {"events": events})
        receiver.wait_for(5)
        own_postgres.halt()
        # A change while the store is away is refused, and ends no thread.
        assert server.api.call("POST", f"/v1/endpoints/{endpoint}:pause").status == 503
        own_postgres.start()
        all_arrived(server, own_url, receiver, ids)


def test_a_connection_lost_inside_a_group_acknowledges_nothing(
    server: TestServer, own_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies: list[Any] = []
    writer, came = writer_of(server), threading.Event()
    submit = writer.submit

    def noted(job: Any, reply: Any) -> None:
        submit(job, reply)
        if isinstance(job, Publication):
            came.set()

    monkeypatch.setattr(writer, "submit", noted)
    body = {"type": "step", "data": {}, "id": "one"}

    def cut(db: Db) -> None:
        db.query("SELECT pg_terminate_backend(pg_backend_pid())", {})

    def call() -> None:
        replies.append(server.api.call("POST", "/v1/events", body))

    thread = threading.Thread(target=call)
    with stalled(server):
        # Both are in one group: the event is appended first, then the connection breaks inside the job.
        thread.start()
        assert came.wait(10), "the event waits for the writer"
        writer.submit(cut, lambda result, wrong: None)
    thread.join(20)
    assert replies[0].status == 503
    assert server.api.call("GET", "/v1/events/one").status == 404
    assert server.api.call("POST", "/v1/events", body).status == 202
    assert counts(own_url, "SELECT COUNT(*) FROM event") == 1


def test_a_change_whose_answer_is_lost_is_seen_once_the_store_is_back(server: TestServer) -> None:
    db: Any = writer_of(server)._db
    endpoint, _ = server.api.register("http://127.0.0.1:9/")
    commit, url = db.commit, db._url
    paused = "SELECT COUNT(*) FROM link WHERE mode = 'paused'"

    def lost() -> None:
        # Others write too, such as the counts of calls each second: only the change's own answer is lost.
        is_changed = db.query(paused, {})[0][0] == 1
        commit()
        if not is_changed:
            return
        db._conn.close()
        # Nobody is there when the catalogue is to be read again.
        db._url = "postgresql://postgres@/nowhere?host=/nonexistent"
        raise StoreBusy("the connection broke", unknown=True)

    db.commit = lost
    said = server.api.call("POST", f"/v1/endpoints/{endpoint}:pause")
    db.commit, db._url = commit, url
    assert said.status == 503 and "It is unknown whether it was stored" in said.json["detail"]
    until(lambda: server.api.get(f"/v1/endpoints/{endpoint}")["state"] == "paused", "the change is seen")
    assert server.server is not None and not server.server.failed


def test_a_second_server_is_refused(server: TestServer, tmp_path: Path, own_url: str) -> None:
    second = TestServer(tmp_path / "second", database=own_url)
    with pytest.raises(StoreError, match=r"another Tidings server is writing to this .*; stop it first") as said:
        second.start()
    holder = re.search(
        r"session ([0-9]+) of tidings@[^ ]+:([0-9]+) from a local socket, since 2[^ ]+Z", str(said.value)
    )
    assert holder is not None and int(holder[2]) == os.getpid(), said.value
    assert f"SELECT pg_terminate_backend({holder[1]})" in str(said.value)
    server.api.publish("step")


def test_a_frozen_server_does_not_hold_the_database_forever(
    tmp_path: Path, own_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its session ends by itself; what it wanted to write after that is refused, as another one writes now."""
    monkeypatch.setitem(pen.TIMEOUTS, "idle_session_timeout", 1)
    monkeypatch.setattr(nodes, "SPEAK_BEATS", 1_000)
    with TestServer(tmp_path / "frozen", database=own_url) as frozen:
        # A server that runs says something every 3 s; this one is as good as frozen.
        monkeypatch.setitem(pen.TIMEOUTS, "idle_session_timeout", 300)
        (tmp_path / "second").mkdir()
        shutil.copy(tmp_path / "frozen" / "secret.key", tmp_path / "second")
        with TestServer(tmp_path / "second", database=own_url) as second:
            event = second.api.publish("step")
            refused = frozen.api.call("POST", "/v1/events", EVENT)
            assert refused.status == 503 and "another Tidings server has taken over" in refused.json["detail"]
            until(lambda: frozen.server is not None and frozen.server.failed, "it ends")
            assert second.api.call("GET", f"/v1/events/{event}").status == 200


def test_a_stopped_server_is_named_and_the_command_that_is_named_frees_the_database(
    tmp_path: Path, own_url: str, own_postgres: HaltablePostgres
) -> None:
    with ProcessServer(tmp_path / "stopped", database=own_url) as stopped:
        stopped.api.publish("step")
        assert stopped.process is not None
        stopped.process.send_signal(signal.SIGSTOP)
        try:
            (tmp_path / "second").mkdir()
            shutil.copy(next((tmp_path / "stopped").rglob("secret.key")), tmp_path / "second")
            second = TestServer(tmp_path / "second", database=own_url)
            with pytest.raises(StoreError, match="another Tidings server is writing to this") as said:
                second.start()
            holder = re.search(r"of tidings@[^ ]+:([0-9]+) .*since (2[^ ]+Z)", str(said.value))
            assert holder is not None and int(holder[1]) == stopped.process.pid, said.value
            [command] = re.findall(r"SELECT pg_terminate_backend\([0-9]+\)", str(said.value))
            own_postgres.execute(command)
            with TestServer(tmp_path / "second", database=own_url) as second:
                event = second.api.publish("step")
                process = stopped.process
                process.send_signal(signal.SIGCONT)
                until(lambda: process.poll() == 1, "it ends, so that its supervisor starts it again")
                assert "another Tidings server has taken over this database" in stopped.log
                assert second.api.call("GET", f"/v1/events/{event}").status == 200
                assert second.api.call("POST", "/v1/events", EVENT).status == 202
        finally:
            # Whatever happened, it can be stopped now.
            if stopped.process is not None:
                stopped.process.send_signal(signal.SIGCONT)


def test_a_restart_of_the_database_leaves_no_stale_connection(
    server: TestServer, own_postgres: HaltablePostgres
) -> None:
    event = server.api.publish("step")
    with ThreadPoolExecutor(8) as callers:
        list(callers.map(lambda n: server.api.call("GET", "/v1/events"), range(32)))
        own_postgres.halt()
        own_postgres.start()
        replies = list(callers.map(lambda n: server.api.call("GET", f"/v1/events/{event}"), range(32)))
    assert [reply.status for reply in replies] == [200] * 32
    assert server.api.call("POST", "/v1/events", EVENT).status == 202


def test_a_database_without_utf8_is_refused(tmp_path: Path, own_postgres: HaltablePostgres) -> None:
    """As `createdb` makes it if the server was set up without a locale."""
    own_postgres.execute("CREATE DATABASE ascii TEMPLATE template0 ENCODING SQL_ASCII LOCALE 'C'")
    with pytest.raises(StoreError, match=r"encoding SQL_ASCII, but must have UTF8\. Create another: createdb"):
        TestServer(tmp_path / "ascii", database=own_postgres.url("ascii")).start()


def test_an_unsafe_database_is_refused(tmp_path: Path, own_postgres: HaltablePostgres, own_url: str) -> None:
    name = urlsplit(own_url).path[1:]
    own_postgres.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    with pytest.raises(StoreError, match="synchronous_commit=off: acknowledged events could be lost"):
        TestServer(tmp_path / "unsafe", database=own_url).start()
    own_postgres.execute(f"ALTER DATABASE {name} SET synchronous_commit = on")
    with TestServer(tmp_path / "safe", database=own_url) as server:
        server.api.publish("step")
        # Also one that becomes unsafe later: a new connection would lose what it acknowledges.
        own_postgres.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
        terminate(own_postgres, own_url)
        until(lambda: server.api.call("POST", "/v1/events", {"type": "step", "data": {}}).status == 503, "it refuses")
        refused = server.api.call("POST", "/v1/events", {"type": "step", "data": {}})
        assert refused.status == 503 and "synchronous_commit" in refused.json["detail"]
        own_postgres.execute(f"ALTER DATABASE {name} SET synchronous_commit = on")
        until(lambda: server.api.call("POST", "/v1/events", {"type": "step", "data": {}}).status == 202, "it goes on")
