"""When a worker that has exited is restarted, and when there is no point in trying any longer.

Moments are seconds on a clock that nobody sets.
"""

from __future__ import annotations

STEADY_SECONDS = 10.0
"""A worker that was ready for this long did not fail at once, so the next one starts without a pause."""
PAUSE_SECONDS = 0.25
PAUSE_MAX_SECONDS = 15.0
GIVE_UP_SECONDS = 60.0
"""How long all workers may be down before the server gives up and leaves the decision to whatever started it."""


class Restarts:
    """The restarts of one worker: the first comes at once, the following ones later and later, until one is steady."""

    __slots__ = ("_failures", "_ready_at")

    def __init__(self) -> None:
        self._failures = 0
        self._ready_at: float | None = None

    def ready(self, now: float) -> None:
        """It takes calls."""
        self._ready_at = now

    def ended(self, now: float) -> float:
        """It has exited; returns after how many seconds to restart it."""
        if self._ready_at is not None and now - self._ready_at >= STEADY_SECONDS:
            self._failures = 0
        self._ready_at = None
        self._failures += 1
        if self._failures == 1:
            return 0.0
        return min(PAUSE_SECONDS * 2.0 ** (self._failures - 2), PAUSE_MAX_SECONDS)


def is_hopeless(now: float, ready_until: float) -> bool:
    """Whether to give up, given that no worker is ready and when the last one was."""
    return now - ready_until > GIVE_UP_SECONDS
