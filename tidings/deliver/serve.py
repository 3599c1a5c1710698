"""Serving a lane: which of its deliveries leave now, given slots, rate, order, batches and the breaker."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from tidings.deliver import order
from tidings.deliver.lane import Item, Lane
from tidings.deliver.settle import Settlement
from tidings.model.event import Event
from tidings.model.moment import Micros

MILLI: Micros = 1_000
TURN_MAX = 16
"""How many requests one lane may start in a turn, so that all lanes get theirs."""
SUBJECTS_READ = 64
"""How many subjects are looked up at once."""

Launch = list[tuple[Lane, list[Item]]]
Events = Callable[[list[int]], dict[int, Event]]


def serve(lane: Lane, now: Micros, launch: Launch, settlement: Settlement, events: Events) -> Micros | None:
    """Put what may leave now into `launch`. Answers when to look again, if a time is known."""
    health = lane.health
    if health.open and now < (health.probe_at or 0):
        return health.probe_at
    slots = 1 if health.open else min(lane.slots, lane.flights + TURN_MAX)
    while lane.queue and lane.flights < slots:
        at = _ready_at(lane, now)
        if at > now:
            return _sooner(at, lane.next_due)
        items = _take(lane, now, settlement, events)
        if not items:
            if lane.queue and lane.ordered_all:
                break
            continue
        if lane.bucket is not None:
            lane.bucket.take(now)
        lane.flights += 1
        for item in items:
            lane.flying[item.number] = item
        launch.append((lane, items))
    if lane.flights >= slots:
        return now if lane.queue and slots < lane.slots and not health.open else None
    return lane.next_due


def _ready_at(lane: Lane, now: Micros) -> Micros:
    """When the next request may leave: its batch is full or old enough, and the rate permits it."""
    assert lane.endpoint is not None
    at = now
    batch = lane.endpoint.options.batch
    if batch is not None and len(lane.queue) < batch.max_events and not lane.queue[0].stored:
        at = min(lane.queued_since, now) + batch.max_ms * MILLI
    if at <= now and lane.bucket is not None:
        at = lane.bucket.ready_at(now)
    return at


def _take(lane: Lane, now: Micros, settlement: Settlement, events: Events) -> list[Item]:
    assert lane.endpoint is not None
    options = lane.endpoint.options
    if options.order == "none" and options.batch is None:
        return [lane.queue.popleft()]
    most = 1 if options.batch is None else options.batch.max_events
    taken: list[Item] = []
    while lane.queue and len(taken) < most:
        item = lane.queue[0]
        if lane.ordered_all:
            item.subject = ""
            if order.waits_in_line(lane, item) and not taken:
                break
        elif lane.ordered_by_subject and not item.known:
            _read_subjects(lane, events)
        lane.queue.popleft()
        if order.claim(lane, item, now, settlement):
            taken.append(item)
    lane.queued_since = now
    return taken


def _read_subjects(lane: Lane, events: Events) -> None:
    """Items from the head do not know their subject yet; those with a row do. Raises StoreError."""
    unknown = [item for item in islice(lane.queue, SUBJECTS_READ) if not item.known]
    found = events([item.event for item in unknown])
    for item in unknown:
        event = found.get(item.event)
        item.subject, item.known = (event.subject if event is not None else None), True


def _sooner(at: Micros, due: Micros | None) -> Micros:
    return at if due is None else min(at, due)
