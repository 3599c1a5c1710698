"""The health of an endpoint: when to stop sending to it (the breaker, a hold), when to warn, and when to disable it.

Ten failures in a row open the breaker. Then only probes are sent, at growing intervals, until one succeeds.
`judgement` decides what the response to a message says about the endpoint; a response that is only about its message
counts once, and only if the message is newer than the last success. If a message that is older than the last success
fails, that is nothing new, which is why new ones may be sent at once while only old ones fail.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from tidings.model.moment import DAY, HOUR, SECOND, Micros

FAILS_TO_OPEN = 10
PROBE_SECONDS_FIRST, PROBE_SECONDS_MAX = 5.0, 60.0
PROBE_SECONDS_MIN = 0.1
REFUSED_SECONDS_FIRST, REFUSED_SECONDS_MAX = 0.5, 5.0
"""The shortest and longest interval of probes while the endpoint is up, but refuses messages: it may accept another."""
SUCCESS_SHARE = 10
"""The interval between probes is never longer than the time since the last success divided by this."""
HOLD_SECONDS_FIRST, HOLD_SECONDS_MAX = 5.0, 60.0
ASKED_SECONDS_MIN, ASKED_SECONDS_MAX = 1.0, 3600.0
HOLD_UNCOUNTED: Micros = 5 * DAY
"""How long a delivery may wait for a busy endpoint without using up an attempt."""
ASKS_TO_HOLD = 5
"""After how many requests to wait in a row an endpoint that has contradicted itself is believed again."""
CHANCE_SHARE = 0.2
DISABLE_AFTER: Micros = 5 * DAY
DISABLE_SPREAD: Micros = 12 * HOUR
ALARM_AFTER: Micros = 1 * HOUR
OUTAGE: Micros = 15 * SECOND
"""The minimum length of an outage: an endpoint that refuses only some messages accepts others more often than this."""


class EndpointHealth(msgspec.Struct, frozen=True):
    """What is remembered about an endpoint's failures since its last success. While `open`, only probes are sent."""

    fails: int = 0
    failing_since: Micros | None = None
    last_failure: Micros | None = None
    open: bool = False
    probe_at: Micros | None = None
    probe_delay_seconds: float = 0.0
    new_fails: int = 0
    """How many messages that are newer than the last success failed on their first try."""
    refusing: bool = False
    """Whether every failure was a response about its message only."""
    held_until: Micros | None = None
    """Until when the endpoint has asked for a pause."""
    held_status: int | None = None
    hold_delay_seconds: float = 0.0


HEALTHY = EndpointHealth()
_MOMENTS = tuple(name for name, kind in EndpointHealth.__annotations__.items() if "Micros" in str(kind))


def moved(health: EndpointHealth, by: Micros) -> EndpointHealth:
    """The health after the clock was moved: all its moments are moved by the same amount."""
    given = {name: getattr(health, name) for name in _MOMENTS}
    return msgspec.structs.replace(health, **{name: at + by for name, at in given.items() if at is not None})


class Failure(msgspec.Struct, frozen=True):
    """What matters about a failure. `newer`: its message was made after the last success; `first`: it was the first
    try.

    `refused`: the response is about the message. `settles`: it was also the last response to that message, in an
    ordered line, so the next one may be sent: a pause would not change the response to the next one.
    """

    newer: bool = True
    first: bool = True
    refused: bool = False
    settles: bool = False


NEWS = Failure()

Whom = Literal["all", "older", "message"]
"""Which messages have to wait: all, all except those made after every failed one, or only the message itself."""


class Trust(msgspec.Struct, frozen=True):
    """How far an endpoint's requests to wait are believed. Kept only in memory.

    It contradicts itself if the first message sent after the pause is asked to wait again, and others are accepted in
    the meantime. From then on it is `doubted`.
    """

    doubted: bool = False
    suspected: bool = False
    """Whether the first message after a pause, which was older than the last success, was asked to wait again."""
    asks: int = 0
    """How many messages in a row were asked to wait while it is doubted, up to `asked_at`."""
    asked_at: Micros = 0


TRUSTED = Trust()


class Recovery(msgspec.Struct, frozen=True):
    """After an outage, the endpoint accepted a delivery at `at`, the first one since `since` (0: the first one ever).

    Deliveries that wait for a retry are then due at once, with a new schedule, because usually it was the endpoint
    that failed, not the message. Each delivery gets that once; otherwise, one that is never accepted would be retried
    forever.
    """

    at: Micros
    since: Micros

    def covers(self, first: Micros, created: Micros) -> bool:
        """Whether this applies to a delivery, given when its schedule began and when it was made."""
        return first < self.at and (first == created or first > self.since)

    def moved(self, by: Micros) -> Recovery:
        """The recovery after the clock was moved."""
        return Recovery(self.at + by, self.since + by)


def weigh(
    trust: Trust, now: Micros, succeeded_at: Micros | None, ask: Failure, *, trial: bool = False, resting: bool = False
) -> tuple[Whom, Trust]:
    """What waits if a message is asked to wait. `trial`: it was sent first after a pause. `resting`: older ones wait.

    The first such response to a message is believed, and so is a later one unless something newer has been accepted.
    """
    if not trust.doubted:
        if ask.newer or (ask.first and not resting):
            return "all", TRUSTED
        return "older", msgspec.structs.replace(trust, suspected=trust.suspected or trial)
    if not ask.first:
        # It was asked to wait before, which led to the doubt.
        return "message", trust
    accepted = succeeded_at is not None and succeeded_at > trust.asked_at
    asks = 1 if accepted else trust.asks + 1
    doubt = msgspec.structs.replace(trust, asks=asks, asked_at=now)
    if asks < ASKS_TO_HOLD:
        return "message", doubt
    # Only a message newer than all accepted ones shows that nothing is accepted now.
    return ("all", TRUSTED) if ask.newer else ("older", msgspec.structs.replace(doubt, asks=0))


def accepted(trust: Trust, *, waiting: bool) -> Trust:
    """The trust after the endpoint has accepted a message. `waiting`: it has asked others to wait until later."""
    if not trust.suspected or trust.doubted:
        return trust
    return Trust(doubted=waiting)


def after_success(health: EndpointHealth, now: Micros) -> EndpointHealth:
    """A success ends the episode, but not a hold, because the request may have been sent before the hold began."""
    if health.held_until is None or now >= health.held_until:
        return HEALTHY
    return EndpointHealth(
        held_until=health.held_until, held_status=health.held_status, hold_delay_seconds=health.hold_delay_seconds
    )


def recovery(health: EndpointHealth, now: Micros, succeeded_at: Micros | None) -> Recovery | None:
    """What a success means for deliveries that wait for a retry; None if nothing, because there was no outage."""
    since = health.failing_since
    if not health.open or since is None or now - since < OUTAGE:
        return None
    return Recovery(now, succeeded_at or 0)


def after_failure(
    health: EndpointHealth, now: Micros, chance: float, succeeded_at: Micros | None = None, failure: Failure = NEWS
) -> EndpointHealth:
    """One more failure. `chance`, from 0 to 1, spreads the first probe by +-20 %."""
    if failure.settles and health.open:
        # It responds: the next probe is sent at once. If that gets no response, the interval grows again.
        health = probed_now(health, now, free=False)
    if failure.refused and not (failure.newer and failure.first):
        return health
    fails = health.fails + 1
    changed = msgspec.structs.replace(
        health,
        fails=fails,
        failing_since=now if health.failing_since is None else health.failing_since,
        last_failure=now,
        open=health.open or (fails >= FAILS_TO_OPEN and not failure.settles),
        new_fails=health.new_fails + (failure.newer and failure.first),
        refusing=failure.refused and (health.refusing or not health.fails),
    )
    return after_probe(changed, now, chance, succeeded_at) if changed.open and not health.open else changed


def after_probe(
    health: EndpointHealth, now: Micros, chance: float, succeeded_at: Micros | None = None
) -> EndpointHealth:
    """A probe was sent (or the breaker opened): schedules the next probe, even if this one has no result yet."""
    first, most = PROBE_SECONDS_FIRST, PROBE_SECONDS_MAX
    if health.refusing:
        first, most = REFUSED_SECONDS_FIRST, REFUSED_SECONDS_MAX
    delay = ladder = min(2 * health.probe_delay_seconds, most) or first
    if succeeded_at is not None:
        delay = min(delay, max(PROBE_SECONDS_MIN, (now - succeeded_at) / SECOND / SUCCESS_SHARE))
    return msgspec.structs.replace(health, probe_at=now + _spread(delay, chance), probe_delay_seconds=ladder)


def probed_now(health: EndpointHealth, now: Micros, *, free: bool = True) -> EndpointHealth:
    """A person edited or resumed the endpoint, or retries a delivery: a probe is due. `free`: a hold ends too."""
    probe_at, delay = (now, 0.0) if health.open else (health.probe_at, health.probe_delay_seconds)
    changed = msgspec.structs.replace(health, probe_at=probe_at, probe_delay_seconds=delay)
    if not free:
        return changed
    return msgspec.structs.replace(changed, held_until=None, held_status=None, hold_delay_seconds=0.0)


def after_hold(
    health: EndpointHealth, now: Micros, chance: float, status: int, asked_seconds: float | None
) -> EndpointHealth:
    """The endpoint asked for a pause of `asked_seconds`, at most an hour; None if it did not say how long.

    Each hold without a success in between is at least twice as long as the one before, up to a minute.
    """
    held = health.held_until is not None and now < health.held_until
    ladder = health.hold_delay_seconds
    if not held or not ladder:
        first = HOLD_SECONDS_FIRST if asked_seconds is None else ASKED_SECONDS_MIN
        ladder = min(2 * ladder, HOLD_SECONDS_MAX) or first
    delay = ladder if asked_seconds is None else max(min(asked_seconds, ASKED_SECONDS_MAX), ladder)
    until = now + (_spread(delay, chance) if asked_seconds is None else round(delay * SECOND))
    if held and asked_seconds is None:
        until = 0
    return msgspec.structs.replace(
        health, held_until=max(until, health.held_until or 0), held_status=status, hold_delay_seconds=ladder
    )


def after_older_hold(
    health: EndpointHealth, now: Micros, chance: float, asked_seconds: float | None
) -> tuple[EndpointHealth, Micros]:
    """The same for older messages only. Returns the new health, and until when they wait."""
    held = after_hold(released(health), now, chance, 0, asked_seconds)
    assert held.held_until is not None
    delay = held.hold_delay_seconds
    return msgspec.structs.replace(health, hold_delay_seconds=delay), held.held_until


def released(health: EndpointHealth) -> EndpointHealth:
    """The hold is over; the length of the next hold is remembered until a success."""
    return msgspec.structs.replace(health, held_until=None, held_status=None)


def may_send(health: EndpointHealth, now: Micros) -> bool:
    """Whether an attempt may be made: nothing holds it, and the breaker is closed or a probe is due."""
    if health.held_until is not None and now < health.held_until:
        return False
    return not health.open or health.probe_at is None or now >= health.probe_at


def may_try_newest(health: EndpointHealth) -> bool:
    """Whether a message newer than the last success may be tried while the breaker is open: none of them failed."""
    return not health.new_fails


def failing_since(health: EndpointHealth) -> Micros | None:
    """Since when it is failing, for everything that reports it; None if it is not.

    A few refused messages, with nothing else to send, do not make an endpoint failing: there must be ten or more.
    """
    return None if health.refusing and health.new_fails < FAILS_TO_OPEN else health.failing_since


def should_warn(before: EndpointHealth, now: EndpointHealth) -> bool:
    """Whether this change emits `endpoint.failing`: once per episode."""
    return is_alarming(now) and not is_alarming(before)


def should_disable(health: EndpointHealth, now: Micros) -> bool:
    """Whether it has failed without a success for 5 days, with more than 12 hours between its first and last failure.

    The second condition spares an endpoint that failed once and was then sent nothing for days.
    """
    since = failing_since(health)
    if since is None or health.last_failure is None:
        return False
    return now - since >= DISABLE_AFTER and health.last_failure - since > DISABLE_SPREAD


def disables_at(health: EndpointHealth) -> Micros | None:
    """From when a failure disables it, if it does not succeed before then; None if it is not failing."""
    since = failing_since(health)
    return None if since is None else since + DISABLE_AFTER


def is_alarming(health: EndpointHealth) -> bool:
    """Whether somebody should check: the breaker is open, either for an hour, or not just because of refused or old
    messages."""
    since = failing_since(health)
    if not health.open or since is None or health.last_failure is None:
        return False
    if health.new_fails >= FAILS_TO_OPEN and not health.refusing:
        return True
    return health.last_failure - since >= ALARM_AFTER


def _spread(seconds: float, chance: float) -> Micros:
    return round(seconds * SECOND * (1 - CHANCE_SHARE + 2 * CHANCE_SHARE * chance))
