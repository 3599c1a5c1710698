"""Certificates and keys that senders publish at a URL, fetched through the address guard and kept for hours.

The schemes name the hosts that may be asked, so a request can only choose among what its scheme trusts. How often
requests to one tenant's hooks can make us fetch is limited: an impostor who names a different certificate each time
must neither make us call its issuer each time, nor push out what genuine requests need.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

from tidings.rules.schemes import Needed
from tidings.rules.share import Share

KEPT_SECONDS = 6 * 3_600.0
AGAIN_SECONDS = 60.0
"""The minimum time between two requests to a URL that failed, or that was fetched again because its keys did not
match."""
KEPT_MAX, FAILED_KEPT_MAX = 1_000, 1_000
KEPT_BYTES_MAX = 16 * 1024 * 1024
FETCH_SECONDS = 5.0
CONTENT_BYTES_MAX = 256 * 1024
AT_ONCE_MAX = 32
FETCHES_MAX, WINDOW_SECONDS = 30, 60.0
"""The maximum number of fetches for all hooks of a tenant in each time window, and the length of the window."""

Fetch = Callable[[str, str, bytes, float, int], Awaitable[bytes | None]]
"""Takes a URL, a method, a body, and limits in seconds and bytes; returns the body of a 2xx response, or None."""


class Fetched:
    """What was fetched. Belongs to one event loop."""

    def __init__(self, fetch: Fetch, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch, self._clock = fetch, clock
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._kept_bytes = 0
        self._failed: OrderedDict[str, float] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[bytes | None]] = {}
        self._window = 0.0
        self._counts: dict[str | None, int] = {}
        self.share = Share("fetches", AT_ONCE_MAX)
        """The requests for certificates and keys that are in progress."""

    async def all(self, needed: Sequence[Needed], tenant: str | None, *, again: bool = False) -> dict[str, bytes]:
        """Everything that could be fetched, by key. `again`: the cached ones did not match."""
        found = {}
        for each in needed:
            content = await self._one(each, tenant, again=again)
            if content is not None:
                found[each.key] = content
        return found

    async def confirm(self, url: str, tenant: str | None) -> bool:
        """Call a URL that confirms a subscription; returns whether it responded with a 2xx."""
        if not self._may_fetch(tenant):
            return False
        try:
            return await self._fetch(url, "GET", b"", FETCH_SECONDS, CONTENT_BYTES_MAX) is not None
        finally:
            self.share.give_back(tenant)

    async def _one(self, needed: Needed, tenant: str | None, *, again: bool) -> bytes | None:
        now, kept = self._clock(), self._kept.get(needed.key)
        if kept is not None:
            self._kept.move_to_end(needed.key)
            age = now - kept[0]
            if age < AGAIN_SECONDS or (age < KEPT_SECONDS and not again):
                return kept[1]
        elif now - self._failed.get(needed.key, -AGAIN_SECONDS) < AGAIN_SECONDS:
            return None
        task = self._under_way.get(needed.key)
        if task is None:
            if not self._may_fetch(tenant):
                return kept[1] if kept is not None else None
            task = asyncio.get_running_loop().create_task(self._ask(needed, tenant))
            self._under_way[needed.key] = task
        return await asyncio.shield(task)

    def _may_fetch(self, tenant: str | None) -> bool:
        """Take a slot, which has to be given back, if the tenant has not fetched too often."""
        now = self._clock()
        if now - self._window >= WINDOW_SECONDS:
            self._window = now
            self._counts.clear()
        count = self._counts.get(tenant, 0)
        if count >= FETCHES_MAX or not self.share.take(tenant):
            return False
        self._counts[tenant] = count + 1
        return True

    async def _ask(self, needed: Needed, tenant: str | None) -> bytes | None:
        try:
            content = await self._fetch(needed.url, needed.method, needed.body, FETCH_SECONDS, CONTENT_BYTES_MAX)
        finally:
            self.share.give_back(tenant)
            del self._under_way[needed.key]
        now, before = self._clock(), self._kept.get(needed.key)
        if content is not None:
            self._keep(needed.key, now, content)
        elif before is not None:
            # An old key is better than none: the signature shows whether it matches.
            content = before[1]
            self._keep(needed.key, now - KEPT_SECONDS + AGAIN_SECONDS, content)
        else:
            self._failed[needed.key] = now
            if len(self._failed) > FAILED_KEPT_MAX:
                self._failed.popitem(last=False)
        return content

    def _keep(self, key: str, when: float, content: bytes) -> None:
        before = self._kept.pop(key, None)
        self._kept_bytes += len(content) - (len(before[1]) if before is not None else 0)
        self._kept[key] = (when, content)
        self._failed.pop(key, None)
        while len(self._kept) > KEPT_MAX or self._kept_bytes > KEPT_BYTES_MAX:
            # The least recently used is dropped.
            self._kept_bytes -= len(self._kept.popitem(last=False)[1][1])
