"""Long work for the one writer in short jobs with rests in between, so that everybody else's writes get through."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from typing import TypeVar

from tidings.store.base import Db
from tidings.store.jobs import Heavy
from tidings.store.writer import Writer

T = TypeVar("T")

SLICE_SECONDS = 0.01
"""How long one job should occupy the writer."""
ROWS_FIRST, ROWS_MAX = 10, 5_000
GROWTH = 2.0
REST_FACTOR_MAX = 4
"""The pause after a job is at most this many times as long as the job occupied the writer, no matter how long the
job waited for its turn."""


class Slicing:
    """Decides how many rows the next job takes: as many as took SLICE_SECONDS before."""

    def __init__(self, writer: Writer, turn: Hashable = None) -> None:
        """`turn`: the tenant whose work it is; None for the operator's."""
        self._writer, self._turn = writer, turn
        self.rows = ROWS_FIRST

    async def step(self, job: Callable[[Db, int], T]) -> T:
        """Run a job of this many rows, then rest."""
        rows = self.rows
        return await self.prepared(rows, lambda db: job(db, rows))

    async def prepared(self, rows: int, job: Callable[[Db], T]) -> T:
        """Run a job that was prepared for this many rows, which may be fewer than it could take; then rest."""
        result, took = await _rested(self._writer, job, self._turn)
        self.note(rows, took)
        return result

    def note(self, rows: int, took: float) -> None:
        """Learn from work on this many rows that took this long. A few rows say little about many."""
        if 2 * rows >= self.rows:
            factor = min(SLICE_SECONDS / max(took, 1e-6) * rows / self.rows, GROWTH)
            self.rows = max(1, min(int(self.rows * factor), ROWS_MAX))


async def rested(
    writer: Writer, job: Callable[[Db], T], turn: Hashable = None, then: Callable[[T], None] | None = None
) -> T:
    """Run one short job of long work, then rest for as long as it took: the work gets at most half of the time.

    `then` gets the result before the rest.

    The writer's own turns (store/jobs.py) only let through writes that are already queued. Without rests, this work
    would keep the database and the processor busy all the time, and other writes would take longer.
    """
    return (await _rested(writer, job, turn, then))[0]


async def _rested(
    writer: Writer, job: Callable[[Db], T], turn: Hashable, then: Callable[[T], None] | None = None
) -> tuple[T, float]:
    """The job's result, and how long it held the writer."""

    def timed(db: Db) -> tuple[T, float]:
        began = time.monotonic()
        result = job(db)
        return result, time.monotonic() - began

    loop = asyncio.get_running_loop()
    began = loop.time()
    result, took = await writer.call(Heavy(timed, turn))
    if then is not None:
        then(result)
    await asyncio.sleep(min(loop.time() - began, REST_FACTOR_MAX * took))
    return result, took
