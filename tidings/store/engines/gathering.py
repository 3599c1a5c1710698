"""Reads of one statement that the event loop awaits, in groups: while one group is in progress, the next one gathers.

Each tenant has its own line, so that a slow read keeps only reads of its tenant waiting; after PATIENCE_SECONDS they
get another worker, if the tenant may have one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from tidings.store.base import AwaitedReads, Db
from tidings.store.share_queue import ShareQueue

T = TypeVar("T")
GROUP_MAX = 32
"""The maximum number of statements that are sent together."""
CROWD = 16
"""If this many statements wait, a second worker sends some while the first one still waits for its results."""
PATIENCE_SECONDS = 0.005

Entry = tuple[Callable[[Db], Any], asyncio.Future[Any]]


class Awaiting:
    """The groups of all tenants. Belongs to one event loop."""

    def __init__(self, reads: AwaitedReads, places: ShareQueue) -> None:
        """`places`: where each group takes one."""
        self._reads, self._places = reads, places
        self._lines: dict[str | None, _Line] = {}

    async def run(self, job: Callable[[Db], T], tenant: str | None) -> T:
        """Run a job in one of its tenant's groups. Raises what it raised."""
        loop = asyncio.get_running_loop()
        line = self._lines.get(tenant)
        if line is None:
            line = self._lines[tenant] = _Line()
        future: asyncio.Future[T] = loop.create_future()
        line.entries.append((job, future))
        if not line.workers or (len(line.entries) >= CROWD and len(line.workers) < 2):
            self._start(line, tenant)
        elif line.timer is None:
            self._set_timer(line, tenant)
        return await future

    def _set_timer(self, line: _Line, tenant: str | None) -> None:
        loop = asyncio.get_running_loop()
        line.timer = loop.call_later(PATIENCE_SECONDS, self._mind, line, tenant, line.groups)

    def _mind(self, line: _Line, tenant: str | None, groups: int) -> None:
        """Let another worker help if no group has been taken in the meantime."""
        line.timer = None
        if line.entries and line.groups == groups:
            self._start(line, tenant)
        elif line.entries:
            # A group was taken, and these arrived after it: without a new timer they would wait until it ends.
            self._set_timer(line, tenant)

    def _start(self, line: _Line, tenant: str | None) -> None:
        task = asyncio.ensure_future(self._work(line, tenant))
        line.workers.add(task)
        task.add_done_callback(line.workers.discard)

    async def _work(self, line: _Line, tenant: str | None) -> None:
        await self._places.take(tenant)
        try:
            while line.entries:
                group = [line.entries.popleft() for _ in range(min(GROUP_MAX, len(line.entries)))]
                line.groups += 1
                await self._run(group)
        finally:
            self._places.leave(tenant)
            if len(line.workers) == 1 and not line.entries:
                self._lines.pop(tenant, None)

    async def _run(self, group: list[Entry]) -> None:
        try:
            outcomes = await self._reads.run_all([job for job, _ in group])
        except Exception as broken:
            outcomes = [(None, broken)] * len(group)
        for (_, future), (value, wrong) in zip(group, outcomes, strict=True):
            if future.done():
                # Nobody waits for it any more.
                continue
            if wrong is not None:
                future.set_exception(wrong)
            else:
                future.set_result(value)


class _Line:
    """What one tenant reads: the jobs that wait, and who takes them."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque()
        self.workers: set[asyncio.Task[None]] = set()
        self.timer: asyncio.TimerHandle | None = None
        self.groups = 0
        """How many groups were taken."""
