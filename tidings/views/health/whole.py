"""The whole report: facts are read, judged, and summed up in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from tidings.control.delivery_ids import DeliveryIds
from tidings.model import moment
from tidings.model.access import Caller
from tidings.model.link import AnyLink
from tidings.model.moment import HOUR, MINUTE, SECOND, Micros
from tidings.store.base import Db
from tidings.store.catalog import Snapshot
from tidings.store.log import standing as stored
from tidings.store.log import tallies
from tidings.store.log.standing import Backlog, Oldest, Standing
from tidings.views.health import links, server
from tidings.views.health.links import Chosen, Lanes
from tidings.views.health.recent import Recent
from tidings.views.health.report import (
    HealthProblem,
    HealthReport,
    ModeCounts,
    OldestWaiting,
    RecentRates,
    StageHealth,
    State,
    StoreHealth,
)
from tidings.views.health.server import Vitals
from tidings.views.health.words import age
from tidings.views.shares import READ

LATELY: Micros = 1 * HOUR
RECENT: Micros = 5 * MINUTE
"""How far back rates go."""
PROBLEMS_MAX = 20
_RANK: dict[State, int] = {"trouble": 2, "attention": 1, "ok": 0}


def check_reader(caller: Caller) -> None:
    """Check who may read reports. Raises Forbidden for keys of one tenant."""
    caller.need(READ, "Reports on health")


class Facts(msgspec.Struct, frozen=True):
    """What the store says about the present."""

    standing: Standing
    chosen: Chosen
    backlogs: dict[int, Backlog]
    recent: Recent


def reading(snapshot: Snapshot, lanes: Lanes, now: Micros) -> Callable[[Db], Facts]:
    """A job for a reader."""

    def read(db: Db) -> Facts:
        standing, cursors = stored.read(db, now - LATELY), stored.lagging(db)
        chosen = links.choose(snapshot, lanes, standing.first, cursors, now)
        backlogs = stored.backlogs(db, chosen.all, cursors)
        behind = {num: cursors[num] for num in chosen.behind if num in cursors and backlogs[num].is_more}
        since = now - now % MINUTE - RECENT
        sums = tallies.sums(db, [tallies.ALL, *chosen.all], since)
        recent = Recent(since, now, sums, stored.sizes(db, behind))
        return Facts(standing, links.still_failing(chosen, lanes, backlogs), backlogs, recent)

    return read


def report(
    snapshot: Snapshot,
    lanes: Lanes,
    vitals: Vitals,
    facts: Facts | None,
    now: Micros,
    ids: DeliveryIds,
) -> HealthReport:
    """The report. `facts` is None if the store could not be read."""
    standing = None if facts is None else facts.standing
    found = list(server.problems(vitals, standing, now))
    if facts is not None and standing is not None:
        found += links.problems(snapshot, lanes, facts.chosen, facts.backlogs, facts.recent)
        known = {*facts.chosen.failing, *(row[0] for row in standing.timers_failed)}
        lost = [each for each in standing.dead if each.link not in known]
        found += links.dead(snapshot, lost, standing.dead_is_complete)
        found += server.timers(snapshot, standing, now)
        found += server.hooks(snapshot, standing)
    found.sort(key=_harm, reverse=True)
    total = len(found) + (0 if facts is None else facts.chosen.unseen)
    oldest = None if facts is None else _oldest(snapshot, facts, now, ids)
    rates = None if facts is None else facts.recent.rates()
    unsettled = [] if found else links.unsettled(snapshot, lanes, now)
    endpoints, named = _modes(snapshot.endpoints_by_id.values(), lanes), _modes(snapshot.links_by_name.values(), lanes)
    return HealthReport(
        state=found[0].state if found else "ok",
        sentence=_sentence(found, total) if found else _well(oldest, rates, endpoints.paused, named.paused, unsettled),
        time=moment.to_text(now),
        rates=rates,
        oldest_waiting=oldest,
        problems=found[:PROBLEMS_MAX],
        problems_total=total,
        dead_last_hour=0 if standing is None else len(standing.dead),
        dead_is_more=standing is not None and not standing.dead_is_complete,
        endpoints=endpoints,
        links=named,
        refused=[] if standing is None else server.refused(snapshot, standing.refused, standing.refused_is_complete),
        store=StoreHealth(accepts_writes=vitals.refusal is None, refusal=vitals.refusal, free_bytes=vitals.free_bytes),
        stages=None if standing is None else _stages(vitals, standing),
        jobs=list(server.jobs(snapshot, vitals, () if standing is None else standing.replays, now)),
    )


def _harm(problem: HealthProblem) -> tuple[int, int]:
    """How bad a problem is: the server's own problems come first, then how much waits for how long."""
    return _RANK[problem.state], (1 + (problem.age_seconds or 0)) * (1 + (problem.waiting or 0))


def _sentence(problems: list[HealthProblem], total: int) -> str:
    first = problems[0]
    return first.sentence if total == 1 else f"{total:,} things need attention. {first.sentence}"


def _well(
    oldest: OldestWaiting | None, rates: RecentRates | None, endpoints: int, links: int, unsettled: Sequence[str] = ()
) -> str:
    """The sentence if all is well.

    Paused links need no attention, but their events wait. `unsettled`: what may become a problem.
    """
    waits = "nothing is waiting"
    if oldest is not None:
        waits = f"the oldest waiting delivery is {age(oldest.age_seconds * SECOND)} old"
    kinds = ((endpoints, "endpoint"), (links, "link"))
    paused = [f"{count:,} {kind}{'' if count == 1 else 's'}" for count, kind in kinds if count]
    are = "is" if endpoints + links == 1 else "are"
    if rates is not None and rates.accepted >= 1:
        many = f"{rates.accepted:,.0f}"
        waits = f"{many} event{'' if many == '1' else 's'} a second, {waits}"
    first = (
        (f"Nothing needs your attention yet: {' and '.join(unsettled)}; {waits}.")
        if unsettled
        else f"All is well: {waits}."
    )
    return first + (f" {' and '.join(paused)} {are} paused." if paused else "")


def _oldest(snapshot: Snapshot, facts: Facts, now: Micros, ids: DeliveryIds) -> OldestWaiting | None:
    candidates: list[Oldest] = [*facts.standing.first.values()]
    candidates += [each.oldest for each in facts.backlogs.values() if each.oldest is not None]
    for each in sorted(candidates, key=lambda each: each.created):
        link = snapshot.links.get(each.link)
        if link is not None and link.deleted is None and link.mode == "enabled":
            return OldestWaiting(
                delivery_id=ids.of(each.number, each.created),
                since=moment.to_text(each.created),
                age_seconds=max(0, now - each.created) // SECOND,
                **links.of(link),
            )
    return None


def _modes(them: Iterable[AnyLink], lanes: Lanes) -> ModeCounts:
    counts = dict.fromkeys(("enabled", "paused", "disabled"), 0)
    failing = 0
    for each in them:
        counts[each.mode] += 1
        lane = lanes.get(each.num)
        failing += each.mode == "enabled" and lane is not None and lane.failing_since is not None
    return ModeCounts(failing=failing, **counts)


def _stages(vitals: Vitals, standing: Standing) -> StageHealth:
    unrouted = standing.unrouted
    return StageHealth(
        deliver_alive=vitals.is_delivering,
        unrouted_events=standing.route_lag,
        unrouted_since=None if unrouted is None else moment.to_text(unrouted),
        unseen_deliveries=standing.deliver_lag,
    )
