"""A lane's setbacks: what failed or is slow, and which deliveries are therefore *fresh*, that is, made after all of it.

Whatever happens to messages that fail, fresh ones keep a place and a turn: they may be fine, as nothing says
otherwise. This is also true of pauses, if an endpoint asks for one again although it has accepted newer messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from tidings.deliver.lane.queued import Queued
from tidings.model.moment import SECOND, Micros
from tidings.rules.deliver import health
from tidings.rules.deliver.health import TRUSTED, Failure, Recovery, Trust, Whom

if TYPE_CHECKING:
    # A lane has setbacks.
    from tidings.deliver.lane.lane import Lane

EXPRESS_MAX = 16
"""How many requests beyond the lane's window may be in flight with its newest deliveries, while earlier ones are slow
or fail."""
SLOW: Micros = 1 * SECOND
"""A request that takes this long is slow. If no request came back or left for this long, slow ones have taken all
slots."""
SLOW_KEPT: Micros = 60 * SECOND


class LastFailure(NamedTuple):
    """The result of the last failed attempt. `answer`: the beginning of the response, if there was one."""

    outcome: str
    status: int | None
    reason: str
    answer: str | None


class Setbacks:
    """Belongs to the deliver thread."""

    __slots__ = (
        "due_first",
        "express",
        "failed_to",
        "last",
        "left",
        "older_until",
        "recovery",
        "retry_next",
        "silent_since",
        "slow_until",
        "trial",
        "trial_due",
        "trust",
    )

    def __init__(self, failed_to: Micros = 0, older_until: Micros | None = None, trust: Trust = TRUSTED) -> None:
        self.failed_to = failed_to
        """When the newest of the failed messages was created; 0 if none has failed."""
        self.last: LastFailure | None = None
        """The last failure; None if nothing has failed since the server started or the link was edited."""
        self.express: dict[int, Micros] = {}
        """The numbers of the deliveries in flight beyond the window, and when each left."""
        self.slow_until: Micros = 0
        """Until when the lane counts as slow: until SLOW_KEPT after a request was slow or got no response."""
        self.silent_since: Micros = 0
        """While requests are in flight: the time since which none has come back."""
        self.recovery: Recovery | None = None
        """The lane's last recovery since the server started."""
        self.trust = trust
        self.older_until = older_until
        """Until then, only messages that are newer than every failed one are sent."""
        self.trial_due, self.due_first = False, older_until is not None
        """Whether a pause is over and nothing has been sent since; whether the first one to be sent then is a retry."""
        self.retry_next = False
        """Whether, after a hold, a retry goes before old deliveries that were never tried, to see whether the endpoint
        asks for a pause again."""
        self.trial: int | None = None
        """The number of the delivery that was sent first after a pause."""
        self.left: int | None = None
        """The delivery that left last."""

    @property
    def tries_older(self) -> bool:
        """Whether an older one should be the trial; not twice in a row, as at a low rate others would get no turn."""
        return self.due_first and (self.trial is None or self.left != self.trial)

    @property
    def holds_back(self) -> bool:
        """Whether only some may be sent now: fresh ones, or one as a trial."""
        return self.trial_due or self.older_until is not None

    def is_fresh(self, made: Micros) -> bool:
        """Whether it was made after everything that failed."""
        return made > self.failed_to

    def failed(self, made: Micros, now: Micros, took: Micros) -> None:
        """A message made at `made` failed `took` after it left."""
        self.failed_to = max(self.failed_to, made)
        if took >= SLOW:
            self.slow_until = now + SLOW_KEPT

    def noted(self, last: LastFailure) -> None:
        """Remember how it failed, for reports."""
        self.last = last

    def accepted(self, now: Micros) -> None:
        """A message was accepted. If that contradicts the pause of older ones, they no longer have to wait."""
        before = self.trust
        self.trust = health.accepted(before, waiting=now < (self.older_until or 0))
        if self.trust.doubted and not before.doubted:
            self.resume()

    def stuck(self, made: Micros, now: Micros) -> None:
        """No request comes back; the newest in flight was made at `made`."""
        self.failed(made, now, SLOW)

    def reserved(self, most: int) -> int:
        """How many of `most` places are for fresh ones while something is slow: a quarter, and one of two or three."""
        return min(EXPRESS_MAX, most // 4 or int(most > 1))

    def pause_ended(self) -> None:
        """The next request is a trial."""
        self.trial_due, self.older_until = True, None

    def tried(self, number: int) -> None:
        """A delivery leaves."""
        self.left = number
        if self.trial_due:
            self.trial, self.trial_due, self.due_first = number, False, False

    def resume(self) -> None:
        """End any pause, but keep what is known about its failures."""
        self.older_until = None
        self.trial_due = self.due_first = self.retry_next = False

    def forget(self) -> None:
        """The link was edited: its past failures do not count."""
        self.resume()
        self.trust, self.failed_to, self.slow_until = TRUSTED, 0, 0
        self.last = None

    def move(self, by: Micros) -> None:
        """The clock was set: past and future moments keep their distance."""
        self.express = {number: left + by for number, left in self.express.items()}
        self.slow_until += by
        self.silent_since += by
        if self.recovery is not None:
            self.recovery = self.recovery.moved(by)
        if self.failed_to:
            self.failed_to += by
        if self.older_until is not None:
            self.older_until += by


def asked_to_wait(lane: Lane, items: Sequence[Queued], now: Micros) -> Whom:
    """The endpoint asked for a pause when it got these; returns which deliveries have to wait."""
    back, newest = lane.setbacks, items[-1]
    ask = Failure(newer=lane.is_news(newest.created), first=not newest.n)
    trial = items[0].number == back.trial
    resting = back.older_until is not None
    whom, back.trust = health.weigh(back.trust, now, lane.succeeded_at, ask, trial=trial, resting=resting)
    return whom


def hold_older(lane: Lane, now: Micros, chance: float, asked_seconds: float | None) -> None:
    """Until the pause is over, send only what was made after everything that failed.

    If the endpoint is doubted, the length that it asked for is ignored too.
    """
    lane.window = 1
    back = lane.setbacks
    if back.trust.doubted:
        asked_seconds = None
    back.due_first = True
    if back.older_until is None or asked_seconds is not None:
        lane.health, until = health.after_older_hold(lane.health, now, chance, asked_seconds)
        back.older_until = max(until, back.older_until or 0)
    lane.mark()


def recovered(lane: Lane, now: Micros) -> Recovery | None:
    """It accepts a delivery while only probes are sent. Returns None if there was no outage."""
    recovery = health.recovery(lane.health, now, lane.succeeded_at)
    if recovery is not None:
        lane.setbacks.recovery = recovery
    return recovery


def end_older(lane: Lane, now: Micros) -> None:
    """End the pause of older ones, if it is over."""
    if now >= (lane.setbacks.older_until or 0):
        lane.setbacks.pause_ended()
