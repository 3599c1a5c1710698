"""Newer events that replace older ones: for each subject, a link with `order: subject` acts only on the newest.

A delivery in flight is never replaced. A replaced delivery blocks its line until the replacement is stored, so a crash
cannot repeat it after the newer one: an edit of an item stores its own attempt, and would be stored first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from tidings.deliver.lane import order
from tidings.deliver.lane.lane import Lane
from tidings.deliver.lane.ordering.family import read_lines
from tidings.deliver.lane.queued import Queued
from tidings.deliver.settle import Settlement
from tidings.model import outcome as outcomes
from tidings.model.delivery import Waiting
from tidings.model.moment import Micros

if TYPE_CHECKING:
    # Choosing asks what to replace.
    from tidings.deliver.lane.turns import Look


def is_outdated(lane: Lane, item: Queued, look: Look) -> bool:
    """Whether a newer one of its subject waits. Raises StoreError."""
    subject = item.subject
    if subject is None:
        return False
    line = lane.lines.held.get(subject)
    if line and line[-1].number > item.number:
        return True
    read_lines(lane, lane.queue, look, len(lane.queue))
    if any(each.subject == subject and each.number > item.number for each in lane.queue):
        return True
    return lane.lagging and look.has_newer(lane, item)


def replace(lane: Lane, item: Queued, now: Micros, settlement: Settlement) -> None:
    """Record that a newer one took its place. Its line waits until that is stored."""
    assert item.subject is not None
    item.end_unsent(lane.num, now, outcomes.REPLACED, "replace", settlement)
    lane.busy.add(item.number)
    lane.done_with(item.number)
    lane.lines.blocking.setdefault(item.subject, set()).add(item.number)
    defer(lane, item)


def defer(lane: Lane, item: Queued) -> None:
    """It was replaced, and blocks its line: the next one may be sent only once that is stored."""
    assert item.subject is not None
    lane.lines.replaced[item.number] = item.subject


def older(lane: Lane, item: Queued, now: Micros, settlement: Settlement) -> None:
    """One was held: it replaces those before it in its line, and one that waits for a retry once that one's row is
    stored."""
    subject = item.subject
    assert subject is not None
    line = lane.lines.held.get(subject)
    while line and len(line) > 1:
        lane.lines.held_count -= 1
        replace(lane, line.popleft(), now, settlement)
    for number in lane.lines.blocking.get(subject, ()):
        if 0 <= number < item.number and number not in lane.flying and number not in lane.lines.replaced:
            lane.lines.outdated[number] = subject


def replace_outdated(lane: Lane, now: Micros, settlement: Settlement, read: Callable[[int], Waiting | None]) -> None:
    """Replace deliveries that wait for a retry and have a newer one behind them. Raises StoreError."""
    lines = lane.lines
    for number, subject in list(lines.outdated.items()):
        is_gone = number in lane.flying or number in lines.replaced or number not in lines.blocking.get(subject, ())
        row = None if is_gone else read(number)
        if number in lane.busy and not is_gone and all(item.number != number for item in lane.due):
            # Its row is on its way to the store; then the lane is served again.
            continue
        del lines.outdated[number]
        if row is None or row.subject is None or not has_newer(lane, subject, number):
            continue
        lane.due = deque(item for item in lane.due if item.number != number)
        replace(lane, Queued.of(row), now, settlement)


def has_newer(lane: Lane, subject: str | None, number: int) -> bool:
    """Whether a newer one is held behind a delivery, so that there is no point in retrying it."""
    if subject is None or not lane.replaces:
        return False
    line = lane.lines.held.get(subject)
    return bool(line and line[-1].number > number) or lane.lines.beyond.get(subject, 0) > number


def stored(lane: Lane, number: int) -> bool:
    """If a delivery was replaced, its replacement is now stored and its line continues.

    Returns whether it was replaced.
    """
    subject = lane.lines.replaced.pop(number, None)
    if subject is None:
        return False
    order.release(lane, Queued(number, 0, 0, subject=subject), 0)
    return True
