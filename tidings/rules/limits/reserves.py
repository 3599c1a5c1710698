"""Calls that one of several nodes may still allow, without asking the others: reserved in the store, in small chunks.

For each window of a key the store has one count, of what all nodes have reserved. A node that has nothing left asks
for a chunk; what it gets is counted at once, so all nodes together never allow more than the limit. For a key that
seldom calls, each call is reserved on its own. If a chunk does not last for BUSY, the next one is twice as large, up
to a part of the remainder, which shrinks with it (store/callers/call_counts.py). Calls that a node has not used
after IDLE are given back, and what it knows about the others is never older than that.

A window begins when the first node opens it, by its own clock; the others follow, so that differing clocks never open a
window twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tidings.model.access import CallLimit, SharedLimit
from tidings.model.moment import SECOND, Micros
from tidings.rules.limits.windows import Allowance, Window, allowance

BUSY: Micros = SECOND // 10
IDLE: Micros = SECOND
FULL: Micros = SECOND // 4
"""How long a node waits before it asks again about a full window; by then, others may have given calls back."""


class Ask(msgspec.Struct, frozen=True):
    """A chunk to reserve."""

    owner: str
    seconds: int
    limit: int
    start: int
    """When the window begins, in seconds since the epoch."""
    most: int
    """The maximum number of calls to reserve."""


class Got(msgspec.Struct, frozen=True):
    """The store's response: in the window from `start`, `before` calls were reserved, and now `after` are."""

    start: int
    before: int
    after: int


class Rest(msgspec.Struct, frozen=True):
    """Calls to give back."""

    owner: str
    seconds: int
    start: int
    calls: int


class _Held(msgspec.Struct):
    start: int
    calls: int
    """How many calls all nodes had reserved when this node last asked, including those that it got then."""
    left: int
    """How many calls this node may still allow."""
    others: int
    """How many calls the others reserved between the last two times that this node asked."""
    size: int
    asked: Micros
    used: Micros


class Reserves:
    """What this node holds, by key and window. Not thread-safe."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, int], _Held] = {}

    def asks(self, key: str, limits: Sequence[CallLimit], now: Micros, waiting: int = 1) -> list[Ask]:
        """What to reserve before a call can be decided; empty if nothing. `waiting`: how many calls wait for it."""
        found = []
        for owner, limit in _owned(key, limits):
            held, start = self._held.get((owner, limit.seconds)), _start(limit, now)
            size = 1
            if held is not None:
                start = max(start, held.start)
                known = IDLE if held.left else FULL if held.calls >= limit.calls else 0
                if held.start == start and 0 <= now - held.asked < known:
                    continue
                size = 2 * held.size if 0 <= now - held.asked < BUSY else max(1, held.size // 2)
            found.append(Ask(owner, limit.seconds, limit.calls, start, max(size, waiting)))
        return found

    def put(self, ask: Ask, grant: Got, now: Micros) -> None:
        """Add what was granted."""
        held = self._held.get((ask.owner, ask.seconds))
        got = grant.after - grant.before
        if held is None or held.start != grant.start:
            held = self._held[ask.owner, ask.seconds] = _Held(grant.start, grant.before, 0, 0, 1, now, now)
        held.others = max(0, grant.before - held.calls)
        held.calls, held.asked, held.used, held.size = grant.after, now, now, max(1, got)
        held.left += got

    def take(self, key: str, limits: Sequence[CallLimit], now: Micros) -> Allowance:
        """Count a call against what is left in all windows of a key, or against none if one has nothing left.

        The remainder that it reports is that of this node's last request, minus what the others took in the time
        before.
        """
        owned = _owned(key, limits)
        helds = [self._held.get((owner, limit.seconds)) for owner, limit in owned]
        full = [
            held is None or held.left < 1 or held.calls - held.left >= limit.calls
            for held, limit in zip(helds, limits, strict=True)
        ]
        windows = []
        for (owner, limit), held in zip(owned, helds, strict=True):
            start, remaining = _start(limit, now), 0
            if held is not None:
                if not any(full):
                    held.left -= 1
                    held.used = now
                start = held.start
                remaining = min(limit.calls, held.left + max(0, limit.calls - held.calls - held.others))
            reset = min(limit.seconds, start + limit.seconds - now / SECOND)
            windows.append(Window(owner, limit.calls, limit.seconds, max(0, remaining), max(0.0, reset)))
        return allowance(windows, full)

    def rests(self, now: Micros, idle: Micros = IDLE) -> list[Rest]:
        """The calls that were not used for a while, and that this node no longer holds. Expired windows are dropped."""
        found = []
        for (owner, seconds), held in list(self._held.items()):
            if (held.start + seconds) * SECOND <= now:
                del self._held[owner, seconds]
            elif held.left and not 0 <= now - held.used < idle:
                found.append(Rest(owner, seconds, held.start, held.left))
                held.calls, held.left, held.size = held.calls - held.left, 0, 1
        return found

    def __len__(self) -> int:
        return len(self._held)


def _owned(key: str, limits: Sequence[CallLimit]) -> list[tuple[str, CallLimit]]:
    return [(limit.key if isinstance(limit, SharedLimit) else key, limit) for limit in limits]


def _start(limit: CallLimit, now: Micros) -> int:
    return now // (limit.seconds * SECOND) * limit.seconds
