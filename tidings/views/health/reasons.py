"""Why deliveries failed lately, in groups: those whose last attempt had the same outcome, status and reason."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tidings.control.delivery_ids import DeliveryIds
from tidings.model import moment
from tidings.model.link import ALL_TENANTS
from tidings.model.moment import Micros
from tidings.rules.deliver.reasons import folded, of_all
from tidings.store.catalog import Snapshot
from tidings.store.log.failures import FailedDeliveries, FailedDelivery

GROUPS_MAX = 100
LINKS_SHOWN = 10


class FailingLink(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint or a link of the operator, and how many of a group's deliveries are its own."""

    endpoint_id: str | None
    link: str | None
    tenant: str | None
    count: int


class FailureReason(msgspec.Struct, frozen=True, kw_only=True):
    """Deliveries that failed for the same reason. In `reason`, `#` stands for numbers and `*` for ids,
    unless all have the same.

    `waiting` of them are retried, `dead` ones are not; `first` and `last`: when the last attempts were made.
    `links`: the ten with the most, of `links_total`.
    """

    outcome: str
    status: int | None
    reason: str | None
    count: int
    waiting: int
    dead: int
    first: str
    last: str
    example: str
    links: list[FailingLink]
    links_total: int


class FailureReasons(msgspec.Struct, frozen=True, kw_only=True):
    """The reasons, the most frequent first. `is_complete` false: counts are of the newest deliveries only."""

    since: str
    is_complete: bool
    reasons: list[FailureReason]


def grouped(found: FailedDeliveries, since: Micros, snapshot: Snapshot, ids: DeliveryIds) -> FailureReasons:
    """The failures in groups."""
    groups: dict[tuple[str, int | None, str | None], list[FailedDelivery]] = {}
    for each in found.found:
        groups.setdefault((each.outcome, each.status, folded(each.reason, each.status)), []).append(each)
    largest = sorted(groups.items(), key=lambda group: (-len(group[1]), -max(each.at for each in group[1])))
    return FailureReasons(
        since=moment.to_text(since),
        is_complete=found.is_complete and len(largest) <= GROUPS_MAX,
        reasons=[_reason(*key[:2], members, snapshot, ids) for key, members in largest[:GROUPS_MAX]],
    )


def _reason(
    outcome: str,
    status: int | None,
    members: Sequence[FailedDelivery],
    snapshot: Snapshot,
    ids: DeliveryIds,
) -> FailureReason:
    latest, waiting = max(members, key=lambda each: each.at), sum(each.waits for each in members)
    counts: dict[int, int] = {}
    for each in members:
        counts[each.link] = counts.get(each.link, 0) + 1
    worst = sorted(counts, key=lambda num: (-counts[num], num))[:LINKS_SHOWN]
    return FailureReason(
        outcome=outcome,
        status=status,
        reason=of_all([each.reason for each in members], status),
        count=len(members),
        waiting=waiting,
        dead=len(members) - waiting,
        first=moment.to_text(min(each.at for each in members)),
        last=moment.to_text(latest.at),
        example=ids.of(latest.number, latest.created),
        links=[_link(snapshot, num, counts[num]) for num in worst],
        links_total=len(counts),
    )


def _link(snapshot: Snapshot, num: int, count: int) -> FailingLink:
    link = snapshot.links[num]
    return FailingLink(
        endpoint_id=None if link.name else link.id,
        link=link.name or None,
        tenant=None if link.tenant == ALL_TENANTS else link.tenant,
        count=count,
    )
