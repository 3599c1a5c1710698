"""Requests that were refused, kept so that people can see why.

They are stored a moment after they were answered, many in one transaction. Each hook has room for PER_FLUSH_MAX at a
time and REFUSALS_KEPT in all, each tenant for its share of the bytes, and no sender's address takes the room of
others. So a flood of forged requests burdens neither the disk nor the writer, and does not push out a genuine request
that was refused because of a wrong secret. Requests without room are counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from typing import Any

from tidings.model.errors import TidingsError
from tidings.model.hook import Receipt
from tidings.rules.share import Share
from tidings.store import receipts
from tidings.store.base import Db
from tidings.store.writer import Writer

FLUSH_SECONDS = 0.5
PER_FLUSH_MAX, PER_CLIENT_MAX = 20, 5
"""The maximum number of requests to one hook, and from one address, that are stored at a time. Later ones would show
nothing new."""
WAITING_BYTES_MAX = 8 * 1024 * 1024
REQUEST_BYTES = 2_048
"""The approximate size of a request in bytes, without its body."""
REFUSALS_KEPT, KEPT_BYTES_MAX = 1_000, 16 * 1024 * 1024
"""The limits for one hook."""
TRIM_EVERY = 100

log = logging.getLogger("tidings.hooks")


class HookRefusals:
    """Refused requests on their way to the store. Belongs to one event loop."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._waiting: dict[str, list[dict[str, Any]]] = {}
        self._clients: Counter[tuple[str, str]] = Counter()
        self._held: list[tuple[str | None, int]] = []
        self._since_trim: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None
        self.share = Share("refusals", WAITING_BYTES_MAX)
        """The bytes of refused requests that are not written yet."""
        self.left_out = 0
        """The number of refused requests that were not kept, because their hook, sender or tenant had no room left."""

    def has_room(self, receipt: Receipt) -> bool:
        """Whether there is room for a request; otherwise it is counted as left out."""
        waiting, whose = self._waiting.get(receipt.hook, ()), (receipt.hook, _network(receipt.client))
        if (
            len(waiting) < PER_FLUSH_MAX
            and self._clients[whose] < PER_CLIENT_MAX
            and self.share.take(receipt.tenant, size := len(receipt.body) + REQUEST_BYTES)
        ):
            self._held.append((receipt.tenant, size))
            self._clients[whose] += 1
            return True
        self.left_out += 1
        return False

    def keep(self, receipt: Receipt, fields: dict[str, Any]) -> None:
        """Store it soon, after `has_room`. `fields`: the stored fields."""
        self._waiting.setdefault(receipt.hook, []).append(fields)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._flush_soon(), name="refusals")

    async def flush(self) -> None:
        """Store waiting requests. Those that the store refuses are lost, but they were never let in."""
        waiting, held = self._waiting, self._held
        self._waiting, self._held = {}, []
        self._clients.clear()
        trimmed = [hook for hook, found in waiting.items() if self._is_to_trim(hook, len(found))]

        def store(db: Db) -> None:
            for found in waiting.values():
                for fields in found:
                    receipts.put(db, fields)
            for hook in trimmed:
                receipts.trim(db, hook, REFUSALS_KEPT, KEPT_BYTES_MAX)

        try:
            if waiting:
                await self._writer.call(store)
        except TidingsError as wrong:
            log.warning("refused requests could not be kept: %s", wrong.detail)
        finally:
            for tenant, size in held:
                self.share.give_back(tenant, size)

    async def stop(self) -> None:
        """Store waiting requests, before the writer is closed."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self.flush()

    def _is_to_trim(self, hook: str, fresh: int) -> bool:
        # After a start the number of stored refusals is unknown.
        count = self._since_trim.get(hook, TRIM_EVERY) + fresh
        self._since_trim[hook] = 0 if count >= TRIM_EVERY else count
        return count >= TRIM_EVERY

    async def _flush_soon(self) -> None:
        while self._waiting:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()


def _network(client: str) -> str:
    """The address or, for IPv6, its /64, because a sender can have as many addresses as it likes."""
    return ":".join(client.split(":")[:4]) if ":" in client else client
