"""What follows from a reply: an attempt for each event, the next due time, the endpoint's health."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tidings.deliver.actions.action import Action, Result
from tidings.deliver.contained import why
from tidings.deliver.lane import order, setbacks
from tidings.deliver.lane.lane import Lane
from tidings.deliver.lane.ordering import replacing
from tidings.deliver.lane.queued import Queued
from tidings.deliver.settle import Disable, Emit, FollowUps, Settlement
from tidings.model import outcome as outcomes
from tidings.model.delivery import ANSWER_BYTES_KEPT, Attempt, State, Waiting
from tidings.model.event import OWN_TYPES, Event
from tidings.model.ids import new_id
from tidings.model.link import ALL_TENANTS, is_poll
from tidings.model.moment import MINUTE, SECOND, Micros, to_text
from tidings.rules.deliver import health, judgement, lifecycle, retry
from tidings.rules.deliver.health import EndpointHealth
from tidings.rules.deliver.lifecycle import Cause

Chance = Callable[[], float]

UNREAD = "There was a response, but it could not be processed:"

log = logging.getLogger("tidings.deliver")

ANSWER_SHOWN = 1_000
"""How many characters of the last failed response are kept for reports."""
DOUBT: Micros = 5 * MINUTE
"""If a delivery succeeded within this time, a failed batch may have failed because of a single event in it."""

_MORE: dict[Cause, str] = {
    "given_up": "The endpoint's `give_up_on` contains this status.",
    "split": "The delivery is sent again, in a batch of half the size.",
    "hold": "This attempt is not counted.",
    "edit": "The endpoint was edited in the meantime, so the delivery is retried at once.",
    "recovery": "The endpoint recovered in the meantime, so the delivery is retried at once.",
    "replace": "The delivery is not retried, because a newer event with the same subject replaces it.",
}


class Flight(msgspec.Struct, gc=False):
    """One request in flight: its deliveries, when it left, and its headers as shown."""

    lane: Lane
    items: list[Queued]
    left: Micros
    shown: str
    own_event: bool
    """Whether the request carries one of Tidings' own events, so that its failure does not cause another one."""
    number: int
    size: int
    """The length of the request's body, in bytes."""
    action: Action
    """The lane's action when the request left, because a request is judged by the action that sent it."""
    events: Sequence[Event] = ()
    """The events of the request, if its success can have follow-ups."""
    told: Callable[[Result, Micros], None] | None = None
    """If given, called with the result."""


def take_in(flight: Flight, result: Result, now: Micros, settlement: Settlement, chance: Chance) -> list[Queued]:
    """Record the result of a request. Returns the items whose subjects are free again."""
    lane = flight.lane
    kept = result.answer[:ANSWER_BYTES_KEPT]
    answer = kept.decode("utf-8", "replace").replace("\x00", "\ufffd") if kept else None
    if result.judged.endpoint == "hold" and not flight.left < lane.edited_at:
        whom = setbacks.asked_to_wait(lane, flight.items, now)
        result = msgspec.structs.replace(result, judged=judgement.weighed(result.judged, whom))
    if result.judged.message == "delivered" and result.judged.endpoint == "well" and result.disable_because is None:
        return _all_delivered(flight, result, answer, now, settlement)
    splits = _splits(flight, result, now)
    before = lane.health
    _mind_health(flight, result, splits, now, chance, answer, settlement)
    free: list[Queued] = []
    fates = []
    for item in flight.items:
        cause, due = _cause(flight, item, result, splits, now, chance)
        if lifecycle.fate(cause) == "waiting" and replacing.has_newer(lane, item.subject, item.number):
            cause = "replace"
        fates.append((cause, lifecycle.fate(cause), due))
    # In strict order, the deliveries of one batch are retried at the same time, so that none overtakes another.
    together = max((due for _, state, due in fates if state == "waiting"), default=0) if lane.ordered_all else 0
    for item, (cause, state, due) in zip(flight.items, fates, strict=True):
        if not result.is_stored:
            reason = f"{result.reason} {_MORE[cause]}" if cause in _MORE else result.reason
            settlement.attempts.append(_attempt(flight, item, result, state, answer, reason))
        settlement.numbers.append((lane.num, item.number))
        if state != "waiting":
            lane.done_with(item.number)
            if item.stored:
                settlement.end(item.number)
            if cause == "replace":
                replacing.defer(lane, item)
            else:
                free.append(item)
        elif _put_back(flight, item, cause, together or due, now, settlement):
            free.append(item)
    _tell_health(flight, result, before, now, settlement)
    return free


def _all_delivered(
    flight: Flight, result: Result, answer: str | None, now: Micros, settlement: Settlement
) -> list[Queued]:
    """The same for a success, in a fraction of the time."""
    lane = flight.lane
    _succeeded(lane, flight.items, now, settlement)
    state = lifecycle.fate("success")
    for item in flight.items:
        if not result.is_stored:
            settlement.attempts.append(_attempt(flight, item, result, state, answer, result.reason))
        settlement.numbers.append((lane.num, item.number))
        if item.stored:
            settlement.end(item.number)
    return flight.items


def _attempt(flight: Flight, item: Queued, result: Result, state: State, answer: str | None, reason: str) -> Attempt:
    return Attempt(
        delivery=item.number,
        n=item.n + 1,
        at=flight.left,
        outcome=result.outcome.name,
        state=state,
        status=result.status,
        duration_ms=result.duration_ms,
        request=result.shown or flight.shown,
        response=answer,
        reason=reason,
        ended_link=flight.lane.num if state in lifecycle.UNDELIVERED else None,
    )


def judged(flight: Flight, reply: Any, now: Micros) -> Result:
    """The result of a request. If its action fails to judge the response, nobody knows what the request has done.

    The reason may quote another system, and a NUL in it could not be stored.
    """
    try:
        found = flight.action.judge(reply, now)
    except Exception as wrong:
        found = Result(outcomes.IN_DOUBT, judgement.UNREAD, f"{UNREAD} {why(wrong)}.", None, 0)
    if "\0" in found.reason:
        found = msgspec.structs.replace(found, reason=found.reason.replace("\0", "\ufffd"))
    if flight.told is not None:
        flight.told(found, now)
    return found


def follow(flight: Flight, reply: Any, result: Result, now: Micros, settlement: Settlement) -> None:
    """Have the action determine the follow-up of a success; it is stored with the attempt."""
    if result.judged.message == "delivered":
        try:
            follow_up = flight.action.follow(flight.events, reply, now)
        except Exception as wrong:
            log.error("the follow-ups of a success are lost: %s", why(wrong))
            return
        if follow_up is not None:
            settlement.follow_ups.append(follow_up)
            if isinstance(follow_up, FollowUps):
                settlement.after += follow_up.stored


def _splits(flight: Flight, result: Result, now: Micros) -> bool:
    """Whether the result says nothing about single deliveries: there were several, and one may have spoiled it for
    all."""
    if len(flight.items) == 1:
        return False
    lane, said = flight.lane, result.judged.endpoint
    return said == "silent" or (
        said == "failing" and lane.succeeded_at is not None and now - lane.succeeded_at < DOUBT and not lane.health.open
    )


def _cause(
    flight: Flight, item: Queued, result: Result, splits: bool, now: Micros, chance: Chance
) -> tuple[Cause, Micros]:
    """The effect of this attempt on a delivery, and when it is due if the table says that it waits."""
    lane, judged = flight.lane, result.judged
    if judged.message == "delivered":
        return "success", now
    if item.cancelled:
        return "cancel", now
    if splits:
        return "split", now
    if judged.message == "dead":
        return "given_up" if judged.is_given_up else "refused", now
    if flight.left < lane.edited_at:
        return "edit", now
    first = item.first or item.created
    if judged.message == "again, uncounted" and now - first < health.HOLD_UNCOUNTED:
        older = lane.setbacks.older_until if judged.endpoint == "hold older" else None
        return "hold", max(older or now, lane.health.held_until or now)
    recovery = lane.setbacks.recovery
    if recovery is not None and flight.left < recovery.at and recovery.covers(first, item.created):
        return "recovery", now
    made = item.n + 1 - item.earlier
    due = retry.next_due(now, made, _delays(lane), chance(), result.wait_seconds)
    if due is None:
        return "exhausted", now
    age_max = lane.link.pacing.order_max_age_seconds * SECOND
    return ("park" if item.subject is not None and now - first > age_max else "failure"), due


def _settles(flight: Flight, result: Result) -> bool:
    """Whether this was the last response to a message that others wait for in line, and concerns only that message."""
    lane, item = flight.lane, flight.items[-1]
    if result.judged.endpoint != "silent" or not (lane.ordered_all or lane.ordered_by_subject):
        return False
    return result.judged.message == "dead" or item.n + 1 - item.earlier >= len(_delays(lane))


def _delays(lane: Lane) -> Sequence[float]:
    usual = retry.POLL_DELAYS_SECONDS if is_poll(lane.link) else retry.DELAYS_SECONDS
    return lane.link.pacing.retry_delays_seconds or usual


def _put_back(flight: Flight, item: Queued, cause: Cause, due: Micros, now: Micros, settlement: Settlement) -> bool:
    """Store when it is due. Returns whether the line behind it may move on (it is not ordered, or it is parked)."""
    lane = flight.lane
    if len(flight.items) > 1 and (cause in ("split", "failure", "park") or (cause == "hold" and item.n)):
        lane.in_batches_of(item.number, (len(flight.items) + 1) // 2)
    renewed = cause in ("edit", "recovery")
    row = settlement.waiting[item.number] = Waiting(
        delivery=item.number,
        link=lane.num,
        event=item.event,
        due=due,
        n=item.n + 1,
        earlier=item.n + 1 if renewed else item.earlier + (cause in ("hold", "split")),
        first=now if renewed else item.first or item.created,
        created=item.created,
        subject=None if cause == "park" else item.subject,
    )
    order.mind_age(lane, row)
    lane.due_at(due)
    return cause == "park" or item.subject is None


def _succeeded(lane: Lane, ended: Sequence[Queued], now: Micros, settlement: Settlement) -> None:
    """A request succeeded. If that ends an outage, deliveries that wait for a retry are due at once."""
    if lane.health.open and (recovery := setbacks.recovered(lane, now)) is not None:
        settlement.hasten(lane.num, recovery)
    lane.succeeded(now, ended)


def _mind_health(
    flight: Flight,
    result: Result,
    splits: bool,
    now: Micros,
    chance: Chance,
    answer: str | None,
    settlement: Settlement,
) -> None:
    """Record what the response says about the endpoint."""
    lane, said = flight.lane, result.judged.endpoint
    if said == "well":
        _succeeded(lane, (), now, settlement)
        return
    if said == "not asked":
        return
    if flight.left < lane.edited_at and said != "gone":
        # The response is about the endpoint as it was.
        return
    lane.setbacks.failed(flight.items[-1].created, now, now - flight.left)
    lane.setbacks.noted(
        setbacks.LastFailure(result.outcome.name, result.status, result.reason, answer and answer[:ANSWER_SHOWN])
    )
    if said == "hold":
        lane.hold(now, chance(), result.status or 0, result.wait_seconds)
    elif said == "hold older":
        setbacks.hold_older(lane, now, chance(), result.wait_seconds)
    elif said != "silent" or not splits:
        newest = flight.items[-1]
        failure = health.Failure(
            newer=lane.is_news(newest.created),
            first=not newest.n,
            refused=said == "silent",
            settles=_settles(flight, result),
        )
        lane.failed(now, chance(), failure)


def _tell_health(flight: Flight, result: Result, before: EndpointHealth, now: Micros, settlement: Settlement) -> None:
    if result.disable_because is not None:
        _disable(flight, result.disable_because, now, settlement)
    elif result.judged.endpoint not in ("failing", "silent") or before is flight.lane.health:
        return
    elif flight.lane.link.name:
        # An operator's own link is left alone for a while, but never disabled.
        return
    elif health.should_disable(before, now):
        _disable(flight, f"Every attempt has failed for 5 days; the last one: {result.reason}", now, settlement)
    elif health.should_warn(before, flight.lane.health):
        _announce("endpoint.failing", flight, result.reason, now, settlement)


def _disable(flight: Flight, reason: str, now: Micros, settlement: Settlement) -> None:
    lane = flight.lane
    if lane.sendable:
        settlement.follow_ups.append(Disable(lane.num, reason))
        _announce("endpoint.disabled", flight, reason, now, settlement)
        # Other requests that finish before it is stored must not report it again.
        lane.disable(reason)


def _announce(kind: str, flight: Flight, reason: str, now: Micros, settlement: Settlement) -> None:
    endpoint = flight.lane.link
    if flight.own_event:
        return
    assert kind.startswith(OWN_TYPES)
    since = health.failing_since(flight.lane.health)
    data = {
        "endpoint_id": endpoint.id,
        "url": flight.lane.action.destination,
        "reason": reason,
        "failing_since": None if since is None else to_text(since),
        "fails": flight.lane.health.fails,
    }
    event = Event(
        id=new_id("evt", now),
        type=kind,
        time=now,
        tenant=None if endpoint.tenant == ALL_TENANTS else endpoint.tenant,
        subject=endpoint.id,
        data=msgspec.json.encode(data).decode(),
    )
    settlement.follow_ups.append(Emit((event,)))


def there(
    lane: Lane, items: list[Queued], found: dict[int, Event], now: Micros, settlement: Settlement
) -> list[Queued]:
    """The deliveries of a request whose events are still kept; records that the others cannot be sent."""
    kept = [item for item in items if item.event in found]
    if lost := [item for item in items if item.event not in found]:
        unsendable(lane, lost, now, "the event is no longer kept", settlement, flown=not kept)
    return kept


def unsendable(
    lane: Lane, items: Sequence[Queued], now: Micros, why: str, settlement: Settlement, *, flown: bool
) -> None:
    """Record that no request could be built for these: retrying would not help.

    `flown`: they were a complete request, so its place in flight is free again.
    """
    lane.unsent(items, flown=flown)
    for item in items:
        order.release(lane, item, now)
        reason = f"The request could not be sent: {why}."
        item.end_unsent(lane.num, now, outcomes.UNSENDABLE, "unsendable", settlement, reason)
