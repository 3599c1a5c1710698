"""Waiting for a condition with a deadline, in place of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, TypeVar

FIRST_LOOK_SECONDS, LOOK_SECONDS = 0.005, 0.04
"""The pauses between two checks, at first and at most. A check is often a call, which takes processor time."""
LONGER = 1.25

T = TypeVar("T")


class NotInTime(AssertionError):
    """The condition was not met in time; the text says what was found instead."""


def until(look: Callable[[], T | Literal[False] | None], what: str, seconds: float = 10.0) -> T:
    """Call `look` repeatedly until it returns something true; returns that. Raises NotInTime."""
    deadline = time.monotonic() + seconds
    pause = FIRST_LOOK_SECONDS
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise NotInTime(f"{what}: not within {seconds:g} s; the last value was {found!r}")
        time.sleep(pause)
        pause = min(pause * LONGER, LOOK_SECONDS)
