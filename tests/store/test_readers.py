"""Readers are shared out by tenant: long reads of one never take all threads."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from tidings.store.base import Db
from tidings.store.engines.opening import open_engine
from tidings.store.engines.sqlite import translated
from tidings.store.readers import THREADS, Readers


def readers_of(folder: Path) -> Readers:
    engine = open_engine("sqlite:tidings.db", folder)
    engine.writer().close()
    return Readers(engine)


def test_long_reads_of_one_tenant_leave_threads_for_others(tmp_path: Path) -> None:
    """Sixteen connections that count made everybody's reads take a second."""
    readers = readers_of(tmp_path)
    go = threading.Event()

    def long(db: Db) -> int:
        go.wait(10)
        return 1

    async def run() -> None:
        busy = [asyncio.ensure_future(readers.call(long, "busy")) for _ in range(16)]
        also = [asyncio.ensure_future(readers.call(long, "also")) for _ in range(16)]
        await asyncio.sleep(0)
        assert readers.share.held("busy") == 3
        assert await asyncio.wait_for(readers.call(lambda db: 7, "quiet"), 5) == 7
        assert await asyncio.wait_for(readers.call(lambda db: 8, None), 5) == 8
        go.set()
        assert sum(await asyncio.gather(*busy, *also)) == 32
        assert readers.share.used == 0

    asyncio.run(run())
    readers.close()


def test_an_abandoned_read_keeps_its_share_until_the_thread_is_free(tmp_path: Path) -> None:
    readers = readers_of(tmp_path)
    go, begun = threading.Event(), threading.Event()

    def long(db: Db) -> None:
        begun.set()
        go.wait(10)

    async def run() -> None:
        reading = asyncio.ensure_future(readers.call(long, "busy"))
        await asyncio.to_thread(begun.wait, 5)
        waiting = [asyncio.ensure_future(readers.call(long, "busy")) for _ in range(THREADS)]
        await asyncio.sleep(0)
        reading.cancel()
        for each in waiting:
            each.cancel()
        await asyncio.gather(reading, *waiting, return_exceptions=True)
        assert readers.share.held("busy") >= 1
        go.set()
        assert await asyncio.wait_for(readers.call(lambda db: 7, "busy"), 5) == 7
        while readers.share.used:
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(run(), 10))
    readers.close()


@pytest.mark.slow
def test_one_job_computes_at_a_time_and_for_half_of_the_time(tmp_path: Path) -> None:
    """Whoever needs the interpreter waits for each thread that computes, each time it comes back from the database."""
    readers = readers_of(tmp_path)
    computing, most, lock = 0, 0, threading.Lock()

    def compute(db: Db) -> tuple[float, float]:
        nonlocal computing, most
        began, worked = time.monotonic(), 0.0
        for turn in range(5):
            if turn:
                with lock:
                    computing += 1
                    most = max(most, computing)
            until = time.monotonic() + 0.003
            while time.monotonic() < until:
                pass
            worked += 0.003
            if turn:
                with lock:
                    computing -= 1
            db.rest()
        return time.monotonic() - began, worked

    with ThreadPoolExecutor(4) as threads:
        for took, worked in threads.map(lambda _: readers.run(compute), range(4)):
            assert took >= 2 * worked
    assert most == 1
    # What is brief does not pause, and a job that fails leaves the turn to others.
    began = time.monotonic()

    def ask_often(db: Db) -> None:
        for _ in range(1_000):
            db.rest()

    readers.run(ask_often)
    assert time.monotonic() - began < 1

    def fail(db: Db) -> None:
        time.sleep(0.003)
        db.rest()
        raise KeyError

    with pytest.raises(KeyError):
        readers.run(fail)
    assert readers.run(compute)[1] > 0


def test_a_read_is_begun_again_while_tables_change_under_it(tmp_path: Path) -> None:
    """A declaration of hundreds of collections changes tables for seconds; each time SQLite reads all of them again."""
    readers = readers_of(tmp_path)
    times: list[int] = []

    def job(db: Db) -> int:
        times.append(1)
        if len(times) % 6:
            raise translated(apsw.SchemaChangeError("database schema has changed"))
        return len(times)

    async def run() -> None:
        assert await readers.call(job) == 6
        assert await readers.brief(job) == 12

    asyncio.run(run())
    readers.close()


def test_a_read_that_ends_after_the_server_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    readers, go = readers_of(tmp_path), threading.Event()

    async def run() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(readers.call(lambda db: go.wait(10)), 0.05)

    asyncio.run(run())
    go.set()
    readers.close()
    assert not caplog.records
