"""Turns: which of a lane's deliveries is sent next, so that failing ones do not keep others from being attempted.

Three lines share the turns: those never attempted, oldest first; retries that are due; and, once the lane has fallen
behind (it lags, or something failed), the newest, which are sent before their turn as far as the link's order permits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal

import msgspec

from tidings.deliver.lane import order
from tidings.deliver.lane.lane import Lane
from tidings.deliver.lane.ordering import family, replacing
from tidings.deliver.lane.queued import Queued
from tidings.deliver.settle import Settlement
from tidings.model.event import Event
from tidings.model.moment import SECOND, Micros

Kind = Literal["oldest", "due", "newest"]

MILLI: Micros = 1_000
BEHIND: Micros = 1 * SECOND
NARROW = 16
"""With this many requests in flight or fewer, the newest deliveries could wait a long time for their turn."""
FEW = 8
SUBJECTS_READ = 64
"""The maximum number of subjects that are looked up at once."""
LAST_DUE = 4
"""The bit of the turn counter that makes a probe take the last due retry instead of the first."""

_TURNS: tuple[tuple[Kind, ...], ...] = (
    ("newest", "oldest", "due"),
    ("due", "newest", "oldest"),
    ("newest", "oldest", "due"),
    ("oldest", "due", "newest"),
)
_FRESH_TURNS = 8
"""One in this many turns is for deliveries that are not fresh. At a low rate, or with few requests in flight, more
such turns would delay the fresh ones."""
_OF_FRESH: tuple[tuple[Kind, ...], ...] = (("newest", "oldest", "due"), ("oldest", "newest", "due"))
_OF_OTHERS: tuple[tuple[Kind, ...], ...] = (("oldest", "due", "newest"), ("due", "oldest", "newest"))
_AFTER_A_PAUSE: tuple[Kind, ...] = ("newest", "due", "oldest")
_IN_STRICT_ORDER: tuple[Kind, ...] = ("due", "oldest")
_FRESH_FIRST: tuple[Kind, ...] = ("oldest", "due")


class Look(msgspec.Struct, frozen=True):
    """The look-ups in the store that choosing needs. All raise StoreError."""

    events: Callable[[list[int]], dict[int, Event]]
    """From numbers to events."""
    has_earlier: Callable[[Lane, Queued], bool]
    """Whether the backlog may contain an earlier delivery with the same subject."""
    has_newer: Callable[[Lane, Queued], bool]
    """Whether the backlog contains a newer delivery with the same subject."""


def kinds(lane: Lane, now: Micros) -> tuple[Kind, ...]:
    """The lines, in the order in which this turn tries them."""
    if lane.ordered_all:
        return _IN_STRICT_ORDER if lane.blocked or lane.turn & 1 else _FRESH_FIRST
    back = lane.setbacks
    if back.trial_due:
        return _OF_OTHERS[1] if back.tries_older else _AFTER_A_PAUSE
    if back.retry_next:
        return _AFTER_A_PAUSE
    if goes_first(lane, now):
        others, turn = divmod(lane.turn, _FRESH_TURNS)
        # While nothing older is queued, fresh ones are sent in the order in which they were made.
        in_line = not lane.lagging and bool(lane.queue) and back.is_fresh(lane.queue[0].created)
        # A request that is never answered would take the only place until it times out, while all fresh ones wait.
        for_fresh = turn or (lane.most_in_flight == 1 and now < back.slow_until)
        return _OF_FRESH[in_line] if for_fresh else _OF_OTHERS[others & 1]
    return _TURNS[lane.turn & 3]


def newest_is_fresh(lane: Lane) -> bool:
    """Whether the newest was made after everything that failed."""
    made = newest_made(lane)
    return made is not None and not lane.ordered_all and lane.setbacks.is_fresh(made)


def goes_first(lane: Lane, now: Micros) -> bool:
    """Whether fresh ones get nearly every turn, because something failed or is slow and may take turns again."""
    back = lane.setbacks
    failing = lane.health.fails > 0 or (
        back.failed_to and (lane.next_due is not None or lane.due or (lane.gate.limited and now < back.slow_until))
    )
    return bool(failing) and newest_is_fresh(lane)


def newest_complete_at(lane: Lane, now: Micros, kind: Kind) -> Micros:
    """When a batch of fresh ones from the queue is full or old enough; for everything else, now."""
    batch, line = lane.link.pacing.batch, lane.queue
    if kind != "newest" or batch is None or lane.lagging:
        return now
    made = now
    for count, item in enumerate(reversed(line)):
        if count >= batch.max_events - 1:
            return now
        if not lane.setbacks.is_fresh(item.created):
            break
        made = min(made, item.created)
    return made + batch.max_ms * MILLI


def is_behind(lane: Lane, now: Micros) -> bool:
    """Whether the newest are sent before their turn: earlier ones wait for failing ones, or it has lagged for a
    while."""
    if lane.ordered_all:
        return False
    if (
        lane.health.fails > 0
        or lane.setbacks.holds_back
        or goes_first(lane, now)
        or (lane.lagging and now - lane.lagging_since >= BEHIND)
    ):
        return True
    return _is_narrow(lane) and lane.next_due is not None and bool(lane.queue) and now - lane.queue[0].created >= BEHIND


def _is_narrow(lane: Lane) -> bool:
    """Whether its rate or its few places make new deliveries wait behind refused ones, though nothing newer failed."""
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
    """Up to `most` deliveries of a line; empty if the first ones were held or skipped, or must wait."""
    if kind == "newest":
        return _take_newest(lane, most, now, settlement, look)
    line = lane.due if kind == "due" else lane.queue
    if kind == "due":
        lane.setbacks.retry_next = False
    if most == 1 and lane.link.pacing.order == "none":
        # The last delivery that failed in an outage was the newest then, so it does not wait for everything that failed
        # before it.
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
        elif lane.replaces:
            family.read_lines(lane, line, look, len(line))
        elif lane.ordered_by_subject and not item.known:
            family.read_lines(lane, line, look, SUBJECTS_READ)
        line.popleft()
        if _claim(lane, item, now, settlement, look):
            taken.append(item)
    return taken


def _newest_line(lane: Lane) -> deque[Queued]:
    return lane.latest if lane.lagging else lane.queue


def _take_newest(lane: Lane, most: int, now: Micros, settlement: Settlement, look: Look) -> list[Queued]:
    if not lane.lagging:
        return _take_from_queue(lane, most, now, settlement, look)
    line, fresh = lane.latest, newest_is_fresh(lane)
    taken: list[Queued] = []
    while line and len(taken) < most and (not taken or lane.setbacks.is_fresh(line[-1].created) == fresh):
        newest = _jump(lane, look) if lane.ordered_by_subject else _pop_newest(lane, line, most)
        if newest is None or newest.number <= lane.read_to or newest.number in lane.busy:
            continue
        lane.busy.add(newest.number)
        lane.jumped.add(newest.number)
        if _claim(lane, newest, now, settlement, look):
            taken.append(newest)
    return taken[::-1]


def _take_from_queue(lane: Lane, most: int, now: Micros, settlement: Settlement, look: Look) -> list[Queued]:
    """The newest of the queue. Fresh ones do not share a batch with others."""
    line, fresh = lane.queue, newest_is_fresh(lane)
    taken: list[Queued] = []
    while line and len(taken) < most and (not taken or lane.setbacks.is_fresh(line[-1].created) == fresh):
        item = line[-1] if lane.ordered_by_subject else _pop_newest(lane, line, most)
        if lane.ordered_by_subject:
            family.read_lines(lane, line, look, len(line))
            # The earliest of its subject: those behind it must not overtake it.
            item = next(each for each in line if each is item or (item.subject and each.subject == item.subject))
            line.remove(item)
        if _claim(lane, item, now, settlement, look):
            taken.append(item)
    return taken[::-1]


def _pop_newest(lane: Lane, line: deque[Queued], most: int) -> Queued:
    """The newest; at a low rate, the oldest of a few fresh ones, and on every second turn the oldest of many.

    Otherwise it would wait a long time, and no longer be fresh if a newer one failed first.
    """
    if most > 1 or not lane.gate.limited:
        return line.pop()
    is_fresh = lane.setbacks.is_fresh
    first = next((at for at, item in enumerate(line) if is_fresh(item.created)), len(line) - 1)
    if len(line) - first > FEW and lane.turn & 1:
        return line.pop()
    item = line[first]
    del line[first]
    return item


def _jump(lane: Lane, look: Look) -> Queued | None:
    """The newest of a lagging lane that is ordered by subject; None if an earlier one of its subject goes first."""
    family.read_lines(lane, lane.latest, look, len(lane.latest))
    subject = lane.latest[-1].subject
    item = next(each for each in lane.latest if each.subject == subject) if subject else lane.latest[-1]
    lane.latest.remove(item)
    if not subject:
        return item
    if subject in lane.lines.beyond:
        return None
    family.read_lines(lane, lane.queue, look, len(lane.queue))
    if any(each.subject == subject for each in lane.queue) or look.has_earlier(lane, item):
        return None
    return item


def _claim(lane: Lane, item: Queued, now: Micros, settlement: Settlement, look: Look) -> bool:
    """Whether the others of its line let a delivery be sent now. Raises StoreError."""
    if not lane.replaces or item.subject is None:
        return order.claim(lane, item, now, settlement)
    if replacing.is_outdated(lane, item, look):
        replacing.replace(lane, item, now, settlement)
        return False
    if family.must_wait(lane, item, settlement, look):
        return False
    may_go = order.claim(lane, item, now, settlement)
    if not may_go:
        replacing.older(lane, item, now, settlement)
    return may_go
