"""Serving a lane: which of its deliveries are sent now, given its slots, rate, order, batches, breaker and hold."""

from __future__ import annotations

from collections.abc import Callable

from tidings.deliver.lane import order, setbacks, turns
from tidings.deliver.lane.kept import has_earlier, has_newer
from tidings.deliver.lane.lane import Lane
from tidings.deliver.lane.ordering import family, replacing
from tidings.deliver.lane.queued import Queued
from tidings.deliver.lane.refill import Refill
from tidings.deliver.lane.setbacks import EXPRESS_MAX, SLOW
from tidings.deliver.lane.turns import Kind, Look
from tidings.deliver.settle import Settlement
from tidings.model.event import Event
from tidings.model.moment import SECOND, Micros
from tidings.rules.deliver import health
from tidings.store.base import Db

MILLI: Micros = 1_000
TURN_MAX = 16
"""The maximum number of requests that one lane may start in a turn, so that all lanes get their turn."""
PROBES_MAX = 2
"""How many probes may be in flight with retries or old deliveries. The newest deliveries have their own slots."""
RECENT: Micros = 5 * SECOND

Launch = list[tuple[Lane, list[Queued]]]


class LaneStore:
    """What serving a lane reads from the store. Belongs to the deliver thread."""

    def __init__(self, db: Db, events: Callable[[list[int]], dict[int, Event]]) -> None:
        """`events`: from numbers to events."""
        self.look = Look(
            events, lambda lane, item: has_earlier(db, lane, item), lambda lane, item: has_newer(db, lane, item)
        )
        self.refill = Refill(db)


def serve(
    lane: Lane,
    now: Micros,
    launch: Launch,
    settlement: Settlement,
    store: LaneStore,
    chance: Callable[[], float],
    head: int,
) -> Micros | None:
    """Refill the lane, and put what may be sent now into `launch`. `head`: up to where the head of the line was read.

    Returns when to serve it again, if a time is known. Raises StoreError.
    """
    if not lane.sendable:
        return None
    if (lane.gate.paused or lane.health.held_until is not None) and (until := lane.rests_until(now)) is not None:
        return until
    if lane.setbacks.older_until is not None:
        setbacks.end_older(lane, now)
    old_at = order.park_old(lane, now, settlement, store.refill.waiting_of) if lane.lines.stuck else None
    if lane.lines.outdated:
        replacing.replace_outdated(lane, now, settlement, store.refill.waiting_of)
    if lane.lines.yielding:
        family.look_again(lane, now, store.look)
        if len(lane.lines.yielding) >= family.YIELDING_MAX and not lane.queue:
            return _sooner(family.next_look(lane, now), old_at)
    store.refill.fill(lane, now, head)
    outdated = len(lane.lines.outdated)
    again = _serve(lane, now, launch, settlement, store.look, chance)
    if len(lane.lines.outdated) > outdated:
        return now
    if lane.lines.yielding:
        again = _sooner(family.next_look(lane, now), again)
    if lane.lagging and not lane.latest and lane.walked != 0 and lane.ordinary < lane.slots:
        # None of the newest could be sent; perhaps an earlier one can.
        again = now if turns.is_behind(lane, now) and not lane.health.open else again
    if lane.lines.unswept is not None and order.may_sweep(lane, lane.read_to if lane.lagging else head):
        order.sweep(lane, now)
        return now
    return again if old_at is None or (again is not None and again < old_at) else old_at


def _serve(
    lane: Lane, now: Micros, launch: Launch, settlement: Settlement, look: Look, chance: Callable[[], float]
) -> Micros | None:
    if lane.health.open:
        return _probe(lane, now, launch, settlement, look, chance)
    most_in_flight = lane.most_in_flight
    started = _plain(lane, now, launch)
    while started < TURN_MAX:
        full = lane.ordinary >= lane.slots
        if full and (lane.flights >= most_in_flight or not _may_express(lane, now)):
            return _look_again_full(lane, now)
        kind, at = _choose(lane, now, newest_only=full)
        if kind is None:
            return at
        items = turns.take(lane, kind, _most(lane), now, settlement, look)
        lane.turn += 1
        if items:
            _launch(lane, items, now, launch, express=full)
            started += 1
        elif lane.ordered_all:
            return lane.next_due
    return now


def _plain(lane: Lane, now: Micros, launch: Launch) -> int:
    """The usual case, in a fraction of the time: one line, nothing to choose. Returns how many left."""
    if not lane.plain or lane.due or lane.latest:
        return 0
    if turns.is_behind(lane, now):
        return 0
    queue, flying = lane.queue, lane.flying
    count = min(len(queue), TURN_MAX, lane.slots - lane.ordinary)
    for _ in range(count):
        item = queue.popleft()
        flying[item.number] = item
        launch.append((lane, [item]))
    if count > 0:
        lane.flights += count
        lane.gate.flights += count
        lane.moved = now
    return max(count, 0)


def _choose(lane: Lane, now: Micros, *, newest_only: bool) -> tuple[Kind | None, Micros | None]:
    """The line to take from next. None if there is none before the moment returned with it (if known)."""
    if lane.gate.limited:
        if lane.gate.full:
            return None, lane.next_due
        at = lane.gate.ready_at(now)
        if at > now:
            return None, _sooner(at, lane.next_due) if lane.queued or lane.latest else lane.next_due
        _mind_silence(lane, now)
    if lane.setbacks.older_until is not None:
        return _choose_fresh(lane, now)
    again = lane.next_due
    behind = newest_only or turns.is_behind(lane, now)
    for kind in ("newest",) if newest_only else turns.kinds(lane, now):
        if (kind == "newest" and not behind) or turns.is_empty(lane, kind):
            continue
        at = _complete_at(lane, now) if kind == "oldest" else turns.newest_complete_at(lane, now, kind)
        if at <= now:
            return kind, None
        again = _sooner(at, again)
    return None, again


def _mind_silence(lane: Lane, now: Micros) -> None:
    """At a low rate, slow requests use up the turns long before they take all places."""
    if lane.flights and now - lane.setbacks.silent_since >= SLOW:
        _stuck(lane, now)


def _stuck(lane: Lane, now: Micros) -> None:
    lane.setbacks.stuck(max((item.created for item in lane.flying.values()), default=0), now)


def _choose_fresh(lane: Lane, now: Micros) -> tuple[Kind | None, Micros | None]:
    """The same while older ones rest."""
    again = lane.setbacks.older_until
    if turns.newest_is_fresh(lane):
        at = turns.newest_complete_at(lane, now, "newest")
        if at <= now:
            return "newest", None
        again = _sooner(at, again)
    return None, again


def _complete_at(lane: Lane, now: Micros) -> Micros:
    """When the next batch of new ones is full or old enough."""
    batch = lane.link.pacing.batch
    if batch is None or len(lane.queue) >= batch.max_events or lane.queue[0].stored:
        return now
    return min(lane.queued_since, now) + batch.max_ms * MILLI


def _probe(
    lane: Lane, now: Micros, launch: Launch, settlement: Settlement, look: Look, chance: Callable[[], float]
) -> Micros | None:
    """The breaker is open: send the newest as long as none of them fails; otherwise one at a time, when a probe is
    due."""
    if lane.gate.full:
        return lane.next_due
    if (at := lane.gate.ready_at(now)) > now:
        return at
    room = lane.most_in_flight
    while (
        health.may_try_newest(lane.health)
        and lane.latest
        and lane.latest[-1].created > (lane.succeeded_at or 0)
        and lane.flights < room
        and _may_express(lane, now)
    ):
        items = turns.take(lane, "newest", 1, now, settlement, look)
        if items:
            _launch(lane, items, now, launch, express=True)
    probe_at = lane.health.probe_at
    if probe_at is not None and now < probe_at:
        return probe_at
    if lane.setbacks.older_until is not None:
        return lane.setbacks.older_until
    for kind in _probed_kinds(lane, now):
        if lane.ordered_all and lane.flights:
            return None
        busy = not _may_express(lane, now) if kind == "newest" else lane.ordinary >= PROBES_MAX
        while not busy and lane.flights < room and not turns.is_empty(lane, kind):
            items = turns.take(lane, kind, 1, now, settlement, look)
            if items:
                lane.turn += 1
                _launch(lane, items, now, launch, express=kind == "newest")
                lane.probed = now
                lane.health = health.after_probe(lane.health, now, chance(), lane.succeeded_at)
                lane.mark()
                return lane.health.probe_at
            if lane.ordered_all:
                break
    if lane.next_due is not None and lane.next_due <= now:
        # A probe is due and has no place: requests that come back make room, and the newest may get their own place.
        return _look_again_full(lane, now)
    return lane.next_due


def _probed_kinds(lane: Lane, now: Micros) -> tuple[Kind, ...]:
    """The best probe is what arrived since the last one; but not forever, if everything that arrives fails."""
    if lane.latest and lane.latest[-1].created >= lane.probed and lane.turn & 3 != 3:
        return ("newest", "due", "oldest")
    return turns.kinds(lane, now)


def _launch(lane: Lane, items: list[Queued], now: Micros, launch: Launch, *, express: bool) -> None:
    lane.gate.let_pass(now)
    lane.gate.flights += 1
    if not lane.flights:
        lane.setbacks.silent_since = now
    lane.flights += 1
    lane.moved = now
    lane.queued_since = now
    lane.setbacks.tried(items[0].number)
    if express:
        lane.setbacks.express[items[0].number] = now
    for item in items:
        lane.flying[item.number] = item
        if item.freed:
            # The settlement that stored it as held may be done by this time; its row stays until it ends.
            lane.busy.add(item.number)
    launch.append((lane, items))


def _may_express(lane: Lane, now: Micros) -> bool:
    """Whether the newest may have a place beyond the window: those within it are slow, or fail.

    Only one more per second leaves while none comes back, so that another slow one does not keep the next one waiting.
    The last place is for fresh ones.
    """
    back = lane.setbacks
    if lane.ordered_all or len(back.express) >= EXPRESS_MAX or now - _last_expressed(lane) < SLOW:
        return False
    newest = turns.newest_made(lane)
    if newest is None:
        return False
    if stuck := now - lane.moved >= SLOW:
        _stuck(lane, now)
    has_more = lane.flights + 1 < lane.most_in_flight and len(back.express) + 1 < EXPRESS_MAX
    if not (back.is_fresh(newest) or has_more):
        return False
    # A delivery made long before the last success is not urgent, and may be one that is slow.
    recent = back.is_fresh(newest) or newest > (lane.succeeded_at or 0) - RECENT
    # After a pause, one delivery tests whether it is over.
    asks = lane.health.hold_delay_seconds > 0
    return stuck or (turns.is_behind(lane, now) and recent and not asks)


def _last_expressed(lane: Lane) -> Micros:
    """When the last request beyond the window left; long ago, if none is in flight."""
    express = lane.setbacks.express
    return next(reversed(express.values())) if express else -SLOW


def _look_again_full(lane: Lane, now: Micros) -> Micros | None:
    """All places are taken. A request that comes back is noticed anyway, so only slowness needs a time."""
    express = len(lane.setbacks.express)
    if turns.is_empty(lane, "newest") or express >= EXPRESS_MAX or lane.flights >= lane.most_in_flight:
        return None
    at = max(lane.moved, _last_expressed(lane)) + SLOW
    return at if at > now else now + SLOW


def _most(lane: Lane) -> int:
    batch = lane.link.pacing.batch
    return 1 if batch is None else batch.max_events


def _sooner(at: Micros, due: Micros | None) -> Micros:
    return at if due is None else min(at, due)
