"""Long work of the one writer in short jobs, with rests between them, so that everybody else's writes pass."""

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
"""How long a job should hold the writer."""
ROWS_FIRST, ROWS_MAX = 10, 5_000
GROWTH = 2.0


class Slicing:
    """How many rows the next job takes: as many as took SLICE_SECONDS before."""

    def __init__(self, writer: Writer, turn: Hashable = None) -> None:
        """`turn`: the tenant whose work it is; None: the operator's."""
        self._writer, self._turn = writer, turn
        self.rows = ROWS_FIRST

    async def step(self, job: Callable[[Db, int], T]) -> T:
        """Run a job of this many rows, then rest as long as it took: it gets at most half of the writer's time."""

        def timed(db: Db) -> tuple[T, float]:
            began = time.monotonic()
            result = job(db, self.rows)
            return result, time.monotonic() - began

        loop = asyncio.get_running_loop()
        began = loop.time()
        result, took = await self._writer.call(Heavy(timed, self._turn))
        factor = min(SLICE_SECONDS / max(took, 1e-6), GROWTH)
        self.rows = max(1, min(int(self.rows * factor), ROWS_MAX))
        await asyncio.sleep(min(loop.time() - began, 4 * took))
        return result  # type: ignore[no-any-return]
