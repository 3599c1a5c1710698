"""Lanes that keep their order together: those of links with `order: subject` and the same connection or collection.

A delivery waits while one with the same subject and a smaller number is on its way in another lane of the family.
Numbers are given in the order of events, so no two wait for each other. Such a line is *yielding*: it is blocked by
`OTHERS`, which stands for the other lanes, until nothing is ahead of its first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING

from tidings.deliver.lane import order
from tidings.deliver.lane.lane import Lane
from tidings.deliver.lane.queued import Queued
from tidings.deliver.settle import Settlement
from tidings.model.moment import SECOND, Micros

if TYPE_CHECKING:
    # Choosing asks for what is ahead.
    from tidings.deliver.lane.turns import Look

OTHERS = -1
CHECK: Micros = 1 * SECOND
"""How often to check for deliveries that ended without notice, because they were cancelled in the background or their
link was deleted."""
CHECKED_MAX = 64
YIELDING_MAX = 1_000
"""The number of yielding lines at which a lane stops taking further deliveries."""


class Family:
    """The lanes. Belongs to the deliver thread."""

    def __init__(self, wake: Callable[[Lane], None]) -> None:
        """`wake`: makes a lane be served."""
        self._lanes: dict[int, Lane] = {}
        self._wake = wake

    def join(self, lane: Lane) -> None:
        """A lane now belongs to this family, and to no other. A deleted or edited one has left."""
        was = lane.lines.family
        if was is self:
            return
        leave(lane)
        lane.lines.family = self
        self._lanes[lane.num] = lane

    def others(self, lane: Lane) -> list[Lane]:
        """All lanes except this one."""
        return [each for each in self._lanes.values() if each is not lane]

    def ended(self, lane: Lane, subject: str) -> None:
        """A delivery of a subject no longer holds up others."""
        for other in self.others(lane):
            if subject in other.lines.yielding:
                other.lines.nudged[subject] = None
                self._wake(other)

    def left(self, lane: Lane) -> None:
        """A lane has left the family: nobody waits for it."""
        del self._lanes[lane.num]
        for other in (*self._lanes.values(), lane):
            other.lines.nudged.update(other.lines.yielding)
            self._wake(other)


def leave(lane: Lane) -> None:
    """From now on, the lane keeps only its own order."""
    family, lane.lines.family = lane.lines.family, None
    if family is not None:
        family.left(lane)


def must_wait(lane: Lane, item: Queued, settlement: Settlement, look: Look) -> bool:
    """Whether a delivery, the next of its line, has to wait for another lane; then its line yields."""
    family, subject = lane.lines.family, item.subject
    if family is None or subject is None or item.n:
        # A delivery that was tried before was next in order then.
        return False
    members = lane.lines.blocking.get(subject)
    if members is not None and item.number not in members:
        return False
    if not any(is_ahead(other, subject, item.number, look) for other in family.others(lane)):
        return False
    _give_way(lane, item, subject, settlement)
    return True


def is_ahead(lane: Lane, subject: str, number: int, look: Look) -> bool:
    """Whether a lane has a delivery of this subject with a smaller number."""
    lines = lane.lines
    members = lines.blocking.get(subject)
    if members and any(0 <= each < number for each in members):
        return True
    line = lines.held.get(subject)
    if line:
        if line[0].number < number:
            return True
    elif subject in lines.beyond:
        # They continue in the store, and are read when their turn comes.
        return True
    read_lines(lane, lane.queue, look, len(lane.queue))
    if any(each.subject == subject and each.number < number for each in lane.queue):
        return True
    return lane.lagging and lane.read_to < number and look.has_earlier(lane, Queued(number, 0, 0, subject=subject))


def look_again(lane: Lane, now: Micros, look: Look) -> None:
    """Release the lines for which nothing is ahead any more. Raises StoreError."""
    lines = lane.lines
    nudged, lines.nudged = lines.nudged, {}
    checked = list(nudged)
    if now >= lines.ahead_at or now < lines.ahead_at - CHECK:
        lines.ahead_at = now + CHECK
        checked += islice(lines.yielding, CHECKED_MAX)
    for subject in checked:
        if subject not in lines.yielding:
            continue
        line = lines.held.get(subject)
        others = [] if lines.family is None else lines.family.others(lane)
        if line and any(is_ahead(other, subject, line[0].number, look) for other in others):
            # The next check begins with others.
            lines.yielding[subject] = lines.yielding.pop(subject)
            continue
        del lines.yielding[subject]
        order.release(lane, Queued(OTHERS, 0, 0, subject=subject), now)


def next_look(lane: Lane, now: Micros) -> Micros:
    """When to check again whether lines have to wait, even if the other lanes report nothing."""
    if lane.lines.ahead_at <= now:
        lane.lines.ahead_at = now + CHECK
    return lane.lines.ahead_at


def read_lines(lane: Lane, line: deque[Queued], look: Look, count: int) -> None:
    """The subjects of items from the head are not known yet; those with a row have theirs. Raises StoreError."""
    unknown = [item for item in islice(line, count) if not item.known]
    if not unknown:
        return
    found = look.events([item.event for item in unknown])
    for item in unknown:
        event = found.get(item.event)
        item.subject, item.known = (lane.action.line(event, item.number) if event is not None else None), True


def _give_way(lane: Lane, item: Queued, subject: str, settlement: Settlement) -> None:
    lines = lane.lines
    lines.yielding[subject] = None
    members = lines.blocking.setdefault(subject, set())
    members.discard(item.number)
    members.add(OTHERS)
    if not item.stored:
        order.hold(lane, item, settlement)
        return
    # It was released from hold, so its row says that it is held.
    item.freed = False
    lane.busy.discard(item.number)
    lines.held.setdefault(subject, deque()).appendleft(item)
    lines.held_count += 1
