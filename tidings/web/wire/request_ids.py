"""Ids of requests, cheap enough for every one of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextvars import ContextVar

from tidings.model.ids import ALPHABET, new_id
from tidings.model.moment import Clock

_ENDS = [a + b for a in ALPHABET for b in ALPHABET]
AGE_SECONDS_MAX = 1.0
NAMED: ContextVar[Callable[[str], None] | None] = ContextVar("NAMED", default=None)
"""The function to call with the id of the request that is being answered; None if there is no such function."""


class RequestIds:
    """Gives ids such as `req_01j...`: a run of 1,024 shares its time and chance, and differs in the last two places.

    Those are in random order; otherwise two ids would reveal how many requests there were in between.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begin = ""
        self._made = 0.0
        self._left: list[str] = []

    def next(self, at: float) -> str:
        """A new id. `at`: seconds of `perf_counter`."""
        if not self._left or at - self._made > AGE_SECONDS_MAX:
            self._begin = new_id("req", self._clock.now())[:-2]
            self._made = at
            self._left = _ENDS.copy()
        left = self._left
        at = int(random.random() * len(left))  # noqa: S311 -- no secret: it hides an order
        left[at], left[-1] = left[-1], left[at]
        ident = self._begin + left.pop()
        if (named := NAMED.get()) is not None:
            named(ident)
        return ident
