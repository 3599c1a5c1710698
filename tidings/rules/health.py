"""The health of an endpoint: when to leave it alone (the breaker), when to warn, and when to disable it."""

from __future__ import annotations

import msgspec

from tidings.model.moment import DAY, HOUR, SECOND, Micros

FAILS_TO_OPEN = 10
PROBE_SECONDS_FIRST, PROBE_SECONDS_MAX = 5.0, 60.0
CHANCE_SHARE = 0.2
DISABLE_AFTER: Micros = 5 * DAY
DISABLE_SPREAD: Micros = 12 * HOUR


class Health(msgspec.Struct, frozen=True):
    """What is remembered of an endpoint's failures since its last success. While `open`, only probes are sent."""

    fails: int = 0
    failing_since: Micros | None = None
    last_failure: Micros | None = None
    open: bool = False
    probe_at: Micros | None = None
    probe_delay_seconds: float = 0.0


HEALTHY = Health()
_MOMENTS = tuple(name for name, kind in Health.__annotations__.items() if "Micros" in str(kind))


def moved(health: Health, by: Micros) -> Health:
    """The same after the clock was set: what was so long ago, or is so far ahead, stays so."""
    given = {name: getattr(health, name) for name in _MOMENTS}
    return msgspec.structs.replace(health, **{name: at + by for name, at in given.items() if at is not None})


def after_success(health: Health) -> Health:
    """A success ends the episode."""
    return health if health == HEALTHY else HEALTHY


def after_failure(health: Health, now: Micros, chance: float) -> Health:
    """One more failure. `chance`, from 0 to 1, spreads the next probe by +-20 %."""
    fails = health.fails + 1
    probe_at, delay = health.probe_at, health.probe_delay_seconds
    is_open = health.open or fails >= FAILS_TO_OPEN
    # Attempts that were under way when the breaker opened are no probes, and must not push the probe further out.
    if is_open and (probe_at is None or now >= probe_at):
        delay = min(2 * delay, PROBE_SECONDS_MAX) if health.open and delay else PROBE_SECONDS_FIRST
        probe_at = now + round(delay * SECOND * (1 - CHANCE_SHARE + 2 * CHANCE_SHARE * chance))
    return Health(
        fails=fails,
        failing_since=now if health.failing_since is None else health.failing_since,
        last_failure=now,
        open=is_open,
        probe_at=probe_at,
        probe_delay_seconds=delay,
    )


def may_send(health: Health, now: Micros) -> bool:
    """Whether an attempt may be made: the breaker is closed, or a probe is due."""
    return not health.open or health.probe_at is None or now >= health.probe_at


def should_warn(before: Health, now: Health) -> bool:
    """Whether this change is the one that tells `endpoint.failing`: once an episode, when the breaker opens."""
    return now.open and not before.open


def should_disable(health: Health, now: Micros) -> bool:
    """Whether it has failed without a success for 5 days, its failures more than 12 hours apart from first to last.

    The second condition spares an endpoint that failed once and was then sent nothing for days.
    """
    if health.failing_since is None or health.last_failure is None:
        return False
    spread = health.last_failure - health.failing_since
    return now - health.failing_since >= DISABLE_AFTER and spread > DISABLE_SPREAD
