"""Bulk jobs on behalf of callers: count what matches, and start."""

from __future__ import annotations

import re
import time
from typing import Literal

import msgspec

from tidings.control.bulk import running
from tidings.control.deliveries import WRITE, links_asked
from tidings.control.replaying import Replaying
from tidings.model import moment
from tidings.model.access import LINKS_READ, Caller
from tidings.model.delivery import State
from tidings.model.errors import Invalid
from tidings.model.ids import new_id
from tidings.model.moment import Micros
from tidings.model.outcome import OUTCOMES
from tidings.model.replay import BulkAct, DeliveryFilter, Replay
from tidings.rules.reading.refused import Refused
from tidings.store import journal
from tidings.store.base import Db, R, Run
from tidings.store.catalog import Catalog
from tidings.store.log.lists import number_since
from tidings.store.readers import Readers

STATUS_PATTERN = "[1-9]([0-9][0-9]|xx)"
TYPE_PATTERN = r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(\.\*)?"
_OUTCOMES = frozenset(each.name for each in OUTCOMES)


class BulkCancel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which waiting deliveries to cancel: all that match everything that is given. At least one of the narrowing
    members is required. The times are those at which deliveries were created.
    """

    endpoint_id: str | None = None
    link: str | None = None
    tenant: str | None = None
    type: str | None = None
    outcome: str | None = None
    status: str | None = None
    since: str | None = None
    until: str | None = None
    dry_run: bool = False


class BulkRetry(BulkCancel, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which deliveries to retry: all that match everything that is given; the dead ones if `state` is left out."""

    state: Literal["dead", "waiting", "cancelled", "replaced", "delivered"] = "dead"


class BulkCount(msgspec.Struct, frozen=True):
    """What a bulk job would do. `is_more`: counting stopped at `count`. `until`: deliveries created later were not
    counted; a job with this `until` leaves them out too.
    """

    count: int
    is_more: bool
    until: Micros


class BulkJobs:
    """What callers may do to many deliveries at once. Belongs to one event loop."""

    def __init__(self, catalog: Catalog, readers: Readers, replaying: Replaying) -> None:
        self._catalog, self._readers, self._replaying = catalog, readers, replaying

    async def count(self, caller: Caller, act: BulkAct, given: BulkCancel) -> BulkCount:
        """How many deliveries match: exact up to 10,000, within a second. Raises Invalid."""
        prepared = self._prepared(caller, act, given)

        def read(db: Db) -> BulkCount:
            replay = bounded(db, prepared)
            return BulkCount(*running.counted(db, self._catalog.now, replay, time.monotonic), prepared.until)

        return await self._readers.call(read, caller.tenant)

    async def start(self, caller: Caller, act: BulkAct, given: BulkCancel, run: Run[Replay, R]) -> R:
        """Start a bulk job. Raises Invalid."""
        prepared = self._prepared(caller, act, given)
        job = await self._readers.call(lambda db: bounded(db, prepared), caller.tenant)
        done = await run(lambda db: self._replaying.add(db, job))
        self._replaying.wake()
        return done

    def _prepared(self, caller: Caller, act: BulkAct, given: BulkCancel) -> Replay:
        caller.need(WRITE)
        state: State = given.state if isinstance(given, BulkRetry) else "waiting"
        narrowing = (given.endpoint_id, given.link, given.tenant, given.type, given.outcome, given.status)
        if not any(each is not None for each in (*narrowing, given.since, given.until)):
            names = "`endpoint_id`, `link`, `tenant`, `type`, `outcome`, `status`, `since` and `until`"
            raise Refused("", "incomplete", f"Give at least one of {names}.")
        _check(given)
        if given.endpoint_id is not None and given.link is not None:
            raise Refused("/link", "not_together", "Give either `endpoint_id` or `link`, not both.")
        links = None
        if given.endpoint_id is not None or given.link is not None:
            links = tuple(sorted(self._links(caller, given) or ()))
        elif caller.tenant is not None and not caller.key.has_scope(LINKS_READ):
            # Only what the caller sees: everything of its tenant, without others.
            links = tuple(sorted(links_asked(self._catalog.now, caller, None, None, None) or ()))
        now = self._replaying.clock.now()
        since = 0 if given.since is None else _time("/since", given.since)
        until = now + 1 if given.until is None else _time("/until", given.until)
        if since >= until:
            raise Refused("/until", "empty_range", "until must be later than `since`.")
        wanted = DeliveryFilter(links=links, state=state, type=given.type, outcome=given.outcome, status=given.status)
        return Replay(
            id=new_id("rpl", now),
            tenant=caller.narrowed(given.tenant),
            link=0,
            which=act,
            since=since,
            until=until,
            created=now,
            updated=now,
            filter=msgspec.json.encode(wanted).decode(),
        )

    def _links(self, caller: Caller, given: BulkCancel) -> frozenset[int] | None:
        try:
            return links_asked(self._catalog.now, caller, given.endpoint_id, given.link, None)
        except Invalid as wrong:
            pointer = "/link" if given.endpoint_id is None else "/endpoint_id"
            raise Refused(pointer, "not_found", wrong.errors[0].detail if wrong.errors else wrong.detail) from None


def _check(given: BulkCancel) -> None:
    """Raise Refused for values that no delivery could have."""
    if given.status is not None and not re.fullmatch(STATUS_PATTERN, given.status):
        detail = "status must be an HTTP status such as 422, or a class of statuses such as 4xx."
        raise Refused("/status", "wrong_value", detail)
    if given.outcome is not None and given.outcome not in _OUTCOMES:
        raise Refused("/outcome", "wrong_value", f"outcome must be one of {', '.join(sorted(_OUTCOMES))}.")
    if given.type is not None and not re.fullmatch(TYPE_PATTERN, given.type):
        detail = "type must be an event type such as tasks.completed, or a pattern such as tasks.*."
        raise Refused("/type", "wrong_value", detail)


def bounded(db: Db, replay: Replay) -> Replay:
    """The job with the range of numbers that it goes through; deliveries created later are not part of it."""
    after = number_since(db, "first_delivery_since", replay.since) - 1 if replay.since else 0
    # Old deliveries may be gone; they are not counted as looked at.
    first = db.one("first_delivery_since", **{"from": after + 1})
    after = after if first is None else max(after, first[0] - 1)
    last = journal.position(db, "delivery")
    finish = max(after, min(last, number_since(db, "first_delivery_since", replay.until) - 1))
    return msgspec.structs.replace(replay, position=after, finish=finish, total=finish - after)


def _time(pointer: str, text: str) -> Micros:
    try:
        return moment.from_text(text)
    except ValueError:
        detail = f"{pointer[1:]} must be an RFC 3339 time such as 2026-11-21T01:02:03Z."
        raise Refused(pointer, "wrong_value", detail) from None
