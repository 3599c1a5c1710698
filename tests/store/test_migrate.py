"""Migrations: applied once, in order, and a newer database is refused."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest

from tidings.store.base import Db, Engine, StoreBusy, StoreError
from tidings.store.engines import migrate as module
from tidings.store.engines.migrate import ADDS, LEAST, migrate, migrations, only_adds, plan
from tidings.store.engines.opening import lock_folder, open_engine
from tidings.store.engines.statements import statements, to_driver

BREAKS = "-- Older versions cannot run with this: "
SAYS = f"^({re.escape(ADDS)}$|{re.escape(BREAKS)}.)"


def test_all_are_applied_and_a_second_time_changes_nothing(db: Db) -> None:
    assert db.query("SELECT number FROM migration ORDER BY number", {}) == [(number,) for number, _, _ in migrations()]
    assert migrate(db) == []


def test_numbers_have_no_gap() -> None:
    assert [number for number, _, _ in migrations()] == list(range(1, len(migrations()) + 1))


def newer(db: Db, least: int | None) -> None:
    """A version that knows a migration more has been here; `least`: what it says that others must know."""
    db.execute("DELETE FROM store WHERE name = :name", {"name": LEAST})
    db.insert("migration", ["number", "name"], [(9999, "9999_future.sql")])
    if least is not None:
        db.run("store_fact_put", name=LEAST, value=str(least))


@pytest.mark.parametrize("least", [None, 9999, len(migrations()) + 1])
def test_a_newer_database_is_refused_if_this_version_would_have_to_know_its_changes(db: Db, least: int | None) -> None:
    newer(db, least)
    with pytest.raises(StoreError, match=r"newer Tidings \(schema 9999; this version knows \d+, and only those"):
        migrate(db)


def test_a_newer_database_with_additions_alone_is_used(db: Db) -> None:
    newer(db, len(migrations()))
    assert migrate(db) == []
    assert plan(db).newer == 1


def test_each_new_migration_says_whether_older_versions_can_run_with_it() -> None:
    silent = [name for number, name, sql in migrations() if number > 30 and not re.search(SAYS, sql, re.MULTILINE)]
    assert silent == [], f"write a line {ADDS!r}, or one that begins with {BREAKS!r} and says why"


def test_what_adds_keeps_the_least_version_and_what_changes_raises_it(db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    known = migrations()
    last, least = known[-1][0], plan(db).least
    assert least < last or not only_adds(known[-1][2])
    adds = (last + 1, "adds.sql", f"{ADDS}\nCREATE TABLE more (id TEXT NOT NULL PRIMARY KEY) STRICT;")
    changes = (last + 2, "changes.sql", "-- Older versions cannot run with this: a test.\nDROP TABLE more;")
    for more, must_know in (((adds,), least), ((adds, changes), last + 2)):
        monkeypatch.setattr(module, "migrations", lambda more=more: (*known, *more))
        assert plan(db).missing == {more[-1][1]: more[-1] is adds}
        assert migrate(db) == [more[-1][1]]
        assert plan(db).least == must_know
        monkeypatch.setattr(module, "migrations", lambda: known)
        assert (plan(db).refusal is None) == (more[-1] is adds)


def test_every_statement_has_a_sentence_and_every_file_says_what_it_is_about() -> None:
    bare = []
    for file in sorted(files("tidings.store.sql").iterdir(), key=lambda each: each.name):
        if not file.name.endswith(".sql"):
            continue
        text = file.read_text()
        assert text.startswith("-- ") and not text.startswith("-- name"), file.name
        bare += re.findall(r"^-- name: (\w+)(?: \(\w+\))?\n(?!-- )", text, re.MULTILINE)
    assert bare == []


@pytest.mark.slow
def test_whoever_searches_for_a_statement_finds_who_runs_it() -> None:
    package = Path(str(files("tidings")))
    source = "\n".join(file.read_text() for file in package.rglob("*.py"))
    assert [name for name in statements("sqlite") if f'"{name}"' not in source] == []


@pytest.mark.slow
def test_every_statement_is_understood_by_its_database(engine: Engine, db: Db) -> None:
    db.begin()
    for name, sql in statements(engine.dialect).items():
        if name == "events_copied_make":
            # EXPLAIN takes no CREATE TABLE; the statement after it reads what it makes.
            db.run(name)
            continue
        written = re.sub(r"%\((\w+)\)s", r":\1", sql).replace("%%", "%")
        names = re.findall(r"(?<![:\w]):([a-z_]\w*)", written)
        assert db.query("EXPLAIN " + written, dict.fromkeys(names)), sql


def test_parameters_are_written_for_the_driver() -> None:
    assert to_driver("a = :a AND b LIKE '%' || CAST(:b_c AS text) || x::int", "postgres") == (
        "a = %(a)s AND b LIKE '%%' || CAST(%(b_c)s AS text) || x::int"
    )


def test_an_unknown_database_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="neither sqlite:FILE nor postgresql"):
        open_engine("mysql://x", tmp_path)


def test_a_folder_has_one_server(tmp_path: Path) -> None:
    lock = lock_folder(tmp_path)
    with pytest.raises(StoreBusy, match="another Tidings server"):
        lock_folder(tmp_path)
    lock.release()
    lock_folder(tmp_path).release()


def test_what_ended_before_its_link_was_noted_is_found_by_its_link(db: Db) -> None:
    for undone in (
        "DROP INDEX attempt_ended_of_link",
        "DROP INDEX waiting_of_link",
        "ALTER TABLE attempt DROP COLUMN ended_link",
        "DELETE FROM migration WHERE name LIKE '%ended_of_link.sql'",
    ):
        db.execute(undone, {})
    db.insert("delivery", ("number", "event", "link", "created"), [(n, n, 7, 0) for n in range(1, 5)])
    states = ("dead", "cancelled", "replaced", "delivered")
    columns = ("delivery", "n", "at", "outcome", "state", "duration_ms")
    db.insert("attempt", columns, [(n, 1, 0, "x", state, 0) for n, state in enumerate(states, 1)])
    assert len(migrate(db)) == 1
    assert db.query("SELECT delivery, ended_link FROM attempt ORDER BY delivery", {}) == [
        (1, 7),
        (2, 7),
        (3, 7),
        (4, None),
    ]


@pytest.mark.sqlite_only
def test_what_reads_in_the_order_of_due_times_never_sorts_a_link_s_backlog(db: Db) -> None:
    """With numbers of old statistics and none for a newer index, SQLite would take the newer one."""
    db.execute("ANALYZE", {})
    db.execute("DELETE FROM sqlite_stat1", {})
    db.insert("sqlite_stat1", ("tbl", "idx", "stat"), [("waiting", "waiting_by_link", "50000 5000 5000")])
    db.execute("ANALYZE sqlite_schema", {})
    wrong = []
    for name, sql in statements("sqlite").items():
        if "waiting" in sql and "due" in sql and "link >= 0" not in sql:
            plan = db.query("EXPLAIN QUERY PLAN " + sql, dict.fromkeys(re.findall(r"(?<![:\w]):([a-z_]\w*)", sql)))
            wrong += [name for row in plan if "waiting_of_link" in row[3]]
    assert wrong == []


def test_the_newest_that_wait_for_quiet_links_are_not_looked_for_among_everybody_s(
    postgres_url: str, tmp_path: Path
) -> None:
    """PostgreSQL went backwards through all that wait, once for each link, as one link of many promised a row soon."""
    db = open_engine(postgres_url, tmp_path).writer()
    try:
        rows = "SELECT n, 1 + n % 20, n, 0, 1, 0, 0, NULL, 0, 0 FROM generate_series(1, 20000) AS n"
        columns = "delivery, link, event, due, n, earlier, first, subject, held, created"
        db.query(f"INSERT INTO waiting ({columns}) {rows} RETURNING 1", {})
        db.execute("ANALYZE waiting", {})
        links = json.dumps([{"link": link} for link in range(1, 51)])
        for name in ("numbers_waiting_of_links", "numbers_waiting_of_links_up"):
            sql = re.sub(r"%\((\w+)\)s", r":\1", statements("postgres")[name]).replace("%%", "%")
            params = {"links": links, "after": -1, "before": 2**62, "count": 10}
            plan = str(db.query(f"EXPLAIN (FORMAT JSON) {sql}", params))
            assert "waiting_of_link" in plan and "waiting_pkey" not in plan
    finally:
        db.close()
