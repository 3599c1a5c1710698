"""`serve --standby`: one server works, another waits; whatever ends the first one, the second takes over."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from typer.testing import CliRunner, Result

from tests.nodes.watched import Watched
from tests.robust.stalls import stalled
from tidings.cli.commands import tree
from tidings.cli.local.doctor_local import look_at_database
from tidings.settings import SettingsError, read_settings
from tidings.store.base import StoreBusy
from tidings.store.engines import nodes, pen
from tidings.testing import Api, NotInTime, ProcessServer, Receiver, TestServer, until

KEY = "c2VjcmV0LWtleS1vZi0zMi1ieXRlcy1mb3ItdGVzdHM="
EVENT = {"type": "step", "data": {}}


@pytest.fixture
def two(tmp_path: Path, migrated_url: str) -> Iterator[tuple[ProcessServer, ProcessServer]]:
    """A server that works, and one that stands by."""
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(_Standby(tmp_path / name, database=migrated_url, standby=True, secret_key=KEY))
            for name in ("first", "second")
        )
        first.start()
        second.launch()
        until(lambda: _status(second.api, "/healthz") == 200, "the second one stands by")
        yield first, second


class _Standby(ProcessServer):
    """One that is started by hand."""

    def __enter__(self) -> ProcessServer:
        return self


def _status(api: Api, path: str) -> int:
    try:
        return api.with_key(None).call("GET", path).status
    except OSError:
        return 0


def test_a_server_that_stands_by_is_alive_and_not_ready(two: tuple[ProcessServer, ProcessServer]) -> None:
    _, second = two
    metrics = second.api.call("GET", "/metrics")
    assert metrics.status == 200 and b"\ntidings_standing_by 1.0\n" in metrics.body, "monitoring finds it alive"
    ready = second.api.call("GET", "/readyz")
    assert ready.status == 503 and ready.headers["retry-after"] == "2" and "standing by" in ready.json["detail"]
    refused = second.api.call("POST", "/v1/events", EVENT)
    assert refused.status == 503 and refused.json["code"] == "unavailable"
    assert second.stop() == 0


def test_a_killed_server_is_replaced_and_nothing_is_lost(two: tuple[ProcessServer, ProcessServer]) -> None:
    first, second = two
    with Receiver() as receiver:
        first.api.post("/v1/endpoints", {"url": receiver.url(), "events": ["step"]})
        sent = [first.api.publish("step") for _ in range(50)]
        first.kill()
        second.wait_until_ready()
        sent.append(second.api.publish("step"))
        until(lambda: {each.id for each in receiver.requests()} >= set(sent), "all have arrived")
        first.launch()
        until(lambda: _status(first.api, "/healthz") == 200, "the first one stands by in turn")
        assert _status(first.api, "/readyz") == 503


def test_a_server_that_stops_hands_over(two: tuple[ProcessServer, ProcessServer]) -> None:
    first, second = two
    event = first.api.publish("step")
    assert first.stop() == 0
    second.wait_until_ready()
    assert second.api.call("GET", f"/v1/events/{event}").status == 200


@pytest.mark.slow
def test_a_frozen_server_is_ended_and_stands_by_when_it_wakes(two: tuple[ProcessServer, ProcessServer]) -> None:
    first, second = two
    event = first.api.publish("step")
    assert first.process is not None
    first.process.send_signal(signal.SIGSTOP)
    try:
        try:
            second.wait_until_ready()
        except NotInTime:
            raise AssertionError(second.log) from None
        assert "was not heard from for 10 s: its session was ended" in second.log
        assert second.api.call("GET", f"/v1/events/{event}").status == 200
        second.api.publish("step")
    finally:
        first.process.send_signal(signal.SIGCONT)
    until(lambda: "stands by" in first.log.split("stopped")[-1], "it stands by")
    assert first.process.poll() is None and _status(second.api, "/readyz") == 200


def test_a_server_whose_writer_is_busy_for_long_is_not_ended(
    tmp_path: Path, migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with an import in one transaction: the beat has a connection of its own."""
    monkeypatch.setattr(nodes, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(nodes, "FROZEN_SECONDS", 1.0)
    with TestServer(tmp_path, database=migrated_url) as server:
        with Watched(migrated_url) as watched, stalled(server):
            session = server.server and server.server.writer.session
            until(lambda: watched.looks > 12, "it stood longer than a frozen one may")
        assert not watched.free and server.server is not None and server.server.writer.session == session
        server.api.publish("step")


def test_a_server_that_does_not_beat_is_ended(
    tmp_path: Path, migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test before: without the beat the same wait ends the session."""
    monkeypatch.setattr(nodes, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(nodes, "FROZEN_SECONDS", 1.0)
    with TestServer(tmp_path, database=migrated_url) as server:
        assert server.server is not None and server.server._beat is not None
        server.server._beat.stop()
        with Watched(migrated_url) as watched:
            until(lambda: watched.free, "the pen is free")


def test_a_server_sends_only_while_the_database_says_that_it_holds_the_pen(
    tmp_path: Path, migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(nodes, "PROOF_SECONDS", 0.3)
    with Receiver() as receiver, TestServer(tmp_path, database=migrated_url) as server:
        assert server.server is not None and server.server._beat is not None
        beat, deliver, clock = server.server._beat, server.server.deliver, server.server.clock
        server.api.post("/v1/endpoints", {"url": receiver.url(), "events": ["step"]})
        beat.stop()
        until(lambda: not beat.proven(), "the proof has run out")
        event = server.api.publish("step")
        assert server.api.call("GET", f"/v1/events/{event}").status == 200
        until(lambda: deliver._pause.until > clock.now(), "sending pauses")
        assert receiver.requests() == []
        monkeypatch.setattr(nodes, "PROOF_SECONDS", 30)
        beat.beat()
        assert receiver.wait_for(1)[0].id == event


def test_a_server_that_has_just_connected_again_continues_to_send(tmp_path: Path, migrated_url: str) -> None:
    """As after a failover: the beat was asked about the session before, and finds the pen in the next one."""
    with TestServer(tmp_path, database=migrated_url) as server:
        assert server.server is not None and server.server._beat is not None
        beat, session = server.server._beat, server.server.writer.session
        beat.stop()
        assert session is not None and beat.proven()
        sessions = iter((session + 1, session))
        beat._session = lambda: next(sessions)
        beat.beat()
        assert beat.proven()
        beat._session = lambda: session + 1
        beat.beat()
        assert not beat.proven(), "the pen is another session's"


def test_whoever_comes_back_after_another_has_written_starts_again(tmp_path: Path, migrated_url: str) -> None:
    """What it remembers, such as how far it has sent, is of a past that no longer counts."""
    with TestServer(tmp_path, database=migrated_url) as server:
        server.api.publish("step")
        assert server.server is not None
        session = server.server.writer.session
        with psycopg.connect(migrated_url, autocommit=True) as other:
            # Another one took over while this one was cut off, and is gone.
            other.execute("UPDATE store SET value = 'another' WHERE name = 'writer'")
            other.execute("SELECT pg_terminate_backend(%s)", [session])
        refused = server.api.call("POST", "/v1/events", EVENT)
        assert refused.status == 503 and "has written to this database since" in refused.json["detail"]
        until(lambda: server.server is not None and server.server.failed, "it ends")


def test_its_own_last_session_does_not_keep_a_server_out(tmp_path: Path, migrated_url: str) -> None:
    """As after a network failure that only this side has noticed."""
    holder = pen.Holder("n1")
    with (
        psycopg.connect(migrated_url, autocommit=True) as before,
        psycopg.connect(migrated_url, autocommit=True) as now,
    ):
        session = pen.take(before, holder)
        pen.take(now, holder, session)
        with pytest.raises(psycopg.OperationalError):
            before.execute("SELECT 1")


def test_another_secret_key_is_refused_before_the_wait(tmp_path: Path, migrated_url: str) -> None:
    with TestServer(tmp_path / "first", database=migrated_url):
        other = ProcessServer(tmp_path / "second", database=migrated_url, standby=True, secret_key=KEY)
        with pytest.raises(RuntimeError, match="is not the key of this database"):
            other.start()


def test_sqlite_has_no_standby(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="`standby` requires a database that two servers can share"):
        TestServer(tmp_path, standby=True).start()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"join": True, "secret_key": KEY}, "`join` requires a database that several servers can share"),
        (
            {"join": True, "database": "postgresql://h/d"},
            "`join` requires `secret_key`, which must be the same on all servers",
        ),
        (
            {"join": True, "standby": True, "database": "postgresql://h/d", "secret_key": KEY},
            "`standby` and `join` cannot be combined",
        ),
        ({"node_url": "http://a:8080"}, "`node_url` is only for servers that share the work"),
        (
            {"join": True, "database": "postgresql://h/d", "secret_key": KEY, "node_url": "http://a:8080/hooks"},
            "must be a server's URL without a path",
        ),
    ],
)
def test_what_joined_servers_need_is_said(settings: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        read_settings(settings, {})


def test_a_clock_that_is_an_hour_off_is_refused(
    tmp_path: Path, migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not of the module itself: what is loaded only now would keep that clock.
    clock = {**vars(time), "time": lambda: time.time() + 3_600}
    monkeypatch.setattr(pen, "time", SimpleNamespace(**clock))
    with pytest.raises(StoreBusy, match="this machine's clock is 60 minutes ahead of the database's"):
        TestServer(tmp_path, database=migrated_url).start()


def test_a_clock_that_is_set_wrong_meanwhile_turns_readyz_red(tmp_path: Path, migrated_url: str) -> None:
    with TestServer(tmp_path, database=migrated_url) as server:
        assert server.server is not None and server.server._beat is not None

        def ready() -> str:
            return server.api.call("GET", "/readyz").body.decode()

        assert '"ok"' in ready()
        server.server._beat._now = lambda: time.time() - 3_600
        until(lambda: "This machine's clock is 60 minutes behind the database's" in ready(), "it is said")
        server.server._beat._now = time.time
        until(lambda: '"ok"' in ready(), "the clock is right again")


def test_two_servers_of_one_name_are_told_apart(
    tmp_path: Path, migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in two containers: the same host name, and the same number of the process."""
    named = f"{migrated_url}&application_name=tidings@app:1"
    monkeypatch.setattr(nodes, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(nodes, "FROZEN_SECONDS", 1.0)
    with TestServer(tmp_path / "a", database=named, secret_key=KEY) as server, Watched(named) as watched:
        until(lambda: watched.looks > 60, "the other one has looked for longer than a frozen server is given")
        assert not watched.free and server.api.call("GET", "/readyz").status == 200
        db = psycopg.connect(migrated_url)
        rows = db.execute("SELECT name, session IS NOT NULL FROM node").fetchall()
        db.close()
        assert sorted(rows) == [("tidings@app:1", False), ("tidings@app:1", True)]


def test_doctor_lists_who_works_and_who_stands_by(two: tuple[ProcessServer, ProcessServer], migrated_url: str) -> None:
    first, second = two
    assert first.process is not None and second.process is not None

    def lines() -> list[str]:
        return [found.detail for found in look_at_database(migrated_url, first.folder) if found.what == "server"]

    until(lambda: len(lines()) == 2, "both were heard of")
    works, stands_by = lines()
    assert f":{first.process.pid} " in works and " works; it was last heard" in works
    assert f":{second.process.pid} " in stands_by and " stands by; it was last heard" in stands_by

    def listed(*more: str) -> Result:
        return CliRunner().invoke(tree(["nodes"]), ["nodes", "--database", migrated_url, *more])

    assert [
        (node["works"], str(first.process.pid) in node["name"]) for node in json.loads(listed("--json").output)
    ] == [
        (True, True),
        (False, False),
    ]
    assert re.search(r"works +\d s ago.*\n.*stands by +\d s ago", listed().output)
    first.kill()
    second.kill()
    until(lambda: listed().exit_code == 1, "nobody works")


def test_on_sqlite_there_are_no_nodes_to_list(tmp_path: Path) -> None:
    refused = CliRunner().invoke(tree(["nodes"]), ["nodes", "--data", str(tmp_path)])
    assert refused.exit_code == 1 and "which only one server can use" in refused.output


def test_a_drained_server_ends_and_the_one_that_stands_by_works(
    two: tuple[ProcessServer, ProcessServer], migrated_url: str
) -> None:
    first, second = two

    def drain(server: ProcessServer, *more: str) -> Result:
        command = ["nodes", "--database", migrated_url, "--data", str(server.folder / "data"), "drain", "self", *more]
        return CliRunner().invoke(tree(["nodes"]), command)

    assert first.process is not None and second.process is not None
    assert drain(first, "--after", "1").exit_code == 0
    until(lambda: _status(first.api, "/readyz") == 503, "it gets no new callers")
    assert first.process.wait(15) == 0
    second.wait_until_ready()
    refused = drain(second)
    assert refused.exit_code == 1 and "nobody would take over" in refused.output
    first.launch()
    until(lambda: _status(first.api, "/healthz") == 200, "it stands by in turn")
    db = psycopg.connect(migrated_url)
    [(standing,)] = db.execute("SELECT id FROM node WHERE role = 'stands by'").fetchall()
    db.close()
    ended = CliRunner().invoke(tree(["nodes"]), ["nodes", "--database", migrated_url, "drain", standing])
    assert ended.exit_code == 0
    assert first.process.wait(10) == 0 and _status(second.api, "/readyz") == 200
