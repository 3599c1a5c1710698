"""Replays as answers and pages show them."""

from __future__ import annotations

import msgspec

from tidings.control.replays import DryRun
from tidings.model import moment
from tidings.model.replay import Replay, ReplayState, Which
from tidings.store.catalog import Snapshot


class ReplayView(msgspec.Struct, frozen=True, kw_only=True):
    """A replay: `total` facts to read, `looked_at` so far, `sent` deliveries put on their way."""

    id: str
    endpoint_id: str
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
    """What a replay would do: read `total` facts and send `would_send` of them. Nothing was started."""

    dry_run: bool
    endpoint_id: str
    which: Which
    since: str
    until: str
    total: int
    would_send: int


def replay_view(replay: Replay, snapshot: Snapshot) -> ReplayView:
    """A replay and how far it has come."""
    endpoint = snapshot.links.get(replay.link)
    return ReplayView(
        id=replay.id,
        endpoint_id="" if endpoint is None else endpoint.id,
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
        endpoint_id=snapshot.links[replay.link].id,
        which=replay.which,
        since=moment.to_text(replay.since),
        until=moment.to_text(replay.until),
        total=replay.total,
        would_send=dry.would_send,
    )
