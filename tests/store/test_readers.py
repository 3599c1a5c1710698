"""Readers are shared out by tenant: long reads of one never take all threads."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from tidings.store.base import Db
from tidings.store.engines.opening import open_engine
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
