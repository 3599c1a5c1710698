"""Operators' links, on behalf of callers: read, declared one by one or in a file, paused, tried.

Every change is a write job that reads the links as the transaction sees them. Templates can read every event of their
tenant, so only keys of the whole server write links; a key of one tenant sees those of its tenant.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from tidings.control.connections.checks import refusals, still_used
from tidings.control.connections.connections import Connections, PlannedConnections
from tidings.control.declare.link_plans import LinkPlan, LinkStep, PutLink, ResumedLink, WantedLinks, plan_name
from tidings.control.endpoints.cancelling import Cancelling
from tidings.control.endpoints.edit import REASON_CHARS_MAX
from tidings.control.endpoints.endpoints import Missed, Resuming
from tidings.control.timers import rows as timers
from tidings.model.access import Caller
from tidings.model.collection import Collection
from tidings.model.errors import Conflict, Invalid, NotFound, Place
from tidings.model.ids import new_id
from tidings.model.link import AnyLink, Mode
from tidings.model.moment import Clock, Micros
from tidings.rules.calls.signing import stored_secrets, with_made, with_stored
from tidings.rules.declare.change_types import ChangeTypes
from tidings.rules.declare.in_file.lint import unknown_fields
from tidings.rules.declare.links import LINKS_MAX, DeclaredLink, by_new_names, changed, followed, new, read, read_one
from tidings.rules.reading.places import Places
from tidings.rules.reading.refused import Refused, escaped
from tidings.rules.revisions import Conditions, check_revision
from tidings.store.base import Db, R, Run
from tidings.store.catalog import Catalog
from tidings.store.links import kept, polls
from tidings.store.log import feed, lists
from tidings.store.readers import Readers

READ, WRITE = "links:read", "links:write"
WHOLE = "Links"
LOSES = "would_lose"


class _Planned(msgspec.Struct, frozen=True):
    """A plan, and what it was made from."""

    shown: LinkPlan
    declared: dict[str, DeclaredLink]
    present: dict[str, AnyLink]
    connections: PlannedConnections


class Links:
    """What callers may do with links. Belongs to one event loop, but for `look` and `carry_out`, which are jobs."""

    def __init__(
        self,
        catalog: Catalog,
        readers: Readers,
        clock: Clock,
        cancelling: Cancelling,
        sending: Resuming,
        connections: Connections,
    ) -> None:
        self._known: tuple[Any, dict[str, DeclaredLink]] | None = None
        self._catalog, self._readers, self._clock = catalog, readers, clock
        self.connections = connections
        self._cancelling, self._sending = cancelling, sending

    # --- read ---------------------------------------------------------------------------------------------------------

    def visible(self, caller: Caller, mode: Mode | None = None, tenant: str | None = None) -> list[AnyLink]:
        """The links that the caller may see and asks for: in one mode, of one tenant. Raises NotFound."""
        caller.need(READ)
        tenant = caller.narrowed(tenant)
        return [
            link
            for link in self._catalog.now.links_by_name.values()
            if caller.sees(link.tenant) and (mode is None or link.mode == mode) and tenant in (None, link.tenant)
        ]

    def find(self, caller: Caller, name: str) -> AnyLink:
        """One link. Raises NotFound, also if it is another tenant's."""
        caller.need(READ)
        link = self._catalog.now.links_by_name.get(name)
        if link is None or not caller.sees(link.tenant):
            raise _absent(name)
        return link

    async def waiting(self, caller: Caller, link: AnyLink) -> int:
        """How many deliveries wait for a link."""
        caller.need(READ)
        return await self._readers.call(lambda db: lists.waiting_count(db, link.num), caller.tenant)

    # --- declare ------------------------------------------------------------------------------------------------------

    async def put(
        self,
        caller: Caller,
        name: str,
        document: dict[str, Any],
        conditions: Conditions,
        check: Callable[[AnyLink | None], None],
        run: Run[PutLink, R],
    ) -> R:
        """Declare a link, or replace its declaration; it applies from the next attempt on.

        `check` gets the present one and may refuse. Raises Invalid, Stale or Conflict.
        """
        caller.need(WRITE, WHOLE)
        declared = read_one(name, document)

        def job(db: Db) -> PutLink:
            present = self._catalog.declared_links(db)
            before = present.get(name)
            conditions.check("link", name, None if before is None else before.revision)
            check(before)
            if before is None and declared.was in present:
                before = present[declared.was]
            there = (self._catalog.collections(db), self._catalog.connections(db))
            if wrong := refusals(declared, before, *there, "", self.connections.networks):
                raise Invalid(wrong[0].detail, errors=wrong)
            if before is None and len(present) >= LINKS_MAX:
                raise Conflict(f"There are already {len(present):,} links, which is the maximum.")
            return PutLink(self._store(db, declared, before), before is None)

        return await run(job)

    async def delete(self, caller: Caller, name: str, expected: set[int] | None, run: Run[AnyLink, AnyLink]) -> None:
        """Delete a link; its waiting deliveries are cancelled in the background. Raises NotFound or Stale."""
        caller.need(WRITE, WHOLE)
        self._cancelling.sweep(await run(lambda db: self._drop(db, self._at(db, name, expected))))

    async def plan(self, caller: Caller, wanted: WantedLinks) -> LinkPlan:
        """What these declarations would change; nothing is changed. Raises Invalid."""
        caller.need(WRITE, WHOLE)
        return await self._readers.call(lambda db: self.look(db, wanted), caller.tenant)

    async def apply(
        self, caller: Caller, wanted: WantedLinks, run: Run[LinkPlan, R], *, plan_name: str | None, drop_waiting: bool
    ) -> R:
        """Carry these declarations out, all or none. Raises Invalid or Conflict."""
        caller.need(WRITE, WHOLE)
        await self._readers.call(lambda db: self.read(db, wanted), caller.tenant)
        done = await run(lambda db: self.carry_out(db, wanted, plan_name=plan_name, drop_waiting=drop_waiting))
        self.sweep()
        return done

    def read(self, db: Db, wanted: WantedLinks) -> dict[str, DeclaredLink]:
        """The declared links, by name. Raises Invalid.

        Reading a thousand takes a while, so a reader does it, and the following write job uses the result.
        """
        if wanted.links is None:
            return {}
        if self._known is None or self._known[0] is not wanted.links:
            self._known = (wanted.links, {each.name: each for each in read(wanted.links, "/links", db.rest)})
        return self._known[1]

    def sweep(self) -> None:
        """Cancel the waiting deliveries of deleted links in the background; on the event loop."""
        self._cancelling.start()

    def look(
        self,
        db: Db,
        wanted: WantedLinks,
        collections: Mapping[str, Collection] | None = None,
        renamed: Mapping[str, str] | None = None,
    ) -> LinkPlan:
        """The plan, shown. Raises Invalid if a declaration is wrong.

        `collections`: as they will be, with the new names of those that are `renamed`; None for the present ones.
        """
        planned = self._planned(db, wanted, collections, renamed or {})
        types = (ChangeTypes(collections or self._catalog.collections(db)), self._catalog.now.event_types)
        return msgspec.structs.replace(planned.shown, warnings=unknown_fields(planned.declared.values(), types))

    def check_plan(self, db: Db, wanted: WantedLinks, plan_name: str) -> None:
        """Raise Conflict if the plan is no longer the one with this name."""
        if plan_name != self._planned(db, wanted).shown.plan:
            raise _plan_changed()

    def carry_out(
        self, db: Db, wanted: WantedLinks, *, plan_name: str | None = None, drop_waiting: bool = False
    ) -> LinkPlan:
        """Carry the plan out, whole or not at all. Raises Invalid, or Conflict if it is refused or would lose."""
        planned = self._planned(db, wanted)
        shown = planned.shown
        if plan_name not in (None, shown.plan):
            raise _plan_changed()
        if shown.refusals:
            raise Conflict(shown.refusals[0].detail, errors=shown.refusals)
        if shown.loses is not None and not drop_waiting:
            raise Conflict(f"This change would {shown.loses}. Pass drop_waiting=true to apply it anyway.", code=LOSES)
        made: list[tuple[AnyLink, AnyLink | None]] = []
        number, head, now = self._catalog.next_number(db), feed.head(db), self._clock.now()
        for step in shown.steps:
            if step.link is None:
                continue
            before = planned.present.get(step.link)
            declared = planned.declared.get(step.link)
            declared = None if declared is None else with_made(declared, secrets.token_bytes)
            if declared is not None and before is None:
                made.append((new(declared, number, new_id("lnk", now), head, now), None))
                number += 1
            elif before is not None:
                parts = _gone(now) if declared is None else declared.parts
                made.append((changed(before, now, **parts), before))
        self._put(db, made)
        self.connections.carry_out(db, planned.connections)
        return msgspec.structs.replace(shown, applied=True)

    # --- pause --------------------------------------------------------------------------------------------------------

    async def pause(
        self, caller: Caller, name: str, reason: str | None, expected: set[int] | None, run: Run[AnyLink, R]
    ) -> R:
        """Do nothing for now; new events wait in the meantime. Raises NotFound, Invalid or Stale."""
        caller.need(WRITE, WHOLE)
        if reason is not None and len(reason) > REASON_CHARS_MAX:
            raise Refused("/reason", "too_long", f"A reason may have at most {REASON_CHARS_MAX} characters.")
        said = reason or "Paused by hand."
        return await run(lambda db: self._change(db, self._at(db, name, expected), mode="paused", reason=said))

    async def resume(
        self, caller: Caller, name: str, missed: Missed, expected: set[int] | None, run: Run[ResumedLink, R]
    ) -> R:
        """Act again, starting with the missed events; or cancel those first.

        Raises NotFound, Stale, or Conflict if the link is enabled and its waiting deliveries are to be cancelled.
        """
        caller.need(WRITE, WHOLE)
        link = self.find(caller, name)
        check_revision(expected, link.revision)
        waiting = await self._readers.call(lambda db: lists.waiting_count(db, link.num), caller.tenant)
        if missed == "cancel":
            waiting = await self._cancelling.cancel_waiting(link)

        def job(db: Db) -> ResumedLink:
            present = self._at(db, name, expected)
            skip = missed == "cancel"
            return ResumedLink(self._change(db, present, skip_missed=skip, mode="enabled", reason=None), waiting)

        done = await run(job)
        self._sending.resume(link.num)
        return done

    # --- steps --------------------------------------------------------------------------------------------------------

    def _planned(
        self,
        db: Db,
        wanted: WantedLinks,
        collections: Mapping[str, Collection] | None = None,
        renamed: Mapping[str, str] = {},
    ) -> _Planned:
        stored, moved = self._catalog.declared_links(db), Places()
        present = by_new_names(stored, self.read(db, wanted), moved)
        declared = stored_secrets(self.read(db, wanted), present)
        connections = self.connections.planned(db, wanted.connections, prune=wanted.prune)
        collections = collections or self._catalog.collections(db)
        steps = [LinkStep(do=do, connection=name, says=says) for do, name, says in connections.steps()]
        wrong = list(moved.found)
        for each in declared.values():
            before = present.get(each.name)
            at = f"/links/{escaped(each.name)}"
            wrong += refusals(each, before, collections, connections.after, at, self.connections.networks)
            if before is None:
                steps.append(LinkStep(do="create_link", link=each.name, says=f"will create the link {each.name}"))
            elif not each.same(followed(before, renamed)):
                steps.append(_change_step(each, before, renamed))
        beside = {} if wanted.links is None else {name: link for name, link in present.items() if name not in declared}
        for name, link in beside.items() if wanted.prune else ():
            count = lists.waiting_count(db, link.num)
            says = f"will delete the link {name}" + (f" and cancel {_deliveries(count)}" if count else "")
            steps.append(LinkStep(do="delete_link", link=name, says=says, loses=count))
        stay = {name: link for name, link in present.items() if name not in declared and name not in beside}
        stay |= {} if wanted.prune else beside
        if len(declared) + len(stay) > LINKS_MAX:
            wrong.append(Place(pointer="/links", code="too_many", detail=f"There may be at most {LINKS_MAX:,} links."))
        wrong += still_used(stay, connections.dropped)
        lost = sum(step.loses for step in steps)
        shown = LinkPlan(
            plan=plan_name(wanted, stored, connections),
            steps=steps,
            loses=f"cancel {_deliveries(lost)}" if lost else None,
            refusals=wrong,
            stays=[] if wanted.prune else list(beside),
            connections_stay=connections.stays,
        )
        return _Planned(shown, declared, present, connections)

    def _store(self, db: Db, declared: DeclaredLink, before: AnyLink | None) -> AnyLink:
        declared = with_made(with_stored(declared, before), secrets.token_bytes)
        if before is not None:
            return self._change(db, before, **declared.parts)
        now = self._clock.now()
        link = new(declared, self._catalog.next_number(db), new_id("lnk", now), feed.head(db), now)
        self._put(db, [(link, None)])
        return link

    def _drop(self, db: Db, link: AnyLink) -> AnyLink:
        return self._change(db, link, **_gone(self._clock.now()))

    def _change(self, db: Db, present: AnyLink, *, skip_missed: bool = False, **parts: Any) -> AnyLink:
        after = changed(present, self._clock.now(), **parts)
        self._put(db, [(after, present)], skip_missed=skip_missed)
        return after

    def _put(self, db: Db, made: Sequence[tuple[AnyLink, AnyLink | None]], *, skip_missed: bool = False) -> None:
        """Store links, each with its previous state, all together, since a file may have a thousand."""
        differ = [(link, before) for link, before in made if link is not before]
        self._catalog.put_links(db, [link for link, _ in differ if link.deleted is None])
        self._catalog.delete_links(db, [link for link, _ in differ if link.deleted is not None])
        for link, before in differ:
            if before is not None and before.name != link.name:
                polls.rename(db, before.name, link.name)
                kept.rename(db, before.name, link.name)
            timers.follow(db, link, before, self._clock.now(), skip_missed=skip_missed)

    def _at(self, db: Db, name: str, expected: set[int] | None) -> AnyLink:
        """The link as the present transaction sees it."""
        link = self._catalog.declared_link(db, name)
        if link is None:
            raise _absent(name)
        check_revision(expected, link.revision)
        return link


def _gone(now: Micros) -> dict[str, Any]:
    """The changes when a link is deleted."""
    return {"deleted": now, "mode": "paused", "reason": "The link was deleted."}


def _change_step(declared: DeclaredLink, before: AnyLink, renamed: Mapping[str, str]) -> LinkStep:
    """An edit, or another name, or both."""
    name = declared.name
    if before.name == name:
        return LinkStep(do="change_link", link=name, says=f"will change the link {name}")
    is_same = declared.same(followed(msgspec.structs.replace(before, name=name), renamed))
    says = f"will rename the link {before.name} to {name}" + ("" if is_same else ", and change it")
    return LinkStep(do="rename_link", link=name, says=says)


def _plan_changed() -> Conflict:
    detail = (
        "The links have changed since this plan was made, or the plan was made from another declaration. "
        "Make a new plan."
    )
    return Conflict(detail, code="plan_changed")


def _deliveries(count: int) -> str:
    return f"{count:,} waiting {'delivery' if count == 1 else 'deliveries'}"


def _absent(name: str) -> NotFound:
    return NotFound(f"There is no link {name[:100]}.")
