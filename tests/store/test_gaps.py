"""A database that went back in time says so at the start, and gives no number out twice."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Run, run, server
from tests.postgres_server import PostgresServer
from tidings.store.base import Lost, Superseded
from tidings.store.engines.gaps import EVENTS_PER_SECOND_MAX, MARGIN, HowFar, gap_after_restore, mark_restored
from tidings.store.engines.opening import open_engine
from tidings.store.journal import events_between, gaps
from tidings.testing import TestServer

__all__ = ["run", "server"]


def ids(server: TestServer, after: str) -> list[str]:
    return [each["id"] for each in server.api.get("/v1/events", after=after)["data"]]


def end(server: TestServer) -> str:
    """The cursor of somebody who has read everything."""
    return str(server.api.get("/v1/events", after="start")["next_cursor"])


def refused(server: TestServer, cursor: str) -> bool:
    reply = server.api.call("GET", "/v1/events", after=cursor)
    return reply.status == 422 and b"restored from a backup" in reply.body


@pytest.mark.slow
def test_an_older_copy_in_the_place_of_the_database_is_named_and_repeats_no_number(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "data"
    with TestServer(folder) as server:
        server.api.publish("step")
        before = end(server)
    shutil.copy(folder / "tidings.db", tmp_path / "old.db")
    with TestServer(folder) as server:
        for _ in range(3):
            server.api.publish("step")
        later = end(server)
    shutil.copy(tmp_path / "old.db", folder / "tidings.db")
    with caplog.at_level(logging.WARNING), TestServer(folder) as server:
        assert ["had stored 3 more events" in line for line in caplog.messages].count(True) == 1
        assert refused(server, later) and ids(server, before) == []
        fresh = [server.api.publish("step") for _ in range(5)]
        assert ids(server, before) == fresh, "a reader from before the copy sees each new event"
        assert refused(server, later), "and one from after it is not led past them"
        now = end(server)
        facts = server.api.get("/v1/health")
        assert facts["state"] == "ok", facts
        store = server.api.get("/v1/server")["store"]
        event = next(each for each in store["tables"] if each["name"] == "event")
        assert (event["rows"], event["bytes"] < store["bytes"]) == (6, True), "what was jumped over is not stored"
        endpoint, _ = server.api.register("http://127.0.0.1:9/", events=["other"])
        asked = {"endpoint_id": endpoint, "since": "2020-01-01T00:00:00Z", "which": "all", "dry_run": True}
        assert server.api.call("POST", "/v1/replays", asked).json["total"] == 6, "nor looked at by a job"
    caplog.clear()
    with caplog.at_level(logging.WARNING), TestServer(folder) as server:
        assert not [line for line in caplog.messages if "more events" in line], "it is said once"
        assert refused(server, later) and ids(server, now) == []


@pytest.mark.slow
def test_a_restore_on_another_machine_is_named_by_both_times(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with TestServer(tmp_path / "data") as server:
        first = server.api.publish("step")
        before = end(server)
        made = run("backup", str(tmp_path / "x.db"), "--data", str(server.folder), "--with-key", str(tmp_path / "k"))
        assert made.exit_code == 0, made.output
        server.api.publish("step")
        later = end(server)
    again = ("--data", str(tmp_path / "new"), "--key", str(tmp_path / "k"))
    assert run("restore", str(tmp_path / "x.db"), *again).exit_code == 0
    with caplog.at_level(logging.WARNING), TestServer(tmp_path / "new") as server:
        [line] = [line for line in caplog.messages if "from a backup of" in line]
        assert line.startswith("this database was restored at 2") and "with the same webhook-id" in line
        assert refused(server, later) and ids(server, before) == []
        fresh = server.api.publish("step")
        assert ids(server, before) == [fresh] and ids(server, "start") == [first, fresh]
    with TestServer(tmp_path / "new") as server:
        assert refused(server, later)


def test_a_restored_store_without_events_has_no_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    engine = open_engine("sqlite:tidings.db", tmp_path)
    db = engine.writer()
    db.begin()
    mark_restored(db, 3_600_000_000, "seen")
    gap_after_restore(db, None, None, 3_600_000_000)
    gap_after_restore(db, HowFar(12 << 30, 3_600_000_000), None, 3_600_000_000)
    for timeline in ("one", "another"):
        gap_after_restore(db, None, None, 3_600_000_000, timeline)
    db.commit()
    db.close()
    restored, replaced, moved = caplog.messages
    assert restored.startswith("this database was restored at 1970-01-01T01:00:00Z from a backup of an empty store: ")
    assert replaced.startswith("this database has no events, but this server had stored ")
    assert "was last in use; what was stored" in moved and "T00:00:00Z" not in caplog.text


@pytest.mark.slow
def test_a_start_after_kill_or_on_a_new_store_names_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with TestServer(tmp_path / "data") as server:
                server.api.publish("step")
    assert not [line for line in caplog.messages if "missing" in line]


@pytest.mark.parametrize("known", [True, False], ids=["noted", "restored"])
def test_the_counter_jumps_over_all_that_may_have_been_used(database: str | None, tmp_path: Path, known: bool) -> None:
    """`route` stays behind if events are still to be routed; what was counted stays counted."""
    engine = open_engine(database or "sqlite:tidings.db", tmp_path)
    db = engine.writer()
    db.begin()
    db.query("UPDATE cursor SET position = 10 WHERE name IN ('event', 'tallied') RETURNING 1", {})
    folder = HowFar(12, 0) if known else None
    gap = gap_after_restore(db, folder, 0, 0, "another")
    db.commit()
    if known:
        assert gap is not None and (gap.after, gap.until) == (10, 12 + MARGIN)
        position: dict[str, int] = dict(
            db.query("SELECT name, position FROM cursor WHERE name IN ('event', 'route', 'tallied')", {})
        )
        assert position == {"event": gap.until, "route": 0, "tallied": 10}
    else:
        assert gap is None, "the first timeline is not another one"
        db.begin()
        gap = gap_after_restore(db, None, 0, 3_600_000_000, "a third")
        db.commit()
        assert gap is not None and gap.until > 3_600 * EVENTS_PER_SECOND_MAX
    assert gaps(db) == [gap]
    assert events_between(db, 0, gap.until + 5) == gap.after + 5 and events_between(db, 2, 9) == 7
    assert events_between(db, 10, gap.until + 5) == 5, "as tallies count events, from the last that was counted"
    assert events_between(db, gap.after + 3, gap.until + 1) == 1, "it begins inside of the gap"
    db.close()
    engine.close()


@pytest.mark.postgres
def test_a_server_whose_database_goes_back_under_it_ends(
    tmp_path: Path, postgres_server: PostgresServer, migrated_url: str
) -> None:
    engine = open_engine(migrated_url, tmp_path)
    db = engine.writer()
    engine.claim(db)
    engine.note_reached(7)
    name = migrated_url.partition("?")[0].rpartition("/")[2]
    postgres_server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    with pytest.raises(Lost):
        db.query("SELECT 1", {})
    with pytest.raises(Superseded, match=r"went back in time.* lacks events .*\(7\)"):
        db.query("SELECT 1", {})
    db.close()
    engine.close()
