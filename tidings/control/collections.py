"""Collections: from declarations to a plan, shown or carried out, in one transaction of the writer.

Declarations are read, planned and inspected in the transaction that carries them out, so the findings still apply.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from tidings.model.collection import Collection
from tidings.model.errors import Conflict, Place
from tidings.model.moment import Clock
from tidings.rules.declare import plan as rules
from tidings.rules.declare.change_types import change_types
from tidings.rules.declare.declaration import Declared, plain, read, read_one
from tidings.rules.declare.permit_follow import follow
from tidings.rules.declare.plan import Plan
from tidings.rules.declare.plan_words import loses, losses, sentence
from tidings.store.base import Db
from tidings.store.catalog import Catalog
from tidings.store.items import alter
from tidings.store.items.inspect import Findings, inspect

LOSES = "would_lose"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Declarations by name, and what to do with the other collections."""

    collections: dict[str, Any] = {}
    single: str | None = None
    """The one collection in `collections`, if the caller's document is only its declaration."""
    prune: bool = False
    """Drop the collections that are not declared."""
    drop: tuple[str, ...] = ()
    """Drop these."""


class StepShown(msgspec.Struct, frozen=True, kw_only=True):
    """One step in words."""

    do: str
    collection: str
    says: str
    loses: int
    """How many values or items are lost."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A plan as it is shown. It can be carried out if `refusals` is empty."""

    plan: str
    """Names this plan: carried out under this name, it is refused if anything has changed since."""
    steps: list[StepShown]
    loses: str | None
    """What would be lost, in words; None: nothing."""
    refusals: list[Place]
    stays: list[str]
    """Collections that nobody declared, and that stay."""
    applied: bool = False


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

    def look(self, db: Db, wish: Wanted) -> Shown:
        """The plan, shown. Raises Invalid if a declaration is wrong."""
        present = self.present(db)
        declared, plan = _planned(present, wish)
        return _shown(_name(present, declared, wish), plan, self._inspected(db, plan, wish))

    def apply(self, db: Db, wish: Wanted, *, plan_name: str | None = None, drop_values: bool = False) -> Shown:
        """Carry the plan out, completely or not at all. Raises Invalid, or Conflict if it is refused or would lose
        values."""
        present = self.present(db)
        declared, plan = _planned(present, wish)
        name = _name(present, declared, wish)
        if plan_name is not None and plan_name != name:
            detail = (
                "The collections have changed since this plan was made, or the plan was for other ones. Plan again."
            )
            raise Conflict(detail, code="plan_changed")
        found = self._inspected(db, plan, wish)
        if found.refusals:
            raise _refused(found.refusals)
        shown = _shown(name, plan, found)
        if shown.loses is not None and not drop_values:
            raise Conflict(f"It would {shown.loses}. Pass drop_values=true if you want that.", code=LOSES)
        now = self._clock.now()
        alter.carry_out(db, plan, now)
        for gone in (*plan.dropped, *(pair.before.name for pair in plan.pairs if pair.before.name != pair.after.name)):
            self._catalog.drop_collection(db, gone)
        self._follow(db, plan, present)
        for collection in plan.created:
            self._put(db, collection, revision=1, created=now, updated=now)
        for pair in plan.pairs:
            self._put(db, pair.after, revision=pair.before.revision + 1, updated=now)
        return msgspec.structs.replace(shown, applied=True)

    def _follow(self, db: Db, plan: Plan, present: Mapping[str, Collection]) -> None:
        """Adapt the permits of keys."""
        if plan.dropped or plan.pairs:
            for key in self._catalog.keys(db):
                permits = follow(key.permits, plan, present)
                if permits != key.permits:
                    self._catalog.put_key(db, msgspec.structs.replace(key, permits=permits))

    def _put(self, db: Db, collection: Collection, **marks: int) -> None:
        self._catalog.put_collection(db, msgspec.structs.replace(collection, **marks))

    def _inspected(self, db: Db, plan: Plan, wish: Wanted) -> Findings:
        """What the store finds out about a plan, with the plan's own refusals and those for event types already in
        use."""
        refusals = [*plan.refusals]
        if refusals:
            return Findings(counts=(0,) * len(plan.steps), refusals=tuple(refusals))
        for collection in (*plan.created, *(pair.after for pair in plan.pairs)):
            for kind in change_types(collection):
                if db.one("event_type_of", name=kind.name) is not None:
                    event = kind.name.removeprefix(f"{collection.name}.")
                    known = any(own.name == event for own in collection.events)
                    pointer = f"{_at(wish)(collection.name)}/events/{event}" if known else None
                    detail = (
                        f"The catalogue already has an event type {kind.name}. Delete it; the collection adds its own."
                    )
                    refusals.append(Place(pointer=pointer, code="event_type_taken", detail=detail))
        found = inspect(db, plan)
        return msgspec.structs.replace(found, refusals=(*refusals, *found.refusals))


def is_safe(shown: Shown) -> bool:
    """Whether nothing prevents the plan, and nothing would be lost."""
    return not shown.refusals and shown.loses is None


def _at(wish: Wanted) -> Callable[[str], str]:
    return lambda name: "" if name == wish.single else f"/collections/{name}"


def _planned(present: Mapping[str, Collection], wish: Wanted) -> tuple[list[Declared], Plan]:
    beside = () if wish.prune else [name for name in present if name not in wish.drop]
    if wish.single is not None:
        declared = [read_one(wish.single, wish.collections[wish.single], beside=beside)]
    else:
        declared = read(wish.collections, "/collections", beside)
    return declared, rules.plan(present, declared, _at(wish), prune=wish.prune, drop=wish.drop)


def _name(present: Mapping[str, Collection], declared: Sequence[Declared], wish: Wanted) -> str:
    """The plan's name: a hash of everything it depends on."""
    wanted = [(each.collection.name, plain(each.collection), each.was, each.fields_were) for each in declared]
    revisions = [(name, collection.revision, collection.created) for name, collection in present.items()]
    whole = msgspec.json.encode([revisions, wanted, wish.prune, wish.drop])
    return "plan_" + hashlib.sha256(whole).hexdigest()[:24]


def _shown(name: str, plan: Plan, found: Findings) -> Shown:
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
    return Shown(plan=name, steps=steps, loses=lost, refusals=list(found.refusals), stays=list(plan.stays))


def _refused(refusals: Sequence[Place]) -> Conflict:
    codes = {place.code for place in refusals}
    detail = refusals[0].detail if len(refusals) == 1 else f"{len(refusals)} problems prevent this; see `errors`."
    return Conflict(detail, errors=list(refusals), code=codes.pop() if len(codes) == 1 else None)
