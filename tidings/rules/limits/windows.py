"""Limits: the calls of keys in fixed windows, and the sending rate of an endpoint.

Windows are aligned to the epoch, so that `1000 per day` begins again at midnight UTC. The headers follow
draft-ietf-httpapi-ratelimit-headers-11: `RateLimit-Policy: "second";q=10;w=1` and `RateLimit: "second";r=5;t=1`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from tidings.model.access import CallLimit, SharedLimit
from tidings.model.moment import SECOND, Micros
from tidings.rules.reading.refused import Refused

LIMITS_MAX = 8
CALLS_MAX = 10**9
WINDOW_SECONDS_MAX = 31 * 86400
SWEEP_EVERY: Micros = 60 * SECOND

_NAMES = {1: "second", 60: "minute", 3600: "hour", 86400: "day"}


class Window(msgspec.Struct, frozen=True):
    """One window after a call: whose it is, its `limit` in calls, its length, what remains, and the seconds until it
    restarts."""

    owner: str
    limit: int
    seconds: int
    remaining: int
    reset_seconds: float


class Allowance(msgspec.Struct, frozen=True):
    """Whether a call is allowed. The single figures are those of the tightest window, or of the one that refused."""

    allowed: bool
    remaining: int
    reset_seconds: float
    limit: int
    window: int
    windows: tuple[Window, ...]


class Windows:
    """The calls counted so far, by key. Not thread-safe. Expired windows are dropped along the way."""

    def __init__(self) -> None:
        self._used: dict[tuple[str, int], tuple[int, int]] = {}
        self._sweep_at: Micros = 0

    def take(self, key: str, limits: Sequence[CallLimit], now: Micros, cost: int = 1) -> Allowance:
        """Count a call against all windows of a key, or against none if one is full. Needs at least one limit.

        A SharedLimit counts in the window of the key that it names.
        """
        if not self._sweep_at - SWEEP_EVERY <= now < self._sweep_at:
            self._sweep(now)
        owners = [limit.key if isinstance(limit, SharedLimit) else key for limit in limits]
        counted = [self._count(owner, limit, now) for owner, limit in zip(owners, limits, strict=True)]
        full = [used + cost > limit.calls for limit, (_, used) in zip(limits, counted, strict=True)]
        allowed = not any(full)
        windows = []
        for owner, limit, (index, used) in zip(owners, limits, counted, strict=True):
            if allowed:
                used += cost
                self._used[owner, limit.seconds] = (index, used)
            reset = (index + 1) * limit.seconds - now / SECOND
            windows.append(Window(owner, limit.calls, limit.seconds, max(0, limit.calls - used), reset))
        return allowance(windows, full)

    def __len__(self) -> int:
        return len(self._used)

    def _count(self, key: str, limit: CallLimit, now: Micros) -> tuple[int, int]:
        index = now // (limit.seconds * SECOND)
        known = self._used.get((key, limit.seconds))
        if known is None or known[0] < index:
            return index, 0
        if known[0] > index:
            # The clock was set back. That opens no new window, and none lasts longer than it is long.
            known = self._used[key, limit.seconds] = (index, known[1])
        return known

    def _sweep(self, now: Micros) -> None:
        self._used = {
            (key, seconds): (index, used)
            for (key, seconds), (index, used) in self._used.items()
            if (index + 1) * seconds * SECOND > now
        }
        self._sweep_at = now + SWEEP_EVERY


def allowance(windows: Sequence[Window], full: Sequence[bool]) -> Allowance:
    """Whether a call is allowed that counts in these windows, of which some are `full`."""
    if not any(full):
        tight = min(windows, key=lambda window: (window.remaining / window.limit, -window.reset_seconds))
    else:
        refusing = [window for window, is_full in zip(windows, full, strict=True) if is_full]
        tight = max(refusing, key=lambda window: window.reset_seconds)
    return Allowance(not any(full), tight.remaining, tight.reset_seconds, tight.limit, tight.seconds, tuple(windows))


def rate_limit_headers(verdict: Allowance) -> list[tuple[str, str]]:
    """The `RateLimit-Policy` and `RateLimit` headers, and `Retry-After` if the call was refused."""
    # Of windows of one length, the tightest: a policy has one name.
    tightest: dict[int, Window] = {}
    for window in verdict.windows:
        known = tightest.get(window.seconds)
        if known is None or window.remaining < known.remaining:
            tightest[window.seconds] = window
    policy = ", ".join(f'"{_name(window.seconds)}";q={window.limit};w={window.seconds}' for window in tightest.values())
    now = ", ".join(
        f'"{_name(window.seconds)}";r={window.remaining};t={math.ceil(window.reset_seconds)}'
        for window in tightest.values()
    )
    headers = [("RateLimit-Policy", policy), ("RateLimit", now)]
    if not verdict.allowed:
        headers.append(("Retry-After", str(max(1, math.ceil(verdict.reset_seconds)))))
    return headers


def check_limits(limits: Sequence[CallLimit], pointer: str = "") -> tuple[CallLimit, ...]:
    """A key's call limits, checked; an empty list means no limit. Raises Refused."""
    if len(limits) > LIMITS_MAX:
        raise Refused(pointer, "limits", f"A key may have at most {LIMITS_MAX} call limits.")
    seen = set()
    for index, limit in enumerate(limits):
        at = f"{pointer}/{index}"
        if not 1 <= limit.calls <= CALLS_MAX:
            raise Refused(f"{at}/calls", "limits", f"The number of calls in a limit must be from 1 to {CALLS_MAX}.")
        if not 1 <= limit.seconds <= WINDOW_SECONDS_MAX:
            detail = f"The number of seconds in a limit must be from 1 to {WINDOW_SECONDS_MAX} (31 days)."
            raise Refused(f"{at}/seconds", "limits", detail)
        if limit.seconds in seen:
            raise Refused(
                f"{at}/seconds", "repeated", f"Only one limit may have a window of {limit.seconds:,} seconds."
            )
        seen.add(limit.seconds)
    return tuple(limits)


class TokenBucket:
    """An endpoint's `rate`: `rate` tokens a second, `burst` of them saved up at most.

    With a burst of 1 no second holds more than `rate` tokens, wherever counting begins. (GCRA: the state is one
    time, so nothing needs to be refilled.)
    """

    __slots__ = ("_at", "_interval", "_slack")

    def __init__(self, rate: float, burst: int = 1) -> None:
        self._interval = math.ceil(SECOND / rate)
        self._slack = (burst - 1) * self._interval
        self._at: Micros = 0

    def take(self, now: Micros) -> bool:
        """Take a token if there is one."""
        if now < self.ready_at(now):
            return False
        self._at = max(self._at, now) + self._interval
        return True

    def ready_at(self, now: Micros) -> Micros:
        """The moment from which `take` succeeds: now, or later."""
        # It is further ahead than this only if the clock was set back.
        self._at = min(self._at, now + self._slack + self._interval)
        return max(now, self._at - self._slack)


class LeastRate:
    """Whether a transfer is fast enough, measured over windows of `seconds` spent waiting for the other side."""

    __slots__ = ("_bytes", "_bytes_per_second", "_seconds", "_waited")

    def __init__(self, bytes_per_second: int, seconds: float) -> None:
        self._bytes_per_second, self._seconds = bytes_per_second, seconds
        self._bytes, self._waited = 0, 0.0

    def too_slow(self, size: int, waited_seconds: float) -> bool:
        """Count `size` bytes that took this long to arrive. Returns whether a window has ended with too few."""
        self._bytes += size
        self._waited += waited_seconds
        if self._waited < self._seconds:
            return False
        enough = self._bytes >= self._bytes_per_second * self._waited
        self._bytes, self._waited = 0, 0.0
        return not enough


def _name(seconds: int) -> str:
    return _NAMES.get(seconds) or f"{seconds}-seconds"
