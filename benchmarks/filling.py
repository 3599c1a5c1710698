"""Fills a stopped server's store with a month of events, deliveries and attempts, faster than they could be published.

The rows are those that the server would have written: only what no page reads of old attempts (headers) is left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DAYS = 30
FAILING = 10
"""Links whose last attempts failed, with deliveries that wait."""
WAITING_EACH = 10_000
DEAD_EVERY = 997
TRIES = 3
"""Of each delivery, of which all but the last fail."""
MICROS = 1_000_000
FAILED = "'The endpoint answered 503.'"

Run = Callable[[str], Any]


def fill(
    folder: Path,
    database: str,
    events: int,
    links: int,
    say: Callable[[str], None],
    dead_every: int = DEAD_EVERY,
    tries: int = TRIES,
) -> None:
    """`events` events over the last 30 days, a delivery of each, some attempts of each of those, and their tallies.

    One delivery in `dead_every` is dead; the newest ones of a few links wait if there were several tries of each.
    """
    begun = time.monotonic()
    now = int(time.time()) * MICROS
    first = now - DAYS * 86400 * MICROS
    step = DAYS * 86400 * MICROS // events
    connection, numbers, run = _postgres(database) if database else _sqlite(folder / "data" / "tidings.db")
    base = int(run("SELECT position FROM cursor WHERE name = 'event' AND journal = 0")[0][0]) + 1
    padded = "lpad(i::text, 26, '0')" if database else "printf('%026d', i)"
    at = f"{first} + i * {step}"
    data = """'{"number": ' || i || ', "text": "some words of an event"}'"""
    with _without_indexes(run, is_postgres=bool(database)):
        run(
            "INSERT INTO event (seq, id, tenant, type, subject, time, created, data) "
            f"SELECT {base} + i, 'evt_' || {padded}, 'tenant' || (i % 20), 'bench.type' || (i % 50), "
            f"'subject' || (i % 100000), {at}, {at}, {data} {numbers(events)}"
        )
        say(f"{events:,} events after {time.monotonic() - begun:,.0f} s")
        columns = "number, event, link, created"
        each = f"{base} + i, {base} + i, 1 + i % {links}, {at}"
        run(f"INSERT INTO delivery ({columns}) SELECT {each} {numbers(events)}")
        run(_attempts(base, first, step, links, dead_every, numbers(tries * events), tries))
        say(f"{tries * events:,} attempts after {time.monotonic() - begun:,.0f} s")
    say(f"indexes after {time.monotonic() - begun:,.0f} s")
    _tallies(run, numbers, now, links)
    if tries == TRIES:
        _failing(run, numbers, base, now, min(WAITING_EACH, events // (2 * links)), events, links)
    for name in ("event", "delivery", "route", "deliver", "tallied"):
        run(f"UPDATE cursor SET position = {base + events} WHERE name = '{name}' AND journal = 0")
    connection.execute("VACUUM ANALYZE" if database else "ANALYZE")
    connection.close()
    say(f"filled in {time.monotonic() - begun:,.0f} s")


def _attempts(base: int, first: int, step: int, links: int, dead_every: int, many: str, tries: int) -> str:
    """The attempts of each delivery, in the order of the primary key; the last of one in `dead_every` is dead."""
    is_dead = f"(i / {tries}) % {dead_every} = 0"

    def last(otherwise: str, dead: str, delivered: str) -> str:
        return f"CASE WHEN i % {tries} < {tries - 1} THEN {otherwise} WHEN {is_dead} THEN {dead} ELSE {delivered} END"

    values = (
        f"{base} + i / {tries}",
        f"1 + i % {tries}",
        f"{first} + (i / {tries}) * {step} + (1 + i % {tries}) * {MICROS}",
        last("'bad_status'", "'bad_status'", "'ok'"),
        last("'waiting'", "'dead'", "'delivered'"),
        last("503", "503", "200"),
        "10 + i % 90",
        last("'try later'", "'try later'", "'ok'"),
        last(FAILED, FAILED, "NULL"),
        last("NULL", f"1 + (i / {tries}) % {links}", "NULL"),
    )
    columns = "delivery, n, at, outcome, state, status, duration_ms, response, reason, ended_link"
    return f"INSERT INTO attempt ({columns}) SELECT {', '.join(values)} {many}"


@contextmanager
def _without_indexes(run: Run, *, is_postgres: bool) -> Iterator[None]:
    """Without the indexes of the three large tables, which are quicker to build when all rows are there."""
    tables = "('event', 'delivery', 'attempt')"
    keys = []
    if is_postgres:
        keys = run(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
            f"WHERE contype = 'p' AND conrelid::regclass::text IN {tables}"
        )
        for table, name, _ in keys:
            run(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        indexes = run(
            f"SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN {tables} AND schemaname = 'public'"
        )
    else:
        indexes = run(
            f"SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name IN {tables} AND sql IS NOT NULL"
        )
    for name, _ in indexes:
        run(f"DROP INDEX {name}")
    yield
    for table, name, what in keys:
        run(f"ALTER TABLE {table} ADD CONSTRAINT {name} {what}")
    for _, sql in indexes:
        run(sql)


def _tallies(run: Run, numbers: Callable[[int], str], now: int, links: int) -> None:
    buckets = ", ".join(f"b{number}" for number in range(12))
    columns = "accepted, delivered, rejected, timeout, unreachable, failed, skipped, ms_sum, " + buckets
    values = "7, 5, 2, 0, 0, 0, 0, 700, " + ", ".join("1" if number < 7 else "0" for number in range(12))
    for seconds, steps in ((60, 26 * 60), (3600, DAYS * 24)):
        start = (now // MICROS // seconds - steps) * seconds
        moment = f"{start} + (i % {steps}) * {seconds}"
        run(
            f"INSERT INTO tally (link, seconds, at, {columns}) "
            f"SELECT i / {steps}, {seconds}, {moment}, {values} {numbers((links + 1) * steps)}"
        )
    hour = now // MICROS // 3600 * 3600
    run(
        "INSERT INTO tally_reason (link, at, outcome, status, reason, count, first, last, delivery, created) "
        f"SELECT 1 + i / 24, {hour} - (i % 24) * 3600, 'bad_status', 503, 'The endpoint answered #.', 5, "
        f"{now}, {now}, 1, {now} {numbers(links * 24)}"
    )


def _failing(run: Run, numbers: Callable[[int], str], base: int, now: int, each: int, events: int, links: int) -> None:
    """Some links fail, and the newest deliveries through them wait for tomorrow."""
    tomorrow, since, count = now + 86400 * MICROS, now - 3600 * MICROS, FAILING * each
    number = f"{base} + {events} - 1 - (i / {FAILING}) * {links} - ({links} - 1 - i % {FAILING})"
    run(f"DELETE FROM attempt WHERE n = 3 AND delivery IN (SELECT {number} {numbers(count)})")
    run(
        "INSERT INTO waiting (delivery, link, event, due, n, earlier, first, subject, held, created) "
        f"SELECT {number}, 1 + i % {FAILING}, {number}, {tomorrow}, 2, 0, {since}, NULL, 0, {since} {numbers(count)}"
    )
    failing = f"fails = 50, failing_since = {since}, last_failure = {now}, open = 1, probe_at = {tomorrow}"
    run(
        "INSERT INTO link_state (link, fails, open, probe_delay_seconds) "
        f"SELECT 1 + i, 0, 0, 0 {numbers(FAILING)} WHERE TRUE ON CONFLICT (link) DO NOTHING"
    )
    run(f"UPDATE link_state SET {failing} WHERE link <= {FAILING}")


def _sqlite(path: Path) -> tuple[Any, Callable[[int], str], Run]:
    import apsw

    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -400000")

    def numbers(count: int) -> str:
        each = f"SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count}"
        return f"FROM (WITH RECURSIVE n(i) AS ({each}) SELECT i FROM n)"

    return connection, numbers, lambda sql: list(connection.execute(sql))


def _postgres(url: str) -> tuple[Any, Callable[[int], str], Run]:
    import psycopg

    connection = psycopg.connect(url, autocommit=True)
    connection.execute("SET synchronous_commit = off")
    connection.execute("SET maintenance_work_mem = '512MB'")
    connection.execute("ALTER SYSTEM SET max_wal_size = '8GB'")
    connection.execute("SELECT pg_reload_conf()")

    def run(sql: str) -> Any:
        ran = connection.execute(sql)
        return ran.fetchall() if ran.description else []

    return connection, lambda count: f"FROM generate_series(0::bigint, {count - 1}) AS i", run
