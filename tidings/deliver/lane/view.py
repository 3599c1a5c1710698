"""A lane as other threads see it, and as it is stored."""

from __future__ import annotations

import msgspec

from tidings.deliver.lane.lane import Lane
from tidings.deliver.lane.setbacks import LastFailure
from tidings.model.link import LinkState
from tidings.model.moment import Micros
from tidings.rules.deliver.health import EndpointHealth, disables_at, failing_since, is_alarming
from tidings.store.base import Row


class LaneView(msgspec.Struct, frozen=True):
    """The state of a lane, as others may see it."""

    queued: int
    in_flight: int
    lagging: bool
    open: bool
    fails: int
    failing_since: Micros | None
    probe_at: Micros | None
    """When the next probe may be sent; None if it may be sent as soon as there is something to send."""
    held_until: Micros | None = None
    held_status: int | None = None
    alarming: bool = False
    """Whether its failures are more than a temporary problem, so that somebody should check."""
    last_failure: LastFailure | None = None
    """The last failure; None also right after the server's start, while it is only in the store."""
    succeeded_at: Micros | None = None
    disables_at: Micros | None = None
    """The time after which a failure disables it, if it is an endpoint and nothing succeeds before then."""
    next_due: Micros | None = None
    """When the next delivery with a due time may be sent; None if it may be sent now, or if there is none."""


def view(lane: Lane, now: Micros) -> LaneView:
    """The lane as it is now. A pause that another lane of its gate was asked for holds this one too."""
    health = lane.health
    until, status = health.held_until, health.held_status
    if lane.gate.shared and (pause := lane.gate.pausing(now)) is not None and pause[0] > (until or 0):
        until, status = pause
    return LaneView(
        lane.queued,
        lane.flights,
        lane.lagging,
        health.open,
        health.fails,
        failing_since(health),
        health.probe_at if health.probe_at is not None and health.probe_at > now else None,
        until,
        status,
        is_alarming(health),
        lane.setbacks.last,
        lane.succeeded_at,
        disables_at(health),
        lane.next_due if not lane.queued and lane.next_due is not None and lane.next_due > now else None,
    )


def stored_health(row: Row) -> EndpointHealth:
    """The health in a row of `link_states`."""
    return EndpointHealth(
        fails=row[2],
        failing_since=row[3],
        last_failure=row[4],
        open=bool(row[5]),
        probe_at=row[6],
        probe_delay_seconds=row[7],
        new_fails=row[8],
        refusing=bool(row[9]),
        held_until=row[10],
        held_status=row[11],
        hold_delay_seconds=row[12],
    )


def of_stored(row: Row, now: Micros) -> LaneView:
    """A lane as it was stored in a row of `link_states`. What it has in memory is unknown."""
    health = stored_health(row)
    held = health.held_until is not None and health.held_until > now
    return LaneView(
        queued=0,
        in_flight=0,
        lagging=row[1] is not None,
        open=health.open,
        fails=health.fails,
        failing_since=failing_since(health),
        probe_at=health.probe_at if health.probe_at is not None and health.probe_at > now else None,
        held_until=health.held_until if held else None,
        held_status=health.held_status if held else None,
        alarming=is_alarming(health),
        succeeded_at=row[13],
        disables_at=disables_at(health),
    )


def state(lane: Lane) -> LinkState:
    """The row to store."""
    health = lane.health
    return LinkState(
        link=lane.num,
        cursor=lane.cursor(),
        fails=health.fails,
        failing_since=health.failing_since,
        last_failure=health.last_failure,
        open=health.open,
        probe_at=health.probe_at,
        probe_delay_seconds=health.probe_delay_seconds,
        succeeded_at=lane.succeeded_at,
        new_fails=health.new_fails,
        refusing=health.refusing,
        held_until=health.held_until,
        held_status=health.held_status,
        hold_delay_seconds=health.hold_delay_seconds,
        failed_to=lane.setbacks.failed_to,
        older_until=lane.setbacks.older_until,
        doubted=lane.setbacks.trust.doubted,
        suspected=lane.setbacks.trust.suspected,
    )
