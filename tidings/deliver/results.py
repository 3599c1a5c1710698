"""What follows from a reply: an attempt for each event, the next due time, the endpoint's health."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from tidings.deliver.lane import Item, Lane
from tidings.deliver.settle import Disabling, Settlement
from tidings.model import outcome as outcomes
from tidings.model.delivery import Attempt, State, Waiting
from tidings.model.event import OWN_TYPES, Event
from tidings.model.ids import new_id
from tidings.model.link import ALL_TENANTS
from tidings.model.moment import SECOND, Micros, to_text
from tidings.net.http import Reply
from tidings.rules import health, retry

Chance = Callable[[], float]


class Flight(msgspec.Struct, gc=False):
    """One request under way: the deliveries in it, when it left, and its headers as shown."""

    lane: Lane
    items: list[Item]
    left: Micros
    shown: str
    own_event: bool
    """It carries an event of Tidings' own; its failure makes no further one."""
    number: int
    size: int
    """The length of its body, in bytes."""


def take_in(flight: Flight, reply: Reply, now: Micros, settlement: Settlement, chance: Chance) -> list[Item]:
    """Write down what came of a flight. Answers the items whose subjects are free again."""
    lane = flight.lane
    answer = reply.answer.decode("utf-8", "replace").replace("\x00", "\ufffd") if reply.answer else None
    wait_seconds = None
    if reply.retry_after is not None:
        wait_seconds = retry.parse_retry_after(reply.retry_after, now)
    free: list[Item] = []
    fates = [_fate(lane, item, reply, now, chance, wait_seconds) for item in flight.items]
    # What went in one batch of a strict order is due again at one time, so that none overtakes another.
    together = max((due for _, due in fates if due is not None), default=None) if lane.ordered_all else None
    for item, (state, due) in zip(flight.items, fates, strict=True):
        settlement.attempts.append(
            Attempt(
                delivery=item.number,
                n=item.n + 1,
                at=flight.left,
                outcome=reply.outcome.name,
                state=state,
                status=reply.status,
                duration_ms=reply.duration_ms,
                request=flight.shown,
                response=answer,
                reason=reply.reason,
            )
        )
        settlement.numbers.append((lane.link, item.number))
        if due is None:
            if item.stored:
                settlement.end(item.number)
            free.append(item)
        elif _put_back(lane, item, together or due, now, settlement):
            free.append(item)
    _mind_health(flight, reply, now, settlement, chance)
    return free


def _fate(
    lane: Lane, item: Item, reply: Reply, now: Micros, chance: Chance, wait_seconds: float | None
) -> tuple[State, Micros | None]:
    """The delivery's state after this attempt, and when it is due again."""
    if reply.outcome is outcomes.OK:
        return "delivered", None
    if item.cancelled:
        return "cancelled", None
    if not reply.outcome.retry:
        return "dead", None
    options = lane.endpoint.options if lane.endpoint is not None else None
    delays = options.retry_delays_seconds if options is not None else None
    made = item.n + 1 - item.earlier
    due = retry.next_due(now, made, delays or retry.DELAYS_SECONDS, chance(), wait_seconds)
    return ("dead", None) if due is None else ("waiting", due)


def _put_back(lane: Lane, item: Item, due: Micros, now: Micros, settlement: Settlement) -> bool:
    """Store when it is due. Answers whether the line behind it may move on (it is not ordered, or it is parked)."""
    parked = True
    first = item.first or item.created
    if item.subject is not None and lane.endpoint is not None:
        parked = now - first > lane.endpoint.options.order_max_age_seconds * SECOND
    settlement.waiting[item.number] = Waiting(
        delivery=item.number,
        link=lane.link,
        event=item.event,
        due=due,
        n=item.n + 1,
        earlier=item.earlier,
        first=first,
        subject=None if parked else item.subject,
    )
    lane.next_due = due if lane.next_due is None else min(lane.next_due, due)
    return parked


def _mind_health(flight: Flight, reply: Reply, now: Micros, settlement: Settlement, chance: Chance) -> None:
    lane = flight.lane
    before = lane.health
    if not reply.outcome.blames:
        lane.widen()
        if before.fails or before.failing_since is not None:
            lane.health = health.after_success(before)
            lane.mark()
        return
    lane.narrow()
    lane.health = health.after_failure(before, now, chance())
    lane.mark()
    if reply.outcome is outcomes.GONE:
        _disable(flight, "The endpoint answered 410 Gone: it wants no more webhooks.", now, settlement)
    elif health.should_disable(before, now):
        _disable(flight, f"Every attempt has failed for 5 days; the last: {reply.reason}", now, settlement)
    elif health.should_warn(before, lane.health):
        _announce("endpoint.failing", flight, reply.reason, now, settlement)


def _disable(flight: Flight, reason: str, now: Micros, settlement: Settlement) -> None:
    lane = flight.lane
    if lane.sendable and lane.endpoint is not None:
        settlement.disablings.append(Disabling(lane.link, reason))
        _announce("endpoint.disabled", flight, reason, now, settlement)
        # From now on, not from when it is stored: other requests that come back meanwhile must not tell it again.
        lane.endpoint = msgspec.structs.replace(lane.endpoint, mode="disabled", reason=reason)


def _announce(kind: str, flight: Flight, reason: str, now: Micros, settlement: Settlement) -> None:
    endpoint = flight.lane.endpoint
    if endpoint is None or flight.own_event:
        return
    assert kind.startswith(OWN_TYPES)
    since = flight.lane.health.failing_since
    data = {
        "endpoint_id": endpoint.id,
        "url": endpoint.options.url,
        "reason": reason,
        "failing_since": None if since is None else to_text(since),
        "fails": flight.lane.health.fails,
    }
    settlement.events.append(
        Event(
            id=new_id("evt", now),
            type=kind,
            time=now,
            tenant=None if endpoint.tenant == ALL_TENANTS else endpoint.tenant,
            subject=endpoint.id,
            data=msgspec.json.encode(data).decode(),
        )
    )


def cancelled(item: Item, link: int, now: Micros, settlement: Settlement, *, stored: bool) -> None:
    """Write down that a delivery was cancelled before its next attempt."""
    settlement.attempts.append(
        Attempt(
            delivery=item.number,
            n=item.n + 1,
            at=now,
            outcome=outcomes.CANCELLED.name,
            state="cancelled",
            reason=outcomes.CANCELLED.meaning,
        )
    )
    settlement.numbers.append((link, item.number))
    if stored:
        settlement.end(item.number)


def unsendable(items: Sequence[Item], link: int, now: Micros, why: str, settlement: Settlement) -> None:
    """Write down that no request could be made: trying again would not help."""
    for item in items:
        settlement.attempts.append(
            Attempt(
                delivery=item.number,
                n=item.n + 1,
                at=now,
                outcome=outcomes.UNSENDABLE.name,
                state="dead",
                reason=why,
            )
        )
        settlement.numbers.append((link, item.number))
        if item.stored:
            settlement.end(item.number)
