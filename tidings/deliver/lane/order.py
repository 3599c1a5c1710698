"""Order: which delivery of an ordered link must wait for which.

`order: all` is one line with an empty key; `order: subject` has a line for each subject. A line is blocked by the
deliveries in `blocking` (in flight, or waiting for a retry); those behind them are held with a row in `waiting`. A
delivery that failed and is older than `order_max_age_seconds` is parked: it is retried on its own, and its line
continues.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable

import msgspec

from tidings.deliver.lane.lane import HELD_MAX, LINE_MAX, Lane
from tidings.deliver.lane.queued import Queued
from tidings.deliver.settle import Settlement
from tidings.model.delivery import Waiting
from tidings.model.moment import SECOND, Micros

FAR: Micros = 1 << 60
"""The due time of a held delivery. It is so far away that the delivery is not sent until its line releases it."""


def claim(lane: Lane, item: Queued, now: Micros, settlement: Settlement) -> bool:
    """Whether the item may be sent now; if so, it blocks its line. If not, it is held and stored as held."""
    if item.subject is None:
        return True
    members = lane.lines.blocking.get(item.subject)
    if members is None:
        line = lane.lines.held.get(item.subject)
        if line is not None and line[0].number < item.number:
            # After a start, a line may be free but not yet swept.
            hold(lane, item, settlement)
            return False
        lane.lines.blocking[item.subject] = {item.number}
        return True
    if item.number in members:
        return True
    if lane.ordered_all:
        members.add(item.number)
        return True
    hold(lane, item, settlement)
    return False


def waits_in_line(lane: Lane, item: Queued) -> bool:
    """In strict order: whether an earlier delivery than this one is still on its way."""
    members = lane.lines.blocking.get("")
    return members is not None and item.number not in members


def release(lane: Lane, item: Queued, now: Micros) -> None:
    """The item has ended or was parked: the next in its line may be sent."""
    if item.subject is None:
        return
    members = lane.lines.blocking.get(item.subject)
    if members is None:
        return
    members.discard(item.number)
    if lane.lines.family is not None:
        lane.lines.family.ended(lane, item.subject)
    if members:
        return
    del lane.lines.blocking[item.subject]
    if lane.ordered_all:
        # While the line was blocked, only the deliveries that block it were read.
        lane.due_at(0)
    line = lane.lines.held.get(item.subject)
    if line:
        free(lane, item.subject, line, now)
    elif item.subject in lane.lines.beyond:
        # None may overtake those that are still to be read.
        lane.lines.blocking[item.subject] = set()
        lane.lines.unread.add(item.subject)


def mind_age(lane: Lane, row: Waiting) -> None:
    """It waits for a retry: beyond a certain age, its line does not wait for it. A requested pause is not a failure."""
    if row.subject is not None and row.n > row.earlier:
        heapq.heappush(lane.lines.stuck, (row.first, row.delivery, row.subject))


def park_old(lane: Lane, now: Micros, settlement: Settlement, read: Callable[[int], Waiting | None]) -> Micros | None:
    """Park deliveries that are too old for their lines to wait for.

    Returns when the next one will be. Raises StoreError.
    """
    age_max = lane.link.pacing.order_max_age_seconds * SECOND
    unsettled: list[tuple[Micros, int, str]] = []
    while lane.lines.stuck and now - lane.lines.stuck[0][0] >= age_max:
        number, subject = lane.lines.stuck[0][1:]
        row = read(number)
        first, _, _ = heapq.heappop(lane.lines.stuck)
        if row is None or number in lane.flying or number not in lane.lines.blocking.get(subject, ()):
            # It ended, or its attempt's result decides.
            continue
        if number in lane.busy and all(item.number != number for item in lane.due):
            # Its row is on its way to the store; then the lane is served again.
            unsettled.append((first, number, subject))
        elif row.first > first:
            mind_age(lane, row)
        elif row.n > row.earlier and row.due > now:
            # Retries that are due go first: their attempt may keep the order.
            _park(lane, row, now, settlement)
    at = lane.lines.stuck[0][0] + age_max if lane.lines.stuck else None
    for each in unsettled:
        heapq.heappush(lane.lines.stuck, each)
    return at


def _park(lane: Lane, row: Waiting, now: Micros, settlement: Settlement) -> None:
    lane.due = deque(item for item in lane.due if item.number != row.delivery)
    # Its row is not read again before it is changed.
    lane.busy.add(row.delivery)
    settlement.waiting[row.delivery] = msgspec.structs.replace(row, subject=None)
    settlement.numbers.append((lane.num, row.delivery))
    release(lane, Queued.of(row), now)


def release_all(lane: Lane, now: Micros, settlement: Settlement) -> None:
    """The link is no longer ordered: everything held may be sent."""
    if lane.lines.held or lane.lines.beyond:
        settlement.freed[lane.num] = now
    lane.lines.held.clear()
    lane.lines.held_count = 0
    lane.lines.beyond.clear()
    lane.lines.unread.clear()
    lane.lines.blocking.clear()
    lane.lines.stuck.clear()
    for kept in (lane.lines.yielding, lane.lines.nudged, lane.lines.outdated, lane.lines.replaced):
        kept.clear()


def restore(lane: Lane, blocking: list[Waiting], lines: list[tuple[Waiting, int]]) -> None:
    """After a start: the blocking deliveries, and each line's first and last number, from the rows of `waiting`."""
    for row in blocking:
        assert row.subject is not None
        lane.lines.blocking.setdefault(row.subject, set()).add(row.delivery)
        mind_age(lane, row)
    for row, last in lines:
        assert row.subject is not None
        lane.lines.held[row.subject] = deque([Queued.of(row)])
        lane.lines.held_count += 1
        lane.lines.unswept = max(last, lane.lines.unswept or 0)
        if last > row.delivery:
            lane.lines.beyond[row.subject] = last


def read_on(lane: Lane, subject: str, rows: list[Waiting], now: Micros) -> None:
    """The first of a line with none left in memory, read from the store; none of the line is in flight."""
    found = [row for row in rows if row.delivery not in lane.busy]
    if not found and lane.busy:
        # Their rows are on their way to the store.
        return
    lane.lines.unread.discard(subject)
    del lane.lines.blocking[subject]
    if not found or found[-1].delivery >= lane.lines.beyond[subject]:
        del lane.lines.beyond[subject]
    if found:
        lane.lines.held[subject] = deque(Queued.of(row) for row in found)
        lane.lines.held_count += len(found)
        free(lane, subject, lane.lines.held[subject], now)


def may_sweep(lane: Lane, read_to: int) -> bool:
    """After a start: whether everything before the last one held was read and is in its line.

    What was in flight when the last run ended has no row; only then is it known to come before those held.
    """
    if lane.lines.unswept is None or read_to < lane.lines.unswept:
        return False
    return not any(item.number < lane.lines.unswept and not item.stored for item in lane.queue)


def sweep(lane: Lane, now: Micros) -> None:
    """Release lines that nothing blocks."""
    lane.lines.unswept = None
    for subject in [subject for subject in lane.lines.held if subject not in lane.lines.blocking]:
        free(lane, subject, lane.lines.held[subject], now)
    for subject in [subject for subject in lane.lines.beyond if subject not in lane.lines.blocking]:
        lane.lines.blocking[subject] = set()
        lane.lines.unread.add(subject)


def free(lane: Lane, subject: str, line: deque[Queued], now: Micros) -> None:
    """Release the first of a line."""
    item = line.popleft()
    lane.lines.held_count -= 1
    if not line:
        del lane.lines.held[subject]
    lane.lines.blocking[subject] = {item.number}
    item.freed = True
    lane.enqueue(item, now)


def hold(lane: Lane, item: Queued, settlement: Settlement) -> None:
    """Put an item into its line behind what blocks it, and store that."""
    assert item.subject is not None
    if not item.stored:
        settlement.waiting[item.number] = Waiting(
            delivery=item.number,
            link=lane.num,
            event=item.event,
            due=FAR,
            n=item.n,
            earlier=item.earlier,
            first=item.first or item.created,
            created=item.created,
            subject=item.subject,
            held=True,
        )
        settlement.numbers.append((lane.num, item.number))
        item.stored = True
    line = lane.lines.held.get(item.subject)
    is_last = line is None or item.number > line[-1].number
    full = lane.lines.held_count >= HELD_MAX or (line is not None and len(line) >= LINE_MAX)
    if is_last and (item.subject in lane.lines.beyond or (full and line is not None)):
        # Its row is enough: it is read when its turn comes.
        lane.lines.beyond[item.subject] = max(item.number, lane.lines.beyond.get(item.subject, 0))
        return
    line = lane.lines.held.setdefault(item.subject, deque())
    place = len(line)
    while place and line[place - 1].number > item.number:
        place -= 1
    line.insert(place, item)
    lane.lines.held_count += 1
