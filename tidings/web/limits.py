"""Call limits of keys: counted in memory, kept in the store where a restart should not reset them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from tidings.model.access import Key
from tidings.model.errors import LimitReached, TidingsError
from tidings.model.moment import SECOND, Clock
from tidings.store.base import Db
from tidings.store.readers import Readers
from tidings.store.writer import Writer

KEPT_SECONDS_MIN = 60
"""Shorter windows are over before a restart is."""
FLUSH_SECONDS = 1.0

log = logging.getLogger("tidings.limits")


class Limits:
    """Counts calls per key and window. Windows are counted from the epoch. Belongs to one event loop."""

    def __init__(self, clock: Clock, writer: Writer) -> None:
        self._clock = clock
        self._writer = writer
        self._counts: dict[tuple[str, int], tuple[int, int]] = {}
        """(key id, seconds) -> (start of the window in seconds, calls in it)."""
        self._unwritten: set[tuple[str, int]] = set()
        self._flushing = False

    async def load(self, readers: Readers) -> None:
        """Read what was counted before a restart."""
        for key, seconds, start, calls in await readers.call(lambda db: db.all("call_counts")):
            self._counts[key, seconds] = (start, calls)

    def take(self, key: Key) -> list[tuple[str, str]]:
        """Count one call; the RateLimit headers (draft-ietf-httpapi-ratelimit-headers).

        Raises LimitReached, and counts nothing, where one of the windows is used up.
        """
        now = self._clock.now() / SECOND
        windows: list[tuple[int, int, int, int]] = []
        for limit in key.limits:
            start = int(now // limit.seconds) * limit.seconds
            its_start, calls = self._counts.get((key.id, limit.seconds), (start, 0))
            windows.append((limit.calls, limit.seconds, start, calls if its_start == start else 0))
        spent = [window for window in windows if window[3] >= window[0]]
        headers = _headers(windows, now, 0 if spent else 1)
        if spent:
            wait = max(start + seconds - now for _, seconds, start, _ in spent)
            calls, seconds = spent[0][:2]
            raise LimitReached(
                f"This key may make {calls} calls in {seconds} seconds.", retry_after_seconds=wait, headers=headers
            )
        for _, seconds, start, calls in windows:
            self._counts[key.id, seconds] = (start, calls + 1)
            if seconds >= KEPT_SECONDS_MIN:
                self._unwritten.add((key.id, seconds))
        if self._unwritten and not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush_soon)
        return headers

    async def flush(self) -> None:
        """Write the counts that changed."""
        rows = [
            {"key": key, "seconds": seconds, "window_start": start, "calls": calls}
            for key, seconds in self._unwritten
            for start, calls in [self._counts[key, seconds]]
        ]
        self._unwritten.clear()
        self._flushing = False
        if rows:
            await self._writer.call(lambda db: _write(db, rows))

    def _flush_soon(self) -> None:
        task = asyncio.get_running_loop().create_task(self.flush())
        task.add_done_callback(_say)


def _write(db: Db, rows: list[dict[str, Any]]) -> None:
    db.many("call_count_put", rows)


def _say(task: asyncio.Task[None]) -> None:
    wrong = None if task.cancelled() else task.exception()
    if wrong is not None:
        log.warning("call counts could not be kept: %s", wrong.detail if isinstance(wrong, TidingsError) else wrong)


def _headers(windows: list[tuple[int, int, int, int]], now: float, this_call: int) -> list[tuple[str, str]]:
    policy = ", ".join(f'"{seconds}s";q={calls};w={seconds}' for calls, seconds, _, _ in windows)
    left = ", ".join(
        f'"{seconds}s";r={max(0, calls - made - this_call)};t={max(1, int(start + seconds - now))}'
        for calls, seconds, start, made in windows
    )
    return [("ratelimit-policy", policy), ("ratelimit", left)]
