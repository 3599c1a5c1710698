"""Which links are inspected more closely, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from tidings.deliver.lane.view import LaneView
from tidings.model import moment
from tidings.model import outcome as outcomes
from tidings.model.link import ALL_TENANTS, AnyLink
from tidings.model.moment import HOUR, MINUTE, Micros
from tidings.net.reply import CANNOT_USE
from tidings.store.catalog import Snapshot
from tidings.store.log.failures import FailedDelivery
from tidings.store.log.standing import Backlog, Oldest
from tidings.views.health.recent import Recent
from tidings.views.health.report import HealthProblem
from tidings.views.health.words import age, at_least, many

Lanes = Mapping[int, LaneView]
"""The present state of the lanes, by link."""
FAILING_MAX, DISABLED_MAX, BEHIND_MAX = 10, 10, 5
"""How many links of each kind are inspected more closely: failing, disabled, behind."""
FAILING_AFTER: Micros = 1 * MINUTE
"""How long a link must fail to need attention. Shorter failures, such as during a restart, need none."""
QUIET_AFTER: Micros = 5 * MINUTE
"""How long without a success, after two failures, is enough to count as failing. A link that sends little would take
days to fail ten times."""
STUCK_AFTER: Micros = 1 * HOUR
"""How long an event must have been refused for an operator's link to need attention, even if the other side works."""
BEHIND_AFTER: Micros = 5 * MINUTE
"""A delivery that has waited this long without an attempt is late."""
UNREACHABLE_LEAST, UNREACHABLE_SHARE = 3, 0.8
"""If at least this many failing endpoints cannot be reached, and they are at least this fraction of all endpoints that
fail or are well, the cause is probably on our side.
"""
QUOTED_MAX = 200
"""Responses up to this length are quoted."""
UNREACHABLE = {each.name for each in (outcomes.DNS_FAILED, outcomes.CONNECT_FAILED, outcomes.TLS_FAILED)}


THEIRS = "Deliveries to other destinations succeed, so the cause is probably on the receiving side. "


class Chosen(msgspec.Struct, frozen=True):
    """The links to inspect. `unseen`: how many more are failing. `stuck`: those with an event that is refused again and
    again, which says nothing about the other side.
    """

    failing: list[int]
    disabled: list[int]
    behind: list[int]
    unseen: int
    stuck: list[int] = []

    @property
    def all(self) -> list[int]:
        """Every one of them."""
        return [*self.failing, *self.disabled, *self.behind, *self.stuck]


def choose(
    snapshot: Snapshot,
    lanes: Lanes,
    first: Mapping[int, Oldest],
    cursors: Mapping[int, int],
    now: Micros,
) -> Chosen:
    """The worst candidates of each kind. `first`, `cursors`: see store/log/standing.py."""
    enabled = {num for num, link in snapshot.links.items() if link.deleted is None and link.mode == "enabled"}
    alarming = [num for num, lane in lanes.items() if lane.alarming and num in enabled]
    alarming.sort(key=lambda num: (lanes[num].failing_since or now, num))
    disabled = [each for each in snapshot.endpoints_by_id.values() if each.mode == "disabled"]
    disabled.sort(key=lambda each: (-each.updated, each.num))
    calm = enabled - set(alarming)
    alarming = [num for num in alarming if now - (lanes[num].failing_since or now) >= FAILING_AFTER]
    quiet = [num for num in calm if (lane := lanes.get(num)) is not None and _fails_quietly(lane, now)]
    quiet.sort(key=lambda num: (lanes[num].failing_since or now, num))
    late = [each for each in first.values() if each.link in calm and now - each.created >= BEHIND_AFTER]
    late = [each for each in late if not each.is_tried]
    oldest = {each.link: None for each in sorted(late, key=lambda each: each.created)}
    stuck = [
        each.link
        for each in first.values()
        if each.link in calm
        and each.is_tried
        and now - each.created >= STUCK_AFTER
        and each.link not in quiet
        # An endpoint's owner decides what it refuses, and a timer's last run is looked at anyway.
        and snapshot.links[each.link].name
        and snapshot.links[each.link].timer is None
    ]
    oldest |= {num: None for num in sorted(cursors, key=lambda num: cursors[num]) if num in calm}
    return Chosen(
        [*alarming, *quiet][:FAILING_MAX],
        [each.num for each in disabled[:DISABLED_MAX]],
        list(oldest)[:BEHIND_MAX],
        max(0, len(alarming) - FAILING_MAX),
        stuck[:BEHIND_MAX],
    )


def still_failing(chosen: Chosen, lanes: Lanes, backlogs: Mapping[int, Backlog]) -> Chosen:
    """The failing links, without those that failed only a few times and have nothing waiting."""
    failing = [num for num in chosen.failing if lanes[num].alarming or backlogs[num].count]
    return msgspec.structs.replace(chosen, failing=failing)


def _fails_quietly(lane: LaneView, now: Micros) -> bool:
    return lane.fails > 1 and lane.failing_since is not None and now - lane.failing_since >= QUIET_AFTER


def unsettled(snapshot: Snapshot, lanes: Lanes, now: Micros) -> list[str]:
    """Failures that are too new or too few to need attention: `2 endpoints have been failing for 40 s`."""
    failing: dict[str, list[Micros]] = {"endpoint": [], "link": []}
    refusing = {"endpoint": 0, "link": 0}
    for num, lane in lanes.items():
        link = snapshot.links.get(num)
        if link is None or link.deleted is not None or link.mode != "enabled":
            continue
        kind = "link" if link.name else "endpoint"
        if lane.failing_since is not None:
            failing[kind].append(lane.failing_since)
        elif lane.fails > 1:
            refusing[kind] += 1
    said = [
        f"{many(len(sinces), kind)} {'has' if len(sinces) == 1 else 'have'} been failing for {age(now - min(sinces))}"
        for kind, sinces in failing.items()
        if sinces
    ]
    return said + [f"{many(count, kind)} refused the last deliveries" for kind, count in refusing.items() if count]


def problems(
    snapshot: Snapshot, lanes: Lanes, chosen: Chosen, backlogs: Mapping[int, Backlog], recent: Recent
) -> Iterator[HealthProblem]:
    """What is wrong with the chosen links."""
    now = recent.now
    unreachable = [num for num in chosen.failing if _last_outcome(lanes[num], backlogs[num]) in UNREACHABLE]
    is_ours = _is_ours(snapshot, lanes, chosen, unreachable, now)
    is_theirs = not is_ours and not chosen.unseen and recent.others_are_fine(chosen.failing)
    if is_ours:
        yield HealthProblem(
            what="network",
            state="trouble",
            sentence=f"{len(unreachable)} of {len(chosen.failing)} failing endpoints cannot be reached.",
            advice="Check this server's own network, DNS and clock first: it is unlikely that all these endpoints are "
            "down at once.",
        )
    for num in chosen.failing:
        yield _failing(snapshot.links[num], lanes[num], backlogs[num], now, is_theirs=is_theirs)
    for num in chosen.disabled:
        if backlogs[num].count:
            yield _disabled(snapshot.links[num], backlogs[num], now)
    for num in chosen.stuck:
        if backlogs[num].failure is not None and (first := backlogs[num].oldest) is not None:
            yield _stuck(snapshot.links[num], first, backlogs[num], now)
    for num in chosen.behind:
        oldest = backlogs[num].oldest
        if oldest is not None and not oldest.is_tried and now - oldest.created >= BEHIND_AFTER:
            yield _behind(snapshot.links[num], lanes.get(num), recent.backlog(num, backlogs[num]), recent)


def _last_outcome(lane: LaneView, backlog: Backlog) -> str | None:
    if lane.last_failure is not None:
        return lane.last_failure.outcome
    return None if backlog.failure is None else backlog.failure[0]


def _is_ours(snapshot: Snapshot, lanes: Lanes, chosen: Chosen, unreachable: Sequence[int], now: Micros) -> bool:
    """Whether most links cannot be reached, which points at our own network. Those that succeeded after the last of
    the unreachable ones began to fail speak against it.
    """
    if len(unreachable) < UNREACHABLE_LEAST:
        return False
    began = max(lanes[num].failing_since or now for num in unreachable)
    well = sum(
        lane.succeeded_at is not None and lane.succeeded_at > began and lane.failing_since is None
        for num, lane in lanes.items()
        if num in snapshot.links and snapshot.links[num].deleted is None
    )
    failing = len(chosen.failing) + chosen.unseen
    return failing * len(unreachable) / len(chosen.failing) >= UNREACHABLE_SHARE * (failing + well)


def dead(snapshot: Snapshot, failures: Sequence[FailedDelivery], is_complete: bool) -> Iterator[HealthProblem]:
    """For each link, the deliveries that became dead lately."""
    by_link: dict[int, list[FailedDelivery]] = {}
    for each in failures:
        by_link.setdefault(each.link, []).append(each)
    for num, lost in by_link.items():
        link = snapshot.links.get(num)
        if link is None or link.deleted is not None:
            continue
        latest, since = max(lost, key=lambda each: each.at), min(each.at for each in lost)
        made = moment.to_text(min(each.created for each in lost))
        count = at_least(len(lost), not is_complete)
        deliveries = f"{count} {'delivery' if count == '1' else 'deliveries'}"
        target = f"--link {link.name}" if link.name else link.id
        yield HealthProblem(
            what="dead",
            state="attention",
            sentence=f"In the last hour, {deliveries} to {called(link)} became dead.",
            reason=latest.reason,
            advice=f"Once the cause is fixed: tidings replay {target} --since {made} --failed",
            since=moment.to_text(since),
            **of(link),
        )


def of(link: AnyLink) -> dict[str, Any]:
    """The link's name or id, as responses give it."""
    tenant = None if link.tenant == ALL_TENANTS else link.tenant
    return {"endpoint_id": None if link.name else link.id, "link": link.name or None, "tenant": tenant}


def called(link: AnyLink) -> str:
    """The link, as named in a sentence."""
    name = f"the link {link.name}" if link.name else link.id
    return name if link.tenant in (None, ALL_TENANTS) else f"{name} ({link.tenant})"


def last_failure(lane: LaneView | None, stored: str | None = None) -> str | None:
    """Why the last attempt that failed did so, with the response if it is short. `stored`: what the store knows; it is
    used after a start, until something fails again.
    """
    last = None if lane is None else lane.last_failure
    if last is None:
        return stored
    said = " ".join((last.answer or "").split())
    if not 0 < len(said) <= QUOTED_MAX or said[0] == "<":
        # A page, or too long for a sentence: the delivery has it.
        return last.reason
    return f"{last.reason} It said: {said}{'' if said[-1] in '.!?' else '.'}"


def _capital(text: str) -> str:
    return text if text.startswith("ep_") else text[0].upper() + text[1:]


def _since(at: Micros | None, now: Micros) -> dict[str, Any]:
    return {} if at is None else {"since": moment.to_text(at), "age_seconds": max(0, now - at) // moment.SECOND}


def _failing(link: AnyLink, lane: LaneView, backlog: Backlog, now: Micros, *, is_theirs: bool) -> HealthProblem:
    since = lane.failing_since
    how_long = "" if since is None else f" for {age(now - since)}"
    kind = f"links runs {link.name}" if link.name else f"endpoints show {link.id}"
    reason = last_failure(lane, None if backlog.failure is None else backlog.failure[2])
    hidden = "The server's log shows which of the two reasons applies. " if reason == CANNOT_USE else ""
    return HealthProblem(
        what="link" if link.name else "endpoint",
        state="attention",
        sentence=f"{_capital(called(link))} has been failing{how_long}; {_waiting(backlog)}.",
        reason=reason,
        advice=f"{hidden}{THEIRS if is_theirs else ''}Nothing is lost. See: tidings {kind}",
        **_since(since, now),
        **of(link),
        **_counts(backlog),
    )


def _disabled(link: AnyLink, backlog: Backlog, now: Micros) -> HealthProblem:
    return HealthProblem(
        what="endpoint",
        state="attention",
        sentence=f"{_capital(called(link))} has been disabled for {age(now - link.updated)}; {_waiting(backlog)}.",
        reason=link.reason,
        advice=f"Once it is fixed: tidings endpoints resume {link.id}",
        **_since(link.updated, now),
        **of(link),
        **_counts(backlog),
    )


def _stuck(link: AnyLink, first: Oldest, backlog: Backlog, now: Micros) -> HealthProblem:
    assert backlog.failure is not None
    return HealthProblem(
        what="link",
        state="attention",
        sentence=(
            f"{_capital(called(link))} has been retrying the same event for {age(now - first.created)}; "
            f"{_waiting(backlog)}."
        ),
        reason=backlog.failure[2],
        advice=f"It is retried. See: tidings links runs {link.name}",
        **_since(first.created, now),
        **of(link),
        **_counts(backlog),
    )


def _behind(link: AnyLink, lane: LaneView | None, backlog: Backlog, recent: Recent) -> HealthProblem:
    assert backlog.oldest is not None
    now, end, until = recent.now, recent.expected_end(link.num, backlog), ""
    if end is not None:
        until = f" At {end[1]:,.2g} deliveries a second, all of them will be sent {recent.end_in_words(end[0])}."
    since, rate = backlog.oldest.created, link.pacing.rate
    reason = "Events arrive faster than they are accepted."
    advice = f"Raise `max_in_flight` ({link.pacing.max_in_flight}), or make the receiving side faster."
    if lane is not None and lane.held_until is not None and lane.held_until > now:
        who = "The system that the link calls" if link.name else "The endpoint"
        reason = f"{who} answered {lane.held_status} and asked for a pause until {moment.to_text(lane.held_until)}."
        advice = "Ask its owner how many requests per second it can handle, and set `rate` to that."
    elif rate is not None:
        reason, advice = (
            f"The rate is limited to {rate:g} requests a second.",
            "Raise `rate`, or wait until everything is sent.",
        )
    return HealthProblem(
        what="link" if link.name else "endpoint",
        state="attention",
        sentence=f"{_capital(called(link))} is {age(now - since)} behind; {_waiting(backlog)}.{until}",
        reason=reason,
        advice=advice,
        expected_end=None if end is None else moment.to_text(end[0]),
        **_since(since, now),
        **of(link),
        **_counts(backlog),
    )


def _counts(backlog: Backlog) -> dict[str, Any]:
    return {"waiting": backlog.count, "waiting_is_more": backlog.is_more}


def _waiting(backlog: Backlog) -> str:
    count = at_least(backlog.count, backlog.is_more)
    return f"{count} {'delivery is' if count == '1' else 'deliveries are'} waiting"
