"""Reading beside the writer: a few threads with a connection each."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tidings.model.errors import Unavailable
from tidings.store.base import Db, Engine, StoreError

THREADS = 4

T = TypeVar("T")


class Readers:
    """Runs functions of a read connection in threads of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._local = threading.local()
        self._open: list[Db] = []
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="reader")

    async def call(self, job: Callable[[Db], T]) -> T:
        """Run `job` and await its result. Raises what it raised, or Unavailable where the store refused."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self.run, job)

    def run(self, job: Callable[[Db], T]) -> T:
        """Run `job` in this thread, in one read transaction, so that all it sees is of one moment."""
        try:
            db: Db | None = getattr(self._local, "db", None)
            if db is None:
                db = self._local.db = self._engine.reader()
                self._open.append(db)
            db.begin(write=False)
            try:
                return job(db)
            finally:
                db.rollback()
        except StoreError as wrong:
            raise Unavailable(f"The store cannot be read: {wrong.detail}.", retry_after_seconds=2.0) from wrong

    def close(self) -> None:
        """Wait for what runs, then close the connections."""
        self._pool.shutdown(wait=True)
        for db in self._open:
            db.close()
