"""The operations of replays: send a time range of events to an endpoint again."""

from __future__ import annotations

import msgspec

from tidings.model import moment
from tidings.model.access import Key
from tidings.model.errors import Invalid, NotFound
from tidings.model.link import Endpoint
from tidings.model.moment import Micros
from tidings.model.replay import Replay, ReplayState, Which
from tidings.rules.reading.refused import Refused
from tidings.store.base import Db
from tidings.store.catalog import Snapshot
from tidings.store.log import replays as stored
from tidings.store.log.replays import ReplayQuery
from tidings.web.habits.once import idempotency_key, once
from tidings.web.habits.paging import PAGING, Page, counted
from tidings.web.habits.shaping import sort_of
from tidings.web.openapi.examples import ENDPOINT
from tidings.web.operation import Answer, Operation, Parameter, Request
from tidings.web.parts import Parts

TAG = "Replays"


class NewReplay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which endpoint, which time range (by when things were stored; `until` is now by default), and what of it."""

    endpoint_id: str
    since: str
    until: str | None = None
    which: Which = "failed"
    dry_run: bool = False


class ReplayView(msgspec.Struct, frozen=True, kw_only=True):
    """A replay: `total` facts to look at, `looked_at` so far, `sent` deliveries put on their way."""

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
    """What a replay would do: `total` facts to look at, of which `would_send` would be sent. Nothing was started."""

    dry_run: bool
    endpoint_id: str
    which: Which
    since: str
    until: str
    total: int
    would_send: int


class ReplayList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of replays."""

    data: list[ReplayView]
    next_cursor: str | None
    count: int | msgspec.UnsetType = msgspec.UNSET


async def create_replay(parts: Parts, request: Request) -> Answer:
    """Start a replay, or count what it would send."""
    form: NewReplay = request.body
    # Also of a dry run, which keeps no answer: a key that cannot be read is refused.
    idempotency_key(request)
    endpoint = parts.catalog.now.endpoints_by_id.get(form.endpoint_id)
    if endpoint is None or not _visible(request.key, endpoint.tenant):
        raise Refused("/endpoint_id", "not_found", f"There is no endpoint {form.endpoint_id[:100]}.")
    since = _time("/since", form.since)
    until = None if form.until is None else _time("/until", form.until)
    if form.dry_run:
        return await parts.readers.call(
            lambda db: _dry_run(db, parts, endpoint, form.which, since, until), request.key.tenant
        )
    replay = await parts.readers.call(
        lambda db: parts.replays.prepare(db, endpoint, form.which, since, until), request.key.tenant
    )

    def store(db: Db) -> Answer:
        added = parts.replays.add(db, replay)
        return Answer(201, _view(parts.catalog.now, added), [("location", f"/v1/replays/{added.id}")])

    answer = await once(parts, request, store)
    parts.replays.wake()
    return answer


async def list_replays(parts: Parts, request: Request) -> Answer:
    """List replays, newest first by default."""
    page = Page.of(request, str)
    snapshot = parts.catalog.now
    tenant = request.key.tenant or request.query.get("tenant")
    query = ReplayQuery(tenant=tenant, state=request.query.get("state"), link=_link(request, snapshot))
    is_up = not sort_of(request)[0].startswith("-")

    def read(db: Db) -> tuple[list[Replay], int | None]:
        total = counted(stored.count(db, query)) if request.query.get("count") else None
        return stored.page(db, query, page.after, page.limit + 1, oldest_first=is_up), total

    found, total = await parts.readers.call(read, request.key.tenant)
    shown = found[: page.limit]
    more = len(found) > page.limit
    return page.answer([_view(snapshot, replay) for replay in shown], shown[-1].id if more else None, total)


async def get_replay(parts: Parts, request: Request) -> Answer:
    """Read how far a replay has come."""
    return Answer(200, _view(parts.catalog.now, await _find(parts, request)))


async def cancel_replay(parts: Parts, request: Request) -> Answer:
    """Stop a replay; what it has sent stays sent."""
    replay = await _find(parts, request)

    def cancel(db: Db) -> Answer:
        return Answer(200, _view(parts.catalog.now, parts.replays.cancel(db, replay.id)))

    return await once(parts, request, cancel)


async def _find(parts: Parts, request: Request) -> Replay:
    replay = await parts.readers.call(lambda db: stored.read(db, request.path["id"]), request.key.tenant)
    if replay is None or not _visible(request.key, replay.tenant):
        raise NotFound(f"There is no replay {request.path['id'][:100]}.")
    return replay


def _dry_run(db: Db, parts: Parts, endpoint: Endpoint, which: Which, since: Micros, until: Micros | None) -> Answer:
    replay = parts.replays.prepare(db, endpoint, which, since, until)
    view = DryRunView(
        dry_run=True,
        endpoint_id=endpoint.id,
        which=which,
        since=moment.to_text(replay.since),
        until=moment.to_text(replay.until),
        total=replay.total,
        would_send=parts.replays.count(db, replay, endpoint),
    )
    return Answer(200, view)


def _visible(key: Key, tenant: str | None) -> bool:
    return key.tenant is None or tenant == key.tenant


def _link(request: Request, snapshot: Snapshot) -> int | None:
    wanted = request.query.get("endpoint")
    if wanted is None:
        return None
    for endpoint in snapshot.endpoints.values():
        if endpoint.id == wanted and _visible(request.key, endpoint.tenant):
            return endpoint.num
    detail = f"There is no endpoint {wanted[:100]}."
    raise Invalid.of_parameter("endpoint", "not_found", detail)


def _time(pointer: str, text: str) -> Micros:
    try:
        return moment.from_text(text)
    except ValueError:
        raise Refused(
            pointer, "wrong_value", f"{pointer[1:]} must be an RFC 3339 time such as 2026-11-21T01:02:03Z."
        ) from None


def _view(snapshot: Snapshot, replay: Replay) -> ReplayView:
    endpoint = snapshot.endpoints.get(replay.link)
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


# --- the menu --------------------------------------------------------------------------------------------------------

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="create_replay",
        method="POST",
        path="/v1/replays",
        scope="replays:write",
        summary="Send a time range of events to an endpoint again",
        help=(
            "`failed` tries the dead deliveries of the range again; `all` makes a new delivery for every event of the "
            "range that the endpoint wants today. The webhook-id stays, so receivers can drop repeats. With `dry_run` "
            "nothing is started; the answer (status 200) says how many would be sent."
        ),
        handler=create_replay,
        tag=TAG,
        request=NewReplay,
        response=ReplayView | DryRunView,
        status=201,
        also=((200, "Nothing was started: what a replay would do."),),
        idempotent_key=True,
        example={"endpoint_id": ENDPOINT, "since": "2026-11-20T00:00:00Z", "which": "failed", "dry_run": True},
    ),
    Operation(
        name="list_replays",
        method="GET",
        path="/v1/replays",
        scope="replays:read",
        summary="List replays, newest first",
        handler=list_replays,
        tag=TAG,
        response=ReplayList,
        # An id begins with the time at which it was made, so both ways of naming the order are one.
        sorts=("-created", "created", "-id", "id"),
        parameters=(
            Parameter(
                name="state",
                schema={"type": "string", "enum": ["running", "done", "cancelled"]},
                help="Only in this state.",
            ),
            Parameter(name="endpoint", schema={"type": "string"}, help="Only to the endpoint with this id."),
            Parameter(name="tenant", schema={"type": "string"}, help="Only to endpoints of this tenant."),
            *PAGING,
        ),
    ),
    Operation(
        name="get_replay",
        method="GET",
        path="/v1/replays/{id}",
        scope="replays:read",
        summary="Read how far a replay has come",
        handler=get_replay,
        tag=TAG,
        response=ReplayView,
    ),
    Operation(
        name="cancel_replay",
        method="POST",
        path="/v1/replays/{id}:cancel",
        scope="replays:write",
        summary="Stop a replay; what it has sent stays sent",
        handler=cancel_replay,
        tag=TAG,
        idempotent_key=True,
        response=ReplayView,
    ),
)
