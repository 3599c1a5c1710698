"""Reading next to the writer: a few threads, each with a connection.

Handing a look-up of ten microseconds to a thread and back costs ten times that, so where the engine can promise to be
brief it is done at once, on the event loop's own connection; a read that turns out to take longer goes to a thread
after all. If each statement waits for a socket, the event loop awaits the jobs that have only one
(engines/gathering.py).

A job that computes a lot, such as a plan of hundreds of declarations, calls `rest` of its connection now and then.
A thread that needs the interpreter waits for each thread that computes, up to 5 ms, whenever it comes back from the
database or a socket. So one thread computes at a time, for half of the time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tidings.model.errors import Unavailable
from tidings.rules.share import Share
from tidings.store.base import Db, Engine, Lost, NotSingle, Outdated, StoreError, TooLong
from tidings.store.engines.gathering import Awaiting
from tidings.store.share_queue import ShareQueue

THREADS = 5
OWN_READS = ""
"""The queue in which the server's own reads run. It is separate from those of tenants, and from that of the operator,
who may read a lot."""
TRIES_MAX = 10
"""The maximum number of attempts at a read, if tables change during each one."""
REST_SECONDS = 0.05
"""How long the reads of a tenant are run by threads after a brief read of the tenant took too long, because that
attempt was wasted."""
COMPUTE_SECONDS = 0.002
"""The time after which a job that computes a lot pauses."""
PAUSE_SECONDS_MAX = 0.02
log = logging.getLogger("tidings.readers")

T = TypeVar("T")


class _Computing:
    """Which thread computes a lot."""

    def __init__(self) -> None:
        self._one = threading.Lock()
        self._local = threading.local()

    def begin(self) -> None:
        """This thread begins a job."""
        self._local.began, self._local.computes = time.monotonic(), False

    def end(self) -> None:
        """This thread has finished its job, or pauses."""
        if self._local.computes:
            self._local.computes = False
            self._one.release()

    def rest(self) -> None:
        """Pause for as long as this thread has computed, and until no other thread computes."""
        took = time.monotonic() - self._local.began
        if took < COMPUTE_SECONDS:
            return
        self.end()
        time.sleep(min(took, PAUSE_SECONDS_MAX))
        self._one.acquire()
        self._local.began, self._local.computes = time.monotonic(), True


class Readers:
    """Runs functions of a read connection in its own threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._local = threading.local()
        self._open: list[Db] = []
        self._computing = _Computing()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="reader")
        self._brief, self._awaited = engine.brief_reader(), engine.awaited_reads()
        self._rests: dict[str | None, float] = {}
        self.share = Share("readers", THREADS)
        self._places = ShareQueue(self.share)
        self._awaiting = None if self._awaited is None else Awaiting(self._awaited, self._places)

    async def call(self, job: Callable[[Db], T], tenant: str | None = None, *, single: bool = False) -> T:
        """Run `job` in the tenant's turn and await its result; it may be started twice. `single`: see `brief`.

        Raises what it raised, or Unavailable if the store refused.
        """
        await self._places.take(tenant)
        reading = self._pool.submit(self.run, job, single=single)
        try:
            return await asyncio.wrap_future(reading)
        finally:
            if reading.done():
                self._places.leave(tenant)
            else:
                # Nobody waits for it any more, but its thread continues.
                loop = asyncio.get_running_loop()
                reading.add_done_callback(lambda done: self._left(loop, tenant))

    def _left(self, loop: asyncio.AbstractEventLoop, tenant: str | None) -> None:
        # A server that has stopped in the meantime has closed its loop.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._places.leave, tenant)

    async def brief(self, job: Callable[[Db], T], tenant: str | None = None, *, single: bool = False) -> T:
        """As `call`, for jobs that probably take a few steps along an index. `job` may be started twice.

        `single`: it runs one statement, which sees one moment even without a transaction.
        """
        if self._brief is not None and (not self._rests or self._may_try(tenant)):
            try:
                if single:
                    self._brief.start_brief()
                    return job(self._brief)
                return self._read(self._brief, job)
            except TooLong:
                self._rests[tenant] = time.monotonic() + REST_SECONDS
            except Outdated:
                # A thread reads it, repeatedly if necessary.
                pass
            except StoreError as wrong:
                raise _unreadable(wrong) from wrong
        if single and self._awaiting is not None:
            try:
                return await self._awaiting.run(job, tenant)
            except (Lost, Outdated, NotSingle):
                return await self.call(job, tenant)
            except StoreError as wrong:
                raise _unreadable(wrong) from wrong
        return await self.call(job, tenant, single=single)

    def _may_try(self, tenant: str | None) -> bool:
        until = self._rests.get(tenant)
        if until is None:
            return True
        if until > time.monotonic():
            return False
        del self._rests[tenant]
        return True

    def run(self, job: Callable[[Db], T], *, single: bool = False) -> T:
        """Run `job` in this thread, in one read transaction, so that everything it sees is from one moment."""
        try:
            db: Db | None = getattr(self._local, "db", None)
            if db is None:
                db = self._local.db = self._engine.reader()
                db.rest = self._computing.rest
                self._open.append(db)
            self._computing.begin()
            try:
                return self._often(db, job, single=single)
            finally:
                self._computing.end()
        except StoreError as wrong:
            raise _unreadable(wrong) from wrong

    def _often(self, db: Db, job: Callable[[Db], T], *, single: bool) -> T:
        """Read, once more after a lost connection, and again while tables change: a declaration may make hundreds."""
        for _ in range(TRIES_MAX - 1):
            try:
                return self._read(db, job, single=single)
            except Outdated:
                single = False
            except Lost:
                return self._read(db, job)
        return self._read(db, job)

    def _read(self, db: Db, job: Callable[[Db], T], *, single: bool = False) -> T:
        if single:
            # Over a network, BEGIN and ROLLBACK take as long as the statement.
            try:
                return job(db)
            except StoreError:
                db.rollback()
                raise
        db.begin(write=False)
        try:
            return job(db)
        finally:
            db.rollback()

    def close(self) -> None:
        """Wait for running jobs, then close the connections."""
        self._pool.shutdown(wait=True)
        for db in self._open:
            db.close()
        for more in (self._brief, self._awaited):
            if more is not None:
                more.close()


def _unreadable(wrong: StoreError) -> Unavailable:
    log.warning("the store could not be read: %s", wrong)
    return Unavailable(f"The store cannot be read: {wrong.detail}.", retry_after_seconds=2.0)
