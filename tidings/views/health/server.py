"""What is wrong with the server itself, its timers and its hooks; and which jobs are in progress."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tidings.model import moment
from tidings.model.moment import DAY, MINUTE, SECOND, Micros
from tidings.model.replay import Replay
from tidings.store.catalog import Snapshot
from tidings.store.log.standing import RefusedLately, Standing
from tidings.views.health.links import called, of
from tidings.views.health.report import HealthProblem, JobUnderWay, RefusedRequests
from tidings.views.health.words import age, at_least
from tidings.views.replays import replay_target

FREE_BYTES_FEW, FREE_BYTES_WARN = 100 * 1024 * 1024, 1024 * 1024 * 1024
ROUTED_WITHIN: Micros = 1 * MINUTE
"""The time after which an event that is not routed counts as stuck."""
LATEST: Micros = 365 * DAY
"""How far ahead the end of a job is predicted."""
TIMER_WITHIN: Micros = 2 * MINUTE
"""The time after which a timer that is due for a check counts as stuck, even if it waits for its last run."""


class Vitals(NamedTuple):
    """What is known without the store. `refusal`: why it accepts no writes; `free_bytes`: None if unknown."""

    refusal: str | None
    is_delivering: bool
    free_bytes: int | None
    declares: bool
    builds_indexes: int
    imports: int


def problems(vitals: Vitals, standing: Standing | None, now: Micros) -> Iterator[HealthProblem]:
    """What is wrong with the server itself."""
    if vitals.refusal is not None:
        yield HealthProblem(
            what="store",
            state="trouble",
            sentence="The store does not accept writes, so nothing can be published.",
            reason=vitals.refusal,
            advice="See: tidings doctor",
        )
    if not vitals.is_delivering:
        yield HealthProblem(
            what="stage",
            state="trouble",
            sentence="The deliver stage is not running, so nothing is sent.",
            advice="See the log for the reason, then restart the server.",
        )
    if vitals.free_bytes is not None and vitals.free_bytes < FREE_BYTES_WARN:
        is_full = vitals.free_bytes < FREE_BYTES_FEW
        yield HealthProblem(
            what="disk",
            state="trouble" if is_full else "attention",
            sentence=f"The disk has {vitals.free_bytes // 1_000_000:,} MB of free space.",
            advice="Free some space: the server cannot accept anything if the disk is full.",
        )
    if standing is not None:
        yield from _stuck(standing, now)


def _stuck(standing: Standing, now: Micros) -> Iterator[HealthProblem]:
    if standing.unrouted is not None and now - standing.unrouted >= ROUTED_WITHIN:
        yield HealthProblem(
            what="stage",
            state="trouble",
            sentence=(
                f"Events have not been routed for {age(now - standing.unrouted)}; {standing.route_lag:,} are waiting."
            ),
            advice="Look for errors from tidings.route in the log. Expensive filters can also delay routing.",
            since=moment.to_text(standing.unrouted),
            age_seconds=(now - standing.unrouted) // SECOND,
        )
    look = standing.timer_look
    if look is not None and now - look >= TIMER_WITHIN:
        yield HealthProblem(
            what="stage",
            state="trouble",
            sentence=f"Timers have not been checked for {age(now - look)}.",
            advice="Look for errors in the log, then restart the server.",
            since=moment.to_text(look),
            age_seconds=(now - look) // SECOND,
        )


def timers(snapshot: Snapshot, standing: Standing, now: Micros) -> Iterator[HealthProblem]:
    """Links whose last run failed."""
    for num, at, reason in standing.timers_failed:
        link = snapshot.links.get(num)
        if link is None or link.deleted is not None or link.mode != "enabled":
            continue
        name = called(link)
        yield HealthProblem(
            what="timer",
            state="attention",
            sentence=f"The last run of {name} failed {age(now - at)} ago.",
            reason=reason,
            advice=f"Run it again once it is fixed: tidings links run {link.name}",
            since=moment.to_text(at),
            age_seconds=max(0, now - at) // SECOND,
            **of(link),
        )


def hooks(snapshot: Snapshot, standing: Standing) -> Iterator[HealthProblem]:
    """Hooks that have refused everything lately. Forms are not among them: programs fill them in all the time."""
    for each in standing.refused:
        hook = snapshot.hooks.get(each.hook)
        if hook is None or not each.is_all:
            continue
        count = at_least(each.requests, not standing.refused_is_complete)
        whom = hook.options.path if hook.tenant is None else f"{hook.options.path} ({hook.tenant})"
        yield HealthProblem(
            what="hook",
            state="attention",
            sentence=f"The hook {whom} accepted no requests in the last hour, and refused {count}.",
            reason=each.reason,
            advice=f"See: tidings refusals show {each.example}",
            hook_id=hook.id,
            tenant=hook.tenant,
        )


def refused(snapshot: Snapshot, found: list[RefusedLately], is_complete: bool) -> list[RefusedRequests]:
    """What hooks and forms have refused lately."""
    return [
        RefusedRequests(
            hook_id=None if each.hook in snapshot.forms else each.hook,
            form_id=each.hook if each.hook in snapshot.forms else None,
            count=each.requests,
            is_more=not is_complete,
            example=each.example,
            reason=each.reason,
        )
        for each in found
    ]


def jobs(snapshot: Snapshot, vitals: Vitals, replays: Sequence[Replay], now: Micros) -> Iterator[JobUnderWay]:
    """The long jobs in progress."""
    for replay in replays:
        target = replay_target(replay, snapshot)
        yield JobUnderWay(
            what=replay.which if replay.which in ("retry", "cancel") else "replay",
            id=replay.id,
            since=moment.to_text(replay.created),
            done=replay.looked_at,
            total=replay.total,
            expected_end=_expected_end(replay, now),
            **target,
        )
    if vitals.declares:
        yield JobUnderWay(what="declaration")
    if vitals.builds_indexes:
        yield JobUnderWay(what="indexes", total=vitals.builds_indexes)
    if vitals.imports:
        yield JobUnderWay(what="imports", total=vitals.imports)


def _expected_end(replay: Replay, now: Micros) -> str | None:
    """When it will end, if it continues at the present speed."""
    if not 0 < replay.looked_at <= replay.total or now <= replay.created:
        return None
    left = (now - replay.created) * (replay.total - replay.looked_at) // replay.looked_at
    return moment.to_text(now + min(left, LATEST))
