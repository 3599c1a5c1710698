"""Tallies: attempts of a link in a minute or an hour, counted by class, with their durations in buckets.

A class is what a chart distinguishes. A tally is a list of numbers, in the order of `COLUMNS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tidings.model import outcome as outcomes
from tidings.model.outcome import OUTCOMES

CLASSES = ("delivered", "rejected", "timeout", "unreachable", "failed", "skipped")
"""`rejected`: there was a response, but not a success; `unreachable`: DNS, connection or TLS; `failed`: everything
else that went wrong; `skipped`: nothing was tried, such as a cancelled delivery."""
BOUNDS_MS = (10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000)
"""Durations are counted up to and including each bound; one more bucket holds the longer ones."""
COLUMNS = ("accepted", *CLASSES, "ms_sum", *(f"b{number}" for number in range(len(BOUNDS_MS) + 1)))
DELIVERED, SKIPPED = COLUMNS.index("delivered"), COLUMNS.index("skipped")
MS_SUM, BUCKETS = COLUMNS.index("ms_sum"), COLUMNS.index("b0")

_CLASS_OF = {
    **{each.name: "failed" for each in OUTCOMES},
    outcomes.OK.name: "delivered",
    **{
        each.name: "rejected"
        for each in (
            outcomes.BAD_STATUS,
            outcomes.REDIRECT,
            outcomes.GONE,
            outcomes.NOT_OK,
            outcomes.BAD_ANSWER,
        )
    },
    outcomes.TIMEOUT.name: "timeout",
    **{each.name: "unreachable" for each in (outcomes.DNS_FAILED, outcomes.CONNECT_FAILED, outcomes.TLS_FAILED)},
    **{
        each.name: "skipped"
        for each in (
            outcomes.CANCELLED,
            outcomes.REPLACED,
            outcomes.SKIPPED,
            outcomes.SPLIT,
            outcomes.INTERRUPTED,
        )
    },
}
COLUMN_OF: dict[str, int] = {name: COLUMNS.index(its_class) for name, its_class in _CLASS_OF.items()}
"""The column in which an outcome is counted, by the outcome's name."""


def empty() -> list[int]:
    """An empty tally."""
    return [0] * len(COLUMNS)


def added(tallies: Iterable[Sequence[int]]) -> list[int]:
    """The sum of several tallies."""
    return [sum(column) for column in zip(empty(), *tallies, strict=True)]


def attempts(tally: Sequence[int]) -> int:
    """How many attempts there were, not counting skipped ones."""
    return sum(tally[DELIVERED:SKIPPED])


def success_rate(tally: Sequence[int]) -> float | None:
    """The share of attempts that succeeded, from 0 to 1; None if there were no attempts."""
    tried = attempts(tally)
    return None if not tried else round(tally[DELIVERED] / tried, 4)


def quantile_ms(tally: Sequence[int], part: float) -> int | None:
    """The duration that `part` of the attempts did not exceed, estimated within its bucket; None without attempts.

    In the last bucket, which has no upper bound, it is the lower bound.
    """
    buckets = tally[BUCKETS:]
    wanted, below = part * sum(buckets), 0
    if not any(buckets):
        return None
    for number, count in enumerate(buckets):
        if count and below + count >= wanted:
            low = BOUNDS_MS[number - 1] if number else 0
            high = BOUNDS_MS[number] if number < len(BOUNDS_MS) else low
            return round(low + (high - low) * max(0.0, wanted - below) / count)
        below += count
    return BOUNDS_MS[-1]
