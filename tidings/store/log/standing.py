"""The state of everything: what waits and since when, what became dead lately, which timers failed, which requests were
refused.

Every look-up reads a bounded number of rows along an index, so it costs the same however much is stored.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import NamedTuple

import msgspec

from tidings.model.ids import lowest_id
from tidings.model.moment import Micros
from tidings.model.replay import Replay
from tidings.store import journal
from tidings.store.base import Db, Row
from tidings.store.log import failures, replays
from tidings.store.log.failures import FailedDelivery

ROWS_MAX = 1_000
"""The maximum number of rows that one look-up reads."""
COUNTED_MAX = 1_000
"""The maximum number of waiting deliveries that are counted."""
SIZE_MAX = 50_000
"""The maximum number of deliveries that are counted in the backlog of a lagging link, to predict when all of them will
be sent."""
LINKS_PER_LOOK = 50
DEAD_MAX = 200
REPLAYS_NEWEST, REPLAYS_MAX = 1_000, 20
HOOKS_MAX = 20


class Oldest(NamedTuple):
    """A delivery that waits. `is_tried`: it has a due time of its own, as a retry or behind an earlier one."""

    number: int
    link: int
    created: Micros
    is_tried: bool


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for one link. `count`: up to COUNTED_MAX; `is_more`: there are more; `failure`: the last one."""

    oldest: Oldest | None
    count: int
    is_more: bool
    failure: tuple[str, int | None, str | None] | None
    """Outcome, status and reason."""


NOTHING = Backlog(oldest=None, count=0, is_more=False, failure=None)


class RefusedLately(NamedTuple):
    """What a hook or form refused lately. `example`: the newest receipt, with its reason."""

    hook: str
    requests: int
    example: str
    reason: str | None
    is_all: bool
    """Whether everything was refused, so that nothing was accepted in the meantime."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of one moment."""

    route_lag: int
    """The number of events that are stored but not yet routed."""
    unrouted: Micros | None
    """When the first of these events was stored."""
    deliver_lag: int
    first: dict[int, Oldest]
    """By link, its oldest waiting delivery, if that is among the first deliveries that wait for any link."""
    dead: list[FailedDelivery]
    dead_is_complete: bool
    timers_failed: list[tuple[int, Micros, str | None]]
    """The links whose last run is dead, when each run was last tried, and why it failed."""
    timer_look: Micros | None
    """When the next timer is to be checked."""
    refused: list[RefusedLately]
    refused_is_complete: bool
    replays: list[Replay]


def read(db: Db, since: Micros) -> Standing:
    """The facts that do not require going through the links. `since`: when "lately" begins."""
    db.run_later("plan_by_index")
    at = journal.positions(db)
    route_lag = journal.events_between(db, at["route"], at["event"])
    unrouted = db.one("first_event_since", **{"from": at["route"] + 1}) if route_lag > 0 else None
    dead = [row[0] for row in db.all("numbers_ended_dead", after=-1, before=1 << 62, count=DEAD_MAX)]
    timer = db.one("timer_next")
    refused, all_refused = _refused(db, since)
    return Standing(
        route_lag=route_lag,
        unrouted=None if unrouted is None else unrouted[1],
        deliver_lag=at["delivery"] - at["deliver"],
        first=_first(db, at["deliver"]),
        dead=[failure for failure in failures.last(db, dead, since) if not failure.waits],
        dead_is_complete=len(dead) < DEAD_MAX,
        timers_failed=[(row[0], row[1], row[2]) for row in db.all("timers_failed", count=ROWS_MAX)],
        timer_look=None if timer is None else timer[0],
        refused=refused,
        refused_is_complete=all_refused,
        replays=jobs_under_way(db),
    )


def jobs_under_way(db: Db) -> list[Replay]:
    """The replays and bulk jobs that have not ended, oldest first, up to REPLAYS_MAX."""
    return replays.under_way(db, REPLAYS_NEWEST, REPLAYS_MAX)


def lagging(db: Db) -> dict[int, int]:
    """By link, the position from which it reads its own backlog; a lower one is older."""
    return {row[0]: row[1] for row in db.all("links_lagging")}


def backlogs(db: Db, links: Collection[int], cursors: Mapping[int, int]) -> dict[int, Backlog]:
    """What waits for each of a few links. `cursors`: of those that lag."""
    db.run_later("plan_by_index")
    head, found = journal.position(db, "deliver"), {}
    every = [{"link": link, "after": cursors.get(link, head)} for link in links]
    for start in range(0, len(every), LINKS_PER_LOOK):
        part = json.dumps(every[start : start + LINKS_PER_LOOK])
        for row in db.all("backlogs", links=part, looked=ROWS_MAX, count=COUNTED_MAX + 1):
            found[row[0]] = _backlog(row)
        db.rest()
    return found


def sizes(db: Db, cursors: Mapping[int, int]) -> dict[int, int]:
    """How long the backlogs of a few links that lag are, each up to SIZE_MAX."""
    found = {}
    for link, after in cursors.items():
        row = db.one("backlog_size", link=link, after=after, count=SIZE_MAX)
        found[link] = 0 if row is None else int(row[0])
    return found


def backlogs_of_many(db: Db, links: Collection[int], cursors: Mapping[int, int]) -> dict[int, Backlog]:
    """The same for many links: only those for which something waits are read one by one."""
    db.run_later("plan_by_index")
    head = journal.position(db, "deliver")
    busy = {row[0] for row in db.all("links_busy", links=json.dumps(list(links)), head=head)}
    looked = backlogs(db, [link for link in links if link in busy or link in cursors], cursors)
    return {link: looked.get(link, NOTHING) for link in links}


def _backlog(row: Row) -> Backlog:
    link, untried, untried_created, timed, timed_created, count, outcome, status, reason = row
    oldest = [
        Oldest(number, link, created, is_tried)
        for number, created, is_tried in ((untried, untried_created, False), (timed, timed_created, True))
        if number is not None
    ]
    return Backlog(
        oldest=min(oldest, key=lambda each: each.created, default=None),
        count=min(int(count), COUNTED_MAX),
        is_more=count > COUNTED_MAX,
        failure=None if outcome is None else (outcome, status, reason),
    )


def _first(db: Db, head: int) -> dict[int, Oldest]:
    waiting = [Oldest(row[0], row[1], row[2], True) for row in db.all("waiting_first", count=ROWS_MAX)]
    untried = [Oldest(row[0], row[1], row[2], False) for row in db.all("untried_first", after=head, count=ROWS_MAX)]
    found: dict[int, Oldest] = {}
    for each in (*waiting, *untried):
        known = found.get(each.link)
        if known is None or each.created < known.created:
            found[each.link] = each
    return found


def _refused(db: Db, since: Micros) -> tuple[list[RefusedLately], bool]:
    after = lowest_id("rcp", since)
    rows = db.all("refusals_since", after=after, count=ROWS_MAX)
    newest: dict[str, str] = {}
    counts: dict[str, int] = {}
    for ident, hook in rows:
        newest.setdefault(hook, ident)
        counts[hook] = counts.get(hook, 0) + 1
    worst = sorted(counts, key=lambda hook: (-counts[hook], hook))[:HOOKS_MAX]
    found = []
    for hook in worst:
        why = db.one("refusal_reason", id=newest[hook])
        is_all = db.one("receipt_accepted", hook=hook, after=after, count=ROWS_MAX) is None
        found.append(RefusedLately(hook, counts[hook], newest[hook], None if why is None else why[1] or why[0], is_all))
    return found, len(rows) < ROWS_MAX
