"""Reserves calls of keys for a joined node, on a connection that waits for no disk.

Each statement is a transaction: the count of a key is locked only while PostgreSQL carries it out, so a node that
freezes stops nobody. If the database's machine loses power, the reservations of its last moments may be lost, and as
many calls are allowed again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from tidings.model.errors import Unavailable
from tidings.rules.limits.reserves import Ask, Got, Rest
from tidings.store.base import Db, StoreError
from tidings.store.callers import call_counts

RETRY_AFTER_SECONDS = 2.0
log = logging.getLogger("tidings.limits")


class Reserving:
    """One connection with its thread."""

    def __init__(self, connect: Callable[[], Db]) -> None:
        self._connect = connect
        self._db: Db | None = None
        self._session: int | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reserving")

    async def reserve(self, asks: Sequence[Ask]) -> list[Got]:
        """Reserve these chunks. Raises Unavailable."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._reserve, asks)
        except StoreError as wrong:
            log.warning("calls could not be counted: %s", wrong)
            detail = f"The call cannot be counted: {wrong.detail}."
            raise Unavailable(detail, retry_after_seconds=RETRY_AFTER_SECONDS) from wrong

    async def give_back(self, rests: Sequence[Rest]) -> None:
        """Give these back. If that fails they are lost for their windows."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._give_back, rests)
        except StoreError as wrong:
            log.warning("%d reserves of calls could not be given back: %s", len(rests), wrong)

    def close(self) -> None:
        """End the thread and its connection."""
        self._thread.shutdown(wait=True)
        if self._db is not None:
            self._db.close()

    def _reserve(self, asks: Sequence[Ask]) -> list[Got]:
        db = self._ready()
        return [call_counts.reserve(db, ask) for ask in asks]

    def _give_back(self, rests: Sequence[Rest]) -> None:
        db = self._ready()
        for rest in rests:
            call_counts.give_back(db, rest)

    def _ready(self) -> Db:
        """The connection; of each session that it has had, what it is set to."""
        if self._db is None:
            self._db = self._connect()
        if self._db.session is None or self._db.session != self._session:
            self._db.execute("SET synchronous_commit = off", {})
            self._session = self._db.session
        return self._db
