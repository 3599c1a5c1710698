"""Replays on behalf of callers: start one, count what one would send, list and cancel."""

from __future__ import annotations

import msgspec

from tidings.control.bulk.starting import BulkJobs
from tidings.control.deliveries import links_named
from tidings.control.endpoints.endpoints import narrowed_to
from tidings.control.replaying import Replaying
from tidings.model import moment
from tidings.model.access import Caller
from tidings.model.errors import Invalid, NotFound
from tidings.model.link import AnyLink
from tidings.model.moment import Micros
from tidings.model.replay import Replay, ReplayState, Which
from tidings.rules.reading.refused import Refused
from tidings.store.base import Db, R, Run
from tidings.store.catalog import Catalog
from tidings.store.log import replays as stored
from tidings.store.log.replays import ReplayQuery
from tidings.store.readers import Readers

READ, WRITE = "replays:read", "replays:write"


class NewReplay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to send again, to one endpoint, or through the operator's link with this name. The range applies to the time
    at which events were stored; `until` defaults to now.
    """

    endpoint_id: str | None = None
    link: str | None = None
    since: str
    until: str | None = None
    which: Which = "failed"
    dry_run: bool = False


class DryRun(msgspec.Struct, frozen=True):
    """A replay that was not started, and how many deliveries it would send."""

    replay: Replay
    would_send: int


class ReplayPage(msgspec.Struct, frozen=True):
    """Some replays of a list."""

    replays: list[Replay]
    more: bool
    total: int | None
    """The number of replays on all pages; None if there are too many to count, or the total was not requested."""


class Replays:
    """What callers may do with replays. Belongs to one event loop."""

    def __init__(self, catalog: Catalog, readers: Readers, replaying: Replaying) -> None:
        self._catalog, self._readers, self._replaying = catalog, readers, replaying
        self.bulk = BulkJobs(catalog, readers, replaying)

    async def page(
        self,
        caller: Caller,
        *,
        endpoint: str | None,
        link: str | None = None,
        tenant: str | None,
        state: ReplayState | None,
        after: str | None,
        limit: int,
        oldest_first: bool = False,
        count: bool = False,
    ) -> ReplayPage:
        """Some of the replays that the caller may see. `after`: the id of the last one on the previous page.

        Raises NotFound, or Invalid if there is no such endpoint or link, or both are given.
        """
        caller.need(READ)
        if endpoint is not None and link is not None:
            raise Invalid.of_parameter("link", "not_together", "Give either `endpoint` or `link`, not both.")
        one: int | None = None
        if endpoint is not None:
            one = narrowed_to(self._catalog.now, caller, endpoint).num
        elif link is not None:
            # If a deleted link and a present one have this name, the present one.
            one = links_named(self._catalog.now, caller, link)[-1].num
        query = ReplayQuery(tenant=caller.narrowed(tenant), state=state, link=one, hidden=self._hidden(caller))

        def read(db: Db) -> ReplayPage:
            total = stored.count(db, query) if count else None
            found = stored.page(db, query, after, limit + 1, oldest_first=oldest_first)
            return ReplayPage(found[:limit], len(found) > limit, total)

        return await self._readers.call(read, caller.tenant)

    async def find(self, caller: Caller, ident: str) -> Replay:
        """One replay. Raises NotFound, also if it belongs to another tenant."""
        caller.need(READ)
        return await self._find(caller, ident)

    async def dry_run(self, caller: Caller, new: NewReplay) -> DryRun:
        """What a replay would do. Raises Invalid, also if that takes too long to count."""
        caller.need(WRITE)
        link, since, until = self._checked(caller, new)

        def read(db: Db) -> DryRun:
            replay = self._replaying.prepare(db, link, new.which, since, until)
            return DryRun(replay, self._replaying.count(db, replay, link))

        return await self._readers.call(read, caller.tenant)

    async def start(self, caller: Caller, new: NewReplay, run: Run[Replay, R]) -> R:
        """Start a replay. Raises Invalid, or Conflict if its endpoint or link is not enabled."""
        caller.need(WRITE)
        link, since, until = self._checked(caller, new)

        def read(db: Db) -> Replay:
            return self._replaying.prepare(db, link, new.which, since, until)

        replay = await self._readers.call(read, caller.tenant)
        done = await run(lambda db: self._replaying.add(db, replay))
        self._replaying.wake()
        return done

    async def cancel(self, caller: Caller, ident: str, run: Run[Replay, R]) -> R:
        """Stop a replay; deliveries already sent are not undone. Raises NotFound, or Conflict if it has ended."""
        caller.need(WRITE)
        replay = await self._find(caller, ident)
        return await run(lambda db: self._replaying.cancel(db, replay.id))

    def _hidden(self, caller: Caller) -> frozenset[int]:
        """The links of the caller's tenant that do not exist for the caller."""
        if caller.tenant is None:
            return frozenset()
        links = self._catalog.now.links.values()
        return frozenset(each.num for each in links if each.tenant == caller.tenant and not caller.sees_link(each))

    async def _find(self, caller: Caller, ident: str) -> Replay:
        replay = await self._readers.call(lambda db: stored.read(db, ident), caller.tenant)
        if replay is None or not caller.sees(replay.tenant) or replay.link in self._hidden(caller):
            raise NotFound(f"There is no replay {ident[:100]}.")
        return replay

    def _checked(self, caller: Caller, new: NewReplay) -> tuple[AnyLink, Micros, Micros | None]:
        link = self._link(caller, new)
        if new.which == "all" and link.timer is not None:
            detail = (
                f"The link {link.name} runs on a timer, so there are no events to send again. To retry its "
                "dead deliveries, set `which` to `failed`."
            )
            raise Refused("/which", "wrong_value", detail)
        return link, _time("/since", new.since), None if new.until is None else _time("/until", new.until)

    def _link(self, caller: Caller, new: NewReplay) -> AnyLink:
        """The endpoint, or the operator's link. Raises Refused."""
        if new.endpoint_id is not None and new.link is not None:
            raise Refused("/link", "not_together", "Give either `endpoint_id` or `link`, not both.")
        now = self._catalog.now
        if new.link is not None:
            link, pointer, what = now.links_by_name.get(new.link), "/link", f"link {new.link[:100]}"
        elif new.endpoint_id is not None:
            link, pointer = now.endpoints_by_id.get(new.endpoint_id), "/endpoint_id"
            what = f"endpoint {new.endpoint_id[:100]}"
        else:
            raise Refused("/endpoint_id", "incomplete", "Give `endpoint_id`, or the name of a link as `link`.")
        if link is None or not caller.sees_link(link):
            raise Refused(pointer, "not_found", f"There is no {what}.")
        return link


def _time(pointer: str, text: str) -> Micros:
    try:
        return moment.from_text(text)
    except ValueError:
        raise Refused(
            pointer, "wrong_value", f"{pointer[1:]} must be an RFC 3339 time such as 2026-11-21T01:02:03Z."
        ) from None
