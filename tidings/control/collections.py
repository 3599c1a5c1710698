"""Collections: from declarations to a plan, shown or carried out, in one transaction of the writer.

Declarations are read, planned and inspected in the transaction that carries them out, so the findings still apply. If
that would hold the writer for too long, items were inspected and tables filled beforehand (control/declare/).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from tidings.control.declare.link_plans import LinkPlan, WantedLinks
from tidings.model.access import Permit
from tidings.model.collection import Collection
from tidings.model.errors import Conflict, Place
from tidings.model.moment import Clock, Micros
from tidings.rules.declare import plan as rules
from tidings.rules.declare.change_types import type_names
from tidings.rules.declare.declaration import Declared, plain, read, read_one
from tidings.rules.declare.permit_follow import follow, touched
from tidings.rules.declare.plan import Plan
from tidings.rules.declare.plan_words import loses, losses, sentence
from tidings.store.base import Db
from tidings.store.catalog import Catalog
from tidings.store.items import alter
from tidings.store.items.inspect import Findings, inspect

LOSES = "would_lose"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The wanted declarations by name, and what to do with other collections."""

    collections: dict[str, Any] = {}
    single: str | None = None
    """The name of the only collection in `collections`, if the caller's document declares just that one."""
    prune: bool = False
    """Whether to drop the collections that are not declared."""
    drop: tuple[str, ...] = ()
    """Drop these."""
    beside: WantedLinks = WantedLinks()
    """The links that are declared in the same file."""


class StepShown(msgspec.Struct, frozen=True, kw_only=True):
    """One step, as a sentence."""

    do: str
    collection: str
    says: str
    loses: int
    """How many values or items would be lost."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, which can be carried out if `refusals` is empty."""

    plan: str
    """The plan's name. A plan that is applied by name is refused if anything has changed since it was made."""
    steps: list[StepShown]
    loses: str | None
    """What would be lost, in words; None if nothing would be."""
    refusals: list[Place]
    stays: list[str]
    """Collections that are kept although they are not declared."""
    applied: bool = False
    links: LinkPlan | None = None
    """The plan of the links that are declared in the same file."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request to carry out declarations. `plan`: only if the plan still has this name."""

    wish: Wanted
    plan: str | None = None
    drop_values: bool = False


class Planned(msgspec.Struct, frozen=True):
    """The plan for what is wanted."""

    wish: Wanted
    plan: Plan
    name: str
    present: dict[str, Collection]
    """The collections before the plan."""

    @property
    def revisions(self) -> set[tuple[str, int, Micros]]:
        """Values that distinguish these collections from all others, past and future."""
        return {(each.name, each.revision, each.created) for each in self.present.values()}


Make = Callable[[Db], Shown]
"""Carries out the request; called in a write job."""


class Overtaken(Conflict):
    """Other collections have changed since the plan was made, so it has to be made again."""


class Made(Protocol):
    """The part of a plan that was done before its last job."""

    planned: Planned
    shown: Shown | None

    def end(self, db: Db) -> dict[str, Collection]:
        """Do the rest. Returns the collections that were made or changed, by name, with their tables."""


class Collections:
    """Makes plans and carries them out, inside jobs of a reader or of the writer."""

    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock

    def present(self, db: Db) -> dict[str, Collection]:
        """The collections as the present transaction sees them, by name."""
        rows = db.all("collections")
        found = [msgspec.json.decode(row[1], type=Collection) for row in rows]
        return {collection.name: collection for collection in sorted(found, key=lambda each: each.name)}

    def planned(self, db: Db, wish: Wanted, name: str | None = None) -> Planned:
        """The plan, from the declarations alone.

        Raises Invalid if one is wrong, or Conflict if the plan is not `name`.
        """
        present = self.present(db)
        declared, plan = _planned(present, wish, db.rest)
        planned = Planned(wish, plan, _name(present, declared, wish), present)
        if name not in (None, planned.name):
            raise _changed()
        return planned

    def look(self, db: Db, planned: Planned) -> Shown:
        """A plan, shown."""
        return _shown(planned, self.inspected(db, planned))

    def inspected(self, db: Db, planned: Planned) -> Findings:
        """The store's findings about a plan, with its own refusals and those for event types in use."""
        refusals = planned.plan.refusals
        if refusals:
            return Findings(counts=(0,) * len(planned.plan.steps), refusals=refusals)
        found = inspect(db, planned.plan)
        return msgspec.structs.replace(found, refusals=(*self._refusals(db, planned), *found.refusals))

    def check(self, planned: Planned, found: Findings, *, drop_values: bool) -> Shown:
        """The plan, shown, if it may be carried out. Raises Conflict if it is refused or would lose something."""
        if found.refusals:
            raise _refused(found.refusals)
        shown = _shown(planned, found)
        if shown.loses is not None and not drop_values:
            raise Conflict(f"This change would {shown.loses}. Pass drop_values=true to apply it anyway.", code=LOSES)
        return shown

    def apply(self, db: Db, wish: Wanted, *, plan_name: str | None = None, drop_values: bool = False) -> Shown:
        """Carry the plan out, whole or not at all.

        Raises Invalid, or Conflict if it is refused or would lose values.
        """
        planned = self.planned(db, wish, plan_name)
        alter.keep_others_out(db, planned.plan)
        shown = self.check(planned, self.inspected(db, planned), drop_values=drop_values)
        self._store(db, planned, alter.carry_out(db, planned.plan, self._clock.now()))
        return msgspec.structs.replace(shown, applied=True)

    def holds(self, db: Db, planned: Planned, wish: Wanted) -> bool:
        """Whether a plan is still right for what is wanted, without making it again."""
        if wish is not planned.wish and wish != planned.wish:
            return False
        return planned.revisions == set(db.all("collection_revisions"))

    def again(self, db: Db, planned: Planned, wish: Wanted) -> Planned:
        """The same plan for the present collections. Raises Conflict if it has become a different one."""
        fresh = self.planned(db, wish)
        if msgspec.structs.replace(fresh.plan, stays=planned.plan.stays) != planned.plan:
            raise _changed()
        return fresh

    def end(self, db: Db, wish: Wanted, made: Made) -> Shown:
        """The last job of a plan that was already inspected, and carried out as far as possible.

        Raises Overtaken if other collections have changed since, or Conflict if it is refused now.
        """
        planned = made.planned
        if not self.holds(db, planned, wish):
            raise Overtaken("The collections keep changing, so nothing was declared. Try again.", code="plan_changed")
        if refusals := self._refusals(db, planned):
            raise _refused(refusals)
        assert made.shown is not None
        self._store(db, planned, made.end(db))
        return msgspec.structs.replace(made.shown, applied=True)

    def _store(self, db: Db, planned: Planned, collections: Mapping[str, Collection]) -> None:
        """Put what was made or changed into the catalogue."""
        plan, now = planned.plan, self._clock.now()
        renamed = [pair.before.name for pair in plan.pairs if pair.before.name != pair.after.name]
        self._catalog.drop_collections(db, [*plan.dropped, *renamed])
        self._follow(db, plan, planned.present)
        replace = msgspec.structs.replace
        new = [replace(collections[each.name], revision=1, created=now, updated=now) for each in plan.created]
        changed = [
            replace(collections[pair.after.name], revision=pair.before.revision + 1, updated=now) for pair in plan.pairs
        ]
        self._catalog.put_collections(db, [*new, *changed])

    def _refusals(self, db: Db, planned: Planned) -> list[Place]:
        """The catalogue's objections to a plan: event types that are taken, links that edit what would be dropped."""
        refusals, dropped = _taken_types(db, planned), planned.plan.dropped
        links = self._catalog.declared_links(db) if dropped else {}
        for link in (links[name] for name in sorted(planned.wish.beside.stay_as_they_are(links))):
            if getattr(link.what, "collection", None) in dropped:
                detail = f"The link {link.name} edits items of {link.what.collection}. Delete the link first."
                refusals.append(Place(pointer=None, code="edited_by_link", detail=detail))
        return refusals

    def _follow(self, db: Db, plan: Plan, present: Mapping[str, Collection]) -> None:
        """Adapt the permits of keys, and the links that edit items, if a collection is renamed."""
        renamed = {pair.before.name: pair.after.name for pair in plan.pairs if pair.before.name != pair.after.name}
        for link in self._catalog.declared_links(db).values() if renamed else ():
            if getattr(link.what, "collection", None) in renamed:
                what = msgspec.structs.replace(link.what, collection=renamed[link.what.collection])
                moved = {"what": what, "revision": link.revision + 1, "updated": self._clock.now()}
                self._catalog.put_link(db, msgspec.structs.replace(link, **moved))
        if names := touched(plan):
            followed: dict[bytes, tuple[Permit, ...]] = {}
            changed = []
            for key in self._catalog.keys_with_permits(db):
                if any(permit.collection in names for permit in key.permits):
                    # Thousands of keys may have the same permits.
                    mark = msgspec.json.encode(key.permits)
                    if mark not in followed:
                        followed[mark] = follow(key.permits, plan, present)
                    if followed[mark] != key.permits:
                        changed.append((key.id, followed[mark]))
            self._catalog.put_permits(db, changed)


def is_safe(shown: Shown) -> bool:
    """Whether nothing prevents the plan, and nothing would be lost."""
    plans = (shown,) if shown.links is None else (shown, shown.links)
    return all(not plan.refusals and plan.loses is None for plan in plans)


def _at(wish: Wanted) -> Callable[[str], str]:
    return lambda name: "" if name == wish.single else f"/collections/{name}"


def _planned(present: Mapping[str, Collection], wish: Wanted, rest: Callable[[], None]) -> tuple[list[Declared], Plan]:
    beside = () if wish.prune else [name for name in present if name not in wish.drop]
    if wish.single is not None:
        declared = [read_one(wish.single, wish.collections[wish.single], beside=beside, between=rest)]
    else:
        declared = read(wish.collections, "/collections", beside, rest)
    return declared, rules.plan(present, declared, _at(wish), prune=wish.prune, drop=wish.drop)


def _name(present: Mapping[str, Collection], declared: Sequence[Declared], wish: Wanted) -> str:
    """The plan's name: a hash of everything it depends on."""
    wanted = [(each.collection.name, plain(each.collection), each.was, each.fields_were) for each in declared]
    revisions = [(name, collection.revision, collection.created) for name, collection in present.items()]
    whole = msgspec.json.encode([revisions, wanted, wish.prune, wish.drop])
    return "plan_" + hashlib.sha256(whole).hexdigest()[:24]


def _taken_types(db: Db, planned: Planned) -> list[Place]:
    """Why the catalogue has no room for the event types of these collections."""
    plan, refusals = planned.plan, list[Place]()
    taken = {row[0] for row in db.all("event_type_names")}
    for collection in (*plan.created, *(pair.after for pair in plan.pairs)):
        for kind in type_names(collection):
            if kind in taken:
                event = kind.removeprefix(f"{collection.name}.")
                known = any(own.name == event for own in collection.events)
                pointer = f"{_at(planned.wish)(collection.name)}/events/{event}" if known else None
                detail = (
                    f"The catalogue already has an event type named {kind}. Delete it first, because the "
                    "declaration of the collection adds an event type of that name."
                )
                refusals.append(Place(pointer=pointer, code="event_type_taken", detail=detail))
    return refusals


def _changed() -> Conflict:
    detail = (
        "The collections have changed since this plan was made, or the plan was made from another "
        "declaration. Make a new plan."
    )
    return Conflict(detail, code="plan_changed")


def _shown(planned: Planned, found: Findings) -> Shown:
    plan = planned.plan
    steps = [
        StepShown(
            do=str(step.__struct_config__.tag),
            collection=step.collection,
            says=sentence(step, count),
            loses=count if loses(step, count) else 0,
        )
        for step, count in zip(plan.steps, found.counts, strict=True)
    ]
    lost = losses(plan.steps, found.counts)
    return Shown(plan=planned.name, steps=steps, loses=lost, refusals=list(found.refusals), stays=list(plan.stays))


def _refused(refusals: Sequence[Place]) -> Conflict:
    codes = {place.code for place in refusals}
    detail = (
        refusals[0].detail if len(refusals) == 1 else f"{len(refusals)} problems prevent this change; see `errors`."
    )
    return Conflict(detail, errors=list(refusals), code=codes.pop() if len(codes) == 1 else None)
