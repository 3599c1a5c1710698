"""Replays as answers and pages show them."""

from __future__ import annotations

import msgspec

from tidings.control.replays import DryRun
from tidings.model import moment
from tidings.model.replay import Replay, ReplayState, Which
from tidings.store.catalog import Snapshot


class ReplayView(msgspec.Struct, frozen=True, kw_only=True):
    """A replay to an endpoint, or through the operator's link with this name; the other one is null. `total` is the
    number of events or deliveries to check, `looked_at` the number checked so far, and `sent` the number of deliveries
    started.
    """

    id: str
    endpoint_id: str | None
    link: str | None
    tenant: str | None
    which: Which
    since: str
    until: str
    state: ReplayState
    total: int
    looked_at: int
    sent: int
    created: str
    updated: str


class DryRunView(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay would do: check `total` events or deliveries and send `would_send` of them. Nothing was started."""

    dry_run: bool
    endpoint_id: str | None
    link: str | None
    which: Which
    since: str
    until: str
    total: int
    would_send: int


def replay_view(replay: Replay, snapshot: Snapshot) -> ReplayView:
    """A replay and how far it has come."""
    return ReplayView(
        id=replay.id,
        **_target(replay, snapshot),
        tenant=replay.tenant,
        which=replay.which,
        since=moment.to_text(replay.since),
        until=moment.to_text(replay.until),
        state=replay.state,
        total=replay.total,
        looked_at=replay.looked_at,
        sent=replay.sent,
        created=moment.to_text(replay.created),
        updated=moment.to_text(replay.updated),
    )


def dry_run_view(dry: DryRun, snapshot: Snapshot) -> DryRunView:
    """What a replay would do."""
    replay = dry.replay
    return DryRunView(
        dry_run=True,
        **_target(replay, snapshot),
        which=replay.which,
        since=moment.to_text(replay.since),
        until=moment.to_text(replay.until),
        total=replay.total,
        would_send=dry.would_send,
    )


def _target(replay: Replay, snapshot: Snapshot) -> dict[str, str | None]:
    link = snapshot.links.get(replay.link)
    if link is None:
        return {"endpoint_id": None, "link": None}
    return {"endpoint_id": None, "link": link.name} if link.name else {"endpoint_id": link.id, "link": None}
