"""A gate: when the next request may leave, by a rate and by a pause that the other side asked for.

A lane has its own, or shares one with others that call the same place: then they share the rate, and a pause that one
of them was asked for stops them all.
"""

from __future__ import annotations

from tidings.model.moment import Micros
from tidings.rules.limit import TokenBucket


class Gate:
    """Belongs to the deliver thread."""

    __slots__ = ("_bucket", "_paused_until", "limited", "nums")

    def __init__(self, rate: float | None = None) -> None:
        """`rate`: requests per second."""
        self.nums: set[int] = set()
        """The numbers of the links that go through it."""
        self._paused_until: Micros | None = None
        self.set_rate(rate)

    def set_rate(self, rate: float | None) -> None:
        """Begin with another rate."""
        self._bucket = None if rate is None else TokenBucket(rate)
        self.limited = rate is not None
        """Whether it has a rate."""

    @property
    def shared(self) -> bool:
        """Whether several lanes go through it."""
        return len(self.nums) > 1

    @property
    def paused(self) -> bool:
        """Whether it is shut for a pause. Once that is over, a call of `paused_until` opens it."""
        return self._paused_until is not None

    def pause(self, until: Micros) -> None:
        """Let nothing pass before that moment, or before the one set earlier if that is later."""
        self._paused_until = max(until, self._paused_until or 0)

    def resume(self) -> None:
        """End the pause."""
        self._paused_until = None

    def paused_until(self, now: Micros) -> Micros | None:
        """When the pause ends; None if there is none."""
        if self._paused_until is not None and now >= self._paused_until:
            self._paused_until = None
        return self._paused_until

    def ready_at(self, now: Micros) -> Micros:
        """When the rate lets the next one pass: now, or later."""
        return now if self._bucket is None else self._bucket.ready_at(now)

    def let_pass(self, now: Micros) -> None:
        """One passes."""
        if self._bucket is not None:
            self._bucket.take(now)

    def move(self, by: Micros) -> None:
        """The clock was set: a pause lasts as long as before."""
        if self._paused_until is not None:
            self._paused_until += by
