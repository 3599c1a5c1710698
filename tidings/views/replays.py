"""Replays as answers and pages show them."""

from __future__ import annotations

import msgspec

from tidings.control.replays import DryRun
from tidings.model import moment
from tidings.model.delivery import State
from tidings.model.moment import Micros
from tidings.model.replay import DeliveryFilter, Replay, ReplayKind, ReplayState, Which
from tidings.store.catalog import Snapshot


class BulkFilterView(msgspec.Struct, frozen=True, kw_only=True):
    """Which deliveries a bulk job acts on, of its endpoint, link, tenant and time; null: any."""

    state: State | None
    type: str | None
    outcome: str | None
    status: str | None


class ReplayView(msgspec.Struct, frozen=True, kw_only=True):
    """A replay to an endpoint, or through the operator's link with this name; the other one is null. `total` is the
    number of events or deliveries to check, `looked_at` the number checked so far, and `sent` the number of deliveries
    started. `retry` and `cancel` are bulk jobs on all deliveries that fit `filter`; `sent` is how many they retried or
    cancelled. `sentence`: what it does, in plain words.
    """

    id: str
    sentence: str
    endpoint_id: str | None
    link: str | None
    tenant: str | None
    which: ReplayKind
    filter: BulkFilterView | None
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


_STATES: dict[State, str] = {
    "waiting": "are waiting",
    "delivered": "were delivered",
    "dead": "became dead",
    "cancelled": "were cancelled",
    "replaced": "were replaced",
}


def replay_view(replay: Replay, snapshot: Snapshot) -> ReplayView:
    """A replay and how far it has come."""
    return ReplayView(
        id=replay.id,
        sentence=in_words(replay, snapshot),
        **replay_target(replay, snapshot),
        tenant=replay.tenant,
        which=replay.which,
        filter=_filter(replay),
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
        **replay_target(replay, snapshot),
        which="failed" if replay.which == "failed" else "all",
        since=moment.to_text(replay.since),
        until=moment.to_text(replay.until),
        total=replay.total,
        would_send=dry.would_send,
    )


def in_words(replay: Replay, snapshot: Snapshot) -> str:
    """What a replay does, and to what: `Retry deliveries that became dead, of ep_..., created before ...`."""
    target, wanted = replay_target(replay, snapshot), _wanted(replay)
    who = f"the link {target['link']}" if target["link"] else target["endpoint_id"]
    began, ends = _minute(replay.since), _minute(replay.until)
    if wanted is None:
        what = "the failed events" if replay.which == "failed" else "all events"
        via = "" if who is None else f", through {who}" if target["link"] else f", to {who}"
        return f"Resend {what} stored from {began} until {ends}{via}."
    about = [
        None if who is None else f"of {who}",
        replay.tenant and f"of the tenant {replay.tenant}",
        wanted.type and f"of the type {wanted.type}",
        wanted.outcome and f"with the last result {wanted.outcome}",
        wanted.status and f"with the status {wanted.status}",
        f"created from {began} until {ends}" if replay.since else f"created before {ends}",
    ]
    what = f"{'Cancel' if replay.which == 'cancel' else 'Retry'} deliveries that {_STATES[wanted.state or 'waiting']}"
    return f"{', '.join([what, *filter(None, about)])}."


def _minute(at: Micros) -> str:
    text = moment.to_text(at)
    return f"{text[:10]} {text[11:19]} UTC"


def _wanted(replay: Replay) -> DeliveryFilter | None:
    return None if replay.filter is None else msgspec.json.decode(replay.filter, type=DeliveryFilter)


def _filter(replay: Replay) -> BulkFilterView | None:
    wanted = _wanted(replay)
    if wanted is None:
        return None
    return BulkFilterView(state=wanted.state, type=wanted.type, outcome=wanted.outcome, status=wanted.status)


def replay_target(replay: Replay, snapshot: Snapshot) -> dict[str, str | None]:
    """The endpoint or link that it is about, as answers name it; both None if it is about several."""
    wanted = _wanted(replay)
    # Links of one name, deleted ones too: the newest has it.
    number = replay.link if wanted is None or not wanted.links else wanted.links[-1]
    link = snapshot.links.get(number)
    if link is None:
        return {"endpoint_id": None, "link": None}
    return {"endpoint_id": None, "link": link.name} if link.name else {"endpoint_id": link.id, "link": None}
