"""What follows from a reply: an attempt for each event, the next due time, the endpoint's health."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from tidings.deliver.lane import order
from tidings.deliver.lane.lane import Lane, Queued
from tidings.deliver.settle import Disabling, Settlement
from tidings.model import outcome as outcomes
from tidings.model.delivery import Attempt, Waiting
from tidings.model.event import OWN_TYPES, Event
from tidings.model.ids import new_id
from tidings.model.link import ALL_TENANTS
from tidings.model.moment import MINUTE, SECOND, Micros, to_text
from tidings.net.http import Reply
from tidings.rules.deliver import health, judgement, lifecycle, retry
from tidings.rules.deliver.health import HEALTHY, EndpointHealth
from tidings.rules.deliver.judgement import Judgement
from tidings.rules.deliver.lifecycle import Cause

Chance = Callable[[], float]

DOUBT: Micros = 5 * MINUTE
"""If something succeeded so recently, a batch that failed may have failed because of one event in it."""

_MORE: dict[Cause, str] = {
    "given_up": "Its endpoint gives up on this status.",
    "split": "It is sent again with half of its batch.",
    "hold": "It is not counted as an attempt.",
    "edit": "The endpoint was edited in the meantime, so it is retried at once.",
}


class Flight(msgspec.Struct, gc=False):
    """One request under way: the deliveries in it, when it left, and its headers as shown."""

    lane: Lane
    items: list[Queued]
    left: Micros
    shown: str
    own_event: bool
    """It carries an event of Tidings' own; its failure makes no further one."""
    number: int
    size: int
    """The length of its body, in bytes."""


class _Verdict(msgspec.Struct, frozen=True):
    """What a reply means for all deliveries of its flight."""

    judged: Judgement
    wait_seconds: float | None
    """What it asked for in `Retry-After`."""
    splits: bool
    """It says nothing of each delivery: there were several, and one may have spoiled it for all."""


def take_in(flight: Flight, reply: Reply, now: Micros, settlement: Settlement, chance: Chance) -> list[Queued]:
    """Write down what came of a flight. Returns the items whose subjects are free again."""
    lane = flight.lane
    answer = reply.answer.decode("utf-8", "replace").replace("\x00", "\ufffd") if reply.answer else None
    verdict = _DELIVERED if reply.outcome is outcomes.OK else _judge(flight, reply, now)
    before = lane.health
    _mind_health(flight, reply, verdict, now, chance)
    free: list[Queued] = []
    fates = [_fate(flight, item, verdict, now, chance) for item in flight.items]
    # What went in one batch of a strict order is due again at one time, so that none overtakes another.
    together = max((due for _, due in fates if due is not None), default=None) if lane.ordered_all else None
    for item, (cause, due) in zip(flight.items, fates, strict=True):
        settlement.attempts.append(
            Attempt(
                delivery=item.number,
                n=item.n + 1,
                at=flight.left,
                outcome=reply.outcome.name,
                state=lifecycle.now(cause),
                status=reply.status,
                duration_ms=reply.duration_ms,
                request=flight.shown,
                response=answer,
                reason=f"{reply.reason} {_MORE[cause]}" if cause in _MORE else reply.reason,
            )
        )
        settlement.numbers.append((lane.link, item.number))
        if due is None:
            if lane.small:
                lane.small.pop(item.number, None)
            if item.stored:
                settlement.end(item.number)
            free.append(item)
        elif _put_back(flight, item, cause, together or due, now, settlement):
            free.append(item)
    _tell_health(flight, reply, verdict, before, now, settlement)
    return free


def _judge(flight: Flight, reply: Reply, now: Micros) -> _Verdict:
    lane = flight.lane
    wait_seconds = None if reply.retry_after is None else retry.parse_retry_after(reply.retry_after, now)
    judged = judgement.judge(reply.outcome, reply.status, asked_to_wait=wait_seconds is not None)
    if lane.endpoint is not None and lane.endpoint.options.give_up_on:
        judged = judgement.given_up(judged, reply.status, lane.endpoint.options.give_up_on)
    splits = len(flight.items) > 1 and (
        judged.endpoint == "silent"
        or (
            judged.endpoint == "failing"
            and lane.succeeded_at is not None
            and now - lane.succeeded_at < DOUBT
            and not lane.health.open
        )
    )
    return _Verdict(judged, wait_seconds, splits)


def _fate(flight: Flight, item: Queued, verdict: _Verdict, now: Micros, chance: Chance) -> tuple[Cause, Micros | None]:
    """What happened to a delivery with this attempt, and when it is due again."""
    lane, judged = flight.lane, verdict.judged
    if judged.message == "delivered":
        return "success", None
    if item.cancelled:
        return "cancel", None
    if verdict.splits:
        return "split", now
    if judged.message == "dead":
        return "given_up", None
    if flight.left < lane.edited_at:
        return "edit", now
    first = item.first or item.created
    if judged.message == "again, uncounted" and now - first < health.HOLD_UNCOUNTED:
        return "hold", lane.health.held_until or now
    options = lane.endpoint.options if lane.endpoint is not None else None
    made = item.n + 1 - item.earlier
    due = retry.next_due(now, made, _delays(lane), chance(), verdict.wait_seconds)
    if due is None:
        return "exhausted", None
    age_max = options.order_max_age_seconds * SECOND if options is not None else 0
    return ("park" if item.subject is not None and now - first > age_max else "failure"), due


def _settles(flight: Flight, verdict: _Verdict) -> bool:
    """Whether this was the last answer to a message that others wait for in line, and speaks of that alone."""
    lane, item = flight.lane, flight.items[-1]
    if verdict.judged.endpoint != "silent" or not (lane.ordered_all or lane.ordered_by_subject):
        return False
    return verdict.judged.message == "dead" or item.n + 1 - item.earlier >= len(_delays(lane))


def _delays(lane: Lane) -> Sequence[float]:
    return (lane.endpoint.options.retry_delays_seconds if lane.endpoint is not None else None) or retry.DELAYS_SECONDS


def _put_back(flight: Flight, item: Queued, cause: Cause, due: Micros, now: Micros, settlement: Settlement) -> bool:
    """Store when it is due. Returns whether the line behind it may move on (it is not ordered, or it is parked)."""
    lane = flight.lane
    if len(flight.items) > 1 and cause in ("split", "failure", "park"):
        lane.in_batches_of(item.number, (len(flight.items) + 1) // 2)
    row = settlement.waiting[item.number] = Waiting(
        delivery=item.number,
        link=lane.link,
        event=item.event,
        due=due,
        n=item.n + 1,
        earlier=item.n + 1 if cause == "edit" else item.earlier + (cause in ("hold", "split")),
        first=now if cause == "edit" else item.first or item.created,
        subject=None if cause == "park" else item.subject,
    )
    order.mind_age(lane, row)
    lane.next_due = due if lane.next_due is None else min(lane.next_due, due)
    return cause == "park" or item.subject is None


def _mind_health(flight: Flight, reply: Reply, verdict: _Verdict, now: Micros, chance: Chance) -> None:
    """What the reply says of the endpoint."""
    lane, said = flight.lane, verdict.judged.endpoint
    if said == "well":
        lane.widen()
        lane.succeeded_at = now
        if lane.health is not HEALTHY:
            lane.health = health.after_success(lane.health, now)
            lane.mark()
        return
    if flight.left < lane.edited_at and said != "gone":
        # It is about what the endpoint was.
        return
    if said == "hold":
        lane.window = 1
        lane.health = health.after_hold(lane.health, now, chance(), reply.status or 0, verdict.wait_seconds)
    elif said == "silent" and verdict.splits:
        return
    else:
        if said != "silent":
            lane.narrow()
        newest = flight.items[-1]
        failure = health.Failure(
            newer=lane.succeeded_at is None or newest.created > lane.succeeded_at,
            first=not newest.n,
            refused=said == "silent",
            settles=_settles(flight, verdict),
        )
        was_open = lane.health.open
        lane.health = health.after_failure(lane.health, now, chance(), lane.succeeded_at, failure)
        if lane.health.open and not was_open:
            # The first probe takes the newest.
            lane.turn = 0
    lane.mark()


def _tell_health(
    flight: Flight, reply: Reply, verdict: _Verdict, before: EndpointHealth, now: Micros, settlement: Settlement
) -> None:
    if verdict.judged.endpoint == "gone":
        _disable(flight, "The endpoint answered 410 Gone: it wants no more webhooks.", now, settlement)
    elif verdict.judged.endpoint not in ("failing", "silent") or before is flight.lane.health:
        return
    elif health.should_disable(before, now):
        _disable(flight, f"Every attempt has failed for 5 days; the last one: {reply.reason}", now, settlement)
    elif health.should_warn(before, flight.lane.health):
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


_DELIVERED = _Verdict(judgement.OK, None, False)


def cancelled(item: Queued, link: int, now: Micros, settlement: Settlement, *, stored: bool) -> None:
    """Write down that a delivery was cancelled before its next attempt."""
    settlement.attempts.append(
        Attempt(
            delivery=item.number,
            n=item.n + 1,
            at=now,
            outcome=outcomes.CANCELLED.name,
            state=lifecycle.now("cancel"),
            reason=outcomes.CANCELLED.meaning,
        )
    )
    settlement.numbers.append((link, item.number))
    if stored:
        settlement.end(item.number)


def unsendable(
    lane: Lane, items: Sequence[Queued], now: Micros, why: str, settlement: Settlement, *, flown: bool
) -> None:
    """Write down that no request could be made of these: trying again would not help.

    `flown`: they were all that was to leave together, so their place in flight is free again.
    """
    lane.flights -= flown
    for item in items:
        lane.flying.pop(item.number, None)
        lane.express.pop(item.number, None)
        order.release(lane, item, now)
        settlement.attempts.append(
            Attempt(
                delivery=item.number,
                n=item.n + 1,
                at=now,
                outcome=outcomes.UNSENDABLE.name,
                state=lifecycle.now("unsendable"),
                reason=f"It could not be sent: {why}.",
            )
        )
        settlement.numbers.append((lane.link, item.number))
        if item.stored:
            settlement.end(item.number)
