"""A gate: when the next request may leave, given a rate, a maximum in flight, and a pause that the other side asked
for.

A lane has its own gate, or shares one with others that call the same destination: then they share the rate, and a
pause that one of them was asked for stops them all.
"""

from __future__ import annotations

from tidings.model.moment import Micros
from tidings.rules.limits.windows import TokenBucket


class Gate:
    """Belongs to the deliver thread."""

    __slots__ = (
        "_bucket",
        "_paused_until",
        "_rate",
        "_status",
        "flights",
        "limited",
        "most_in_flight",
        "nums",
        "paused",
    )

    def __init__(self, rate: float | None = None, most_in_flight: int | None = None) -> None:
        """`rate`: requests per second. `most_in_flight`: of all its lanes together."""
        self.nums: set[int] = set()
        """The numbers of the links whose requests go through the gate."""
        self.flights = 0
        """The number of requests in flight that went through the gate."""
        self._paused_until: Micros | None = None
        self._status: int | None = None
        self.paused = False
        """Whether the gate is closed for a pause. Once the pause is over, a call of `paused_until` opens the gate."""
        self._rate: float | None = None
        self._bucket: TokenBucket | None = None
        self.set_limits(rate, most_in_flight)

    def set_limits(self, rate: float | None, most_in_flight: int | None = None) -> None:
        """Continue with these limits; a new rate starts from scratch."""
        if rate != self._rate:
            self._rate, self._bucket = rate, None if rate is None else TokenBucket(rate)
        self.most_in_flight = most_in_flight
        self.limited = rate is not None or most_in_flight is not None
        """Whether it has any limit."""

    def instead_of(self, other: Gate, num: int, flights: int) -> Gate:
        """A lane with these flights uses this gate from now on. Returns this gate."""
        if other is not self:
            other.nums.discard(num)
            other.flights -= flights
            self.nums.add(num)
            self.flights += flights
        return self

    @property
    def full(self) -> bool:
        """Whether nothing may pass until a request returns."""
        return self.most_in_flight is not None and self.flights >= self.most_in_flight

    @property
    def shared(self) -> bool:
        """Whether several lanes go through it."""
        return len(self.nums) > 1

    def pause(self, until: Micros, status: int | None = None) -> None:
        """Let nothing pass before that moment, or an earlier pause's end if that is later.

        `status`: the one that asked for it.
        """
        self._paused_until, self.paused, self._status = max(until, self._paused_until or 0), True, status

    def resume(self) -> None:
        """End the pause."""
        self._paused_until, self.paused = None, False

    def paused_until(self, now: Micros) -> Micros | None:
        """When the pause ends; None if there is none."""
        if self._paused_until is not None and now >= self._paused_until:
            self.resume()
        return self._paused_until

    def pausing(self, now: Micros) -> tuple[Micros, int | None] | None:
        """When the pause ends, and the status that asked for it; None if there is none.

        Changes nothing, so any thread may call it.
        """
        until, status = self._paused_until, self._status
        return None if until is None or now >= until else (until, status)

    def ready_at(self, now: Micros) -> Micros:
        """When the rate lets the next request pass: now, or later."""
        return now if self._bucket is None else self._bucket.ready_at(now)

    def let_pass(self, now: Micros) -> None:
        """One passes."""
        if self._bucket is not None:
            self._bucket.take(now)

    def move(self, by: Micros) -> None:
        """The clock was set: a pause lasts as long as before."""
        if self._paused_until is not None:
            self._paused_until += by
