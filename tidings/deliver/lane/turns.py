"""Turns: which of a lane's deliveries goes next, so that failing ones keep no other from being attempted.

Three lines share the turns: those never attempted, oldest first; retries that are due; and, once the lane has fallen
behind (it lags, or something failed), the newest, which go before their turn as far as the link's order permits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Literal

import msgspec

from tidings.deliver.lane import order
from tidings.deliver.lane.lane import Lane
from tidings.deliver.lane.queued import Queued
from tidings.deliver.settle import Settlement
from tidings.model.event import Event
from tidings.model.moment import SECOND, Micros

Kind = Literal["oldest", "due", "newest"]

BEHIND: Micros = 1 * SECOND
NARROW = 16
"""With this few requests in flight, the newest may have to wait long for their turn."""
SUBJECTS_READ = 64
"""How many subjects are looked up at once."""
LAST_DUE = 4
"""In every second round of turns a probe takes the last of the due retries, not the first."""

_TURNS: tuple[tuple[Kind, ...], ...] = (
    ("newest", "oldest", "due"),
    ("due", "newest", "oldest"),
    ("newest", "oldest", "due"),
    ("oldest", "due", "newest"),
)
_IN_STRICT_ORDER: tuple[Kind, ...] = ("due", "oldest")
_FRESH_FIRST: tuple[Kind, ...] = ("oldest", "due")


class Look(msgspec.Struct, frozen=True):
    """What choosing has to look up in the store. Both raise StoreError."""

    events: Callable[[list[int]], dict[int, Event]]
    """From numbers to events."""
    has_earlier: Callable[[Lane, Queued], bool]
    """Whether the backlog may hold an earlier delivery of the item's subject."""


def kinds(lane: Lane) -> tuple[Kind, ...]:
    """The lines in the order in which this turn tries them."""
    if lane.ordered_all:
        return _IN_STRICT_ORDER if lane.blocked or lane.turn & 1 else _FRESH_FIRST
    return _TURNS[lane.turn & 3]


def is_behind(lane: Lane, now: Micros) -> bool:
    """Whether the newest go before their turn: earlier ones wait for what fails, or it has lagged for a while."""
    if lane.ordered_all:
        return False
    if lane.health.fails > 0 or (lane.lagging and now - lane.lagging_since >= BEHIND):
        return True
    return _is_narrow(lane) and lane.next_due is not None and bool(lane.queue) and now - lane.queue[0].created >= BEHIND


def _is_narrow(lane: Lane) -> bool:
    """Whether its rate or its few places make new deliveries wait for refused ones, though nothing newer failed."""
    return lane.gate.limited or lane.most_in_flight <= NARROW


def is_empty(lane: Lane, kind: Kind) -> bool:
    """Whether a line has nothing to give."""
    if kind == "newest" and lane.ordered_all:
        return True
    line = lane.due if kind == "due" else lane.queue if kind == "oldest" else _newest_line(lane)
    return not line or (lane.ordered_all and order.waits_in_line(lane, line[0]))


def newest_made(lane: Lane) -> Micros | None:
    """When the newest of a lane was made; None if it knows none."""
    line = _newest_line(lane)
    return line[-1].created if line else None


def take(lane: Lane, kind: Kind, most: int, now: Micros, settlement: Settlement, look: Look) -> list[Queued]:
    """Up to `most` deliveries of a line. Empty: the first ones were held, skipped or must wait."""
    if kind == "newest":
        return _take_newest(lane, most, now, settlement, look)
    line = lane.due if kind == "due" else lane.queue
    if most == 1 and lane.link.pacing.order == "none":
        # What failed last in an outage was the newest then: it does not wait for everything that failed before it.
        return [line.pop() if kind == "due" and lane.turn & LAST_DUE and lane.health.open else line.popleft()]
    taken: list[Queued] = []
    while line and len(taken) < most:
        item = line[0]
        most = min(most, lane.small.get(item.number, most))
        if len(taken) >= most:
            break
        if lane.ordered_all:
            item.subject = ""
            if order.waits_in_line(lane, item) and not taken:
                break
        elif lane.ordered_by_subject and not item.known:
            _read_lines(lane, line, look)
        line.popleft()
        if order.claim(lane, item, now, settlement):
            taken.append(item)
    return taken


def _newest_line(lane: Lane) -> deque[Queued]:
    if lane.lagging or lane.link.pacing.batch is not None:
        return lane.latest
    return lane.queue


def _take_newest(lane: Lane, most: int, now: Micros, settlement: Settlement, look: Look) -> list[Queued]:
    line = _newest_line(lane)
    if line is lane.queue:
        item = line[-1] if lane.ordered_by_subject else line.pop()
        if lane.ordered_by_subject:
            _read_lines(lane, line, look, len(line))
            # The earliest of its subject: those behind it must not overtake it.
            item = next(each for each in line if each is item or (item.subject and each.subject == item.subject))
            line.remove(item)
            return [item] if order.claim(lane, item, now, settlement) else []
        return [item]
    taken: list[Queued] = []
    while line and len(taken) < most:
        newest = _jump(lane, look) if lane.ordered_by_subject else line.pop()
        if newest is None or newest.number <= lane.read_to or newest.number in lane.busy:
            continue
        lane.busy.add(newest.number)
        lane.jumped.add(newest.number)
        if order.claim(lane, newest, now, settlement):
            taken.append(newest)
    return taken[::-1]


def _jump(lane: Lane, look: Look) -> Queued | None:
    """The newest of a lagging lane that is ordered by subject; None if an earlier one of its subject goes first."""
    _read_lines(lane, lane.latest, look, len(lane.latest))
    subject = lane.latest[-1].subject
    item = next(each for each in lane.latest if each.subject == subject) if subject else lane.latest[-1]
    lane.latest.remove(item)
    if not subject:
        return item
    if subject in lane.lines.beyond:
        return None
    _read_lines(lane, lane.queue, look, len(lane.queue))
    if any(each.subject == subject for each in lane.queue) or look.has_earlier(lane, item):
        return None
    return item


def _read_lines(lane: Lane, line: deque[Queued], look: Look, count: int = SUBJECTS_READ) -> None:
    """Items from the head do not know their subject yet; those with a row do. Raises StoreError."""
    unknown = [item for item in islice(line, count) if not item.known]
    if not unknown:
        return
    found = look.events([item.event for item in unknown])
    for item in unknown:
        event = found.get(item.event)
        item.subject, item.known = (lane.action.line(event) if event is not None else None), True
