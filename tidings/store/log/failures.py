"""Deliveries whose last attempt failed, to be grouped by reason: a bounded number, newest first."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import NamedTuple

from tidings.model.delivery import State
from tidings.model.moment import Micros
from tidings.store.base import Db
from tidings.store.log.lists import ABOVE_ALL, LINKS_MERGED_MAX, newest_of

SCANNED_MAX = 10_000
"""If many links are queried: the maximum number of dead deliveries to read, and separately of waiting ones. Deliveries
of other links count towards it."""
LOOKED_MAX = 500
"""The maximum number of dead deliveries, and separately of waiting ones, whose last attempt is read."""
WINDOW = 1_000
FAILED: tuple[State, ...] = ("dead", "waiting")
"""The states in which a failed attempt leaves a delivery."""
OF_ALL = {"dead": "numbers_ended_dead", "waiting": "numbers_waiting"}


class FailedDelivery(NamedTuple):
    """A delivery whose last attempt failed. `waits`: another one follows."""

    number: int
    link: int
    created: Micros
    at: Micros
    outcome: str
    status: int | None
    reason: str | None
    waits: bool


class FailedDeliveries(NamedTuple):
    """The failures found. `is_complete`: there were no more to read."""

    found: list[FailedDelivery]
    is_complete: bool


def since(
    db: Db, at: Micros, links: frozenset[int] | None, looked: int = LOOKED_MAX, scanned: int = SCANNED_MAX
) -> FailedDeliveries:
    """Deliveries that are dead, or wait for another attempt, and whose last attempt was at `at` or later.

    `links`: return only theirs; None for all.
    """
    found: dict[int, FailedDelivery] = {}
    is_complete = True
    for state in FAILED:
        numbers, whole = _numbers(db, state, links, looked, scanned)
        is_complete &= whole
        for start in range(0, len(numbers), WINDOW):
            for failure in last(db, numbers[start : start + WINDOW], at):
                found[failure.number] = failure
            db.rest()
    return FailedDeliveries(list(found.values()), is_complete)


def last(db: Db, numbers: list[int], at: Micros, states: Collection[str] = FAILED) -> list[FailedDelivery]:
    """Those of these deliveries whose last attempt was at `at` or later and left them in one of these states."""
    rows = db.all("last_attempts", numbers=json.dumps(numbers), since=at)
    return [
        FailedDelivery(number, link, created, tried, outcome, status, reason, waiting is not None)
        for number, link, created, tried, outcome, state, status, reason, waiting in rows
        if tried >= at and state in states
    ]


def _numbers(db: Db, state: State, links: frozenset[int] | None, most: int, scanned_max: int) -> tuple[list[int], bool]:
    """The newest numbers of these links' deliveries that may be in a state, and whether these are all."""
    if links is not None and len(links) <= LINKS_MERGED_MAX:
        mine, end = newest_of(db, state, links, most)
        return mine[:most], end is None and len(mine) <= most
    found: list[int] = []
    before, scanned = ABOVE_ALL, 0
    while scanned < scanned_max and len(found) < most:
        rows = db.all(OF_ALL[state], after=-1, before=before, count=min(WINDOW, scanned_max))
        numbers = [row[0] for row in rows]
        scanned += len(numbers)
        if links is None:
            found += numbers
        elif numbers:
            ours = {row[0] for row in db.all("links_of_deliveries", numbers=json.dumps(numbers)) if row[1] in links}
            found += [number for number in numbers if number in ours]
        if len(numbers) < min(WINDOW, scanned_max):
            return found[:most], len(found) <= most
        before = numbers[-1]
        db.rest()
    return found[:most], False
