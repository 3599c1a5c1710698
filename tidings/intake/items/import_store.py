"""Imports, second half: checked lines are stored inside a write job, with one event for each changed item.

A thousand lines at a time are looked up and stored together. Lines apply in order: a value that an earlier line took is
taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

import msgspec

from tidings.intake.items import foresight
from tidings.intake.items.change import ItemChanges, ItemRequest, seen
from tidings.intake.items.drafts import Draft, Drafts, Pair
from tidings.intake.items.import_check import OnConflict, Refusals
from tidings.intake.items.kinds import Kind, Kinds
from tidings.intake.items.moving import Moving
from tidings.intake.items.spool import Ready
from tidings.model import moment
from tidings.model.errors import Place, TidingsError
from tidings.model.event import Event
from tidings.model.ids import new_ids
from tidings.model.moment import Clock
from tidings.rules.items import change
from tidings.rules.items.condition import NEVER, Condition, holds
from tidings.rules.items.permit import Grant
from tidings.store.base import Db
from tidings.store.catalog import Catalog
from tidings.store.items import item_bulk
from tidings.store.log import events


class Counts(msgspec.Struct, kw_only=True):
    """What was done with the stored lines. `merged`: the item existed, and keeps fields that the line omits."""

    created: int = 0
    replaced: int = 0
    merged: int = 0
    skipped: int = 0
    unchanged: int = 0

    def add(self, other: Counts) -> None:
        """Add those of other lines."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Reference(msgspec.Struct, frozen=True):
    """The target of a reference. `is_self`: it is the collection that is imported into."""

    field: str
    kind: Kind | None
    """None if the collection no longer exists, or the caller may not know that it exists."""
    seen: Condition
    to: str
    is_self: bool


Later = tuple[int, Reference, str, str]
"""A reference to an item that did not exist yet: the line, the field, and the id and tenant that it refers to."""
Reach = tuple[Reference, int, item_bulk.Pairs]
"""A reference, its index among a line's values, and the items in the store that it can refer to."""
_REPLACES: dict[OnConflict, Literal["replaced", "merged"]] = {"replace": "replaced", "merge": "merged"}


class ImportStore:
    """Stores the lines of one file inside of one write job. `ask` says who imports.

    `whole`: nothing is stored if one line is bad, so a line may also refer to a later one, which `end` checks.
    `weight_max`: for Drafts, which raise TooLarge.
    """

    def __init__(
        self,
        parts: tuple[ItemChanges, Catalog, Kinds, Clock],
        db: Db,
        ask: ItemRequest,
        on_conflict: OnConflict,
        *,
        whole: bool,
        weight_max: int,
    ) -> None:
        self._items, self._catalog, self._kinds, clock = parts
        self._db, self._whole, self._on_conflict = db, whole, on_conflict
        self._kind = self._items.current(ask.grant)
        self._drafts = Drafts(weight_max)
        self._draft: Draft = self._drafts.of(self._kind.table)
        self._moving = Moving() if whole else None
        self._ask = msgspec.structs.replace(ask, drafts=self._drafts, moving=self._moving)
        self._fields = [field.name for field in self._kind.collection.fields]
        places = {name: index for index, name in enumerate(self._fields)}
        self._unique = [(name, places[name]) for name in self._kind.unique]
        self._decimals = [index for index, field in enumerate(self._kind.collection.fields) if field.type == "decimal"]
        self._now = clock.now()
        targets = [_target(self._catalog, self._kinds, ask, name, to) for name, to in self._kind.references]
        self._targets = [(target, places[target.field]) for target in targets]
        self._reach: list[Reach] = []
        self._there: set[Pair] = set()
        self._told: list[Event | Ready] = []
        self._later: list[Later] = []
        self._type = change.created_type(ask.grant.collection.name)
        self.counts = Counts()
        self.refusals = Refusals()

    def store(self, lines: Sequence[Ready]) -> None:
        """Store some lines; refused ones are added to `refusals`. Raises Unavailable if the collection was changed."""
        for line in lines if self._decimals else ():
            for index in self._decimals if line.values else ():
                if (text := line.values[index]) is not None:
                    # The spool keeps decimals as text.
                    line.values[index] = Decimal(text)
        self._foresee(lines)
        for line in lines:
            if not line.own_id:
                self._create(line)
            else:
                self._place(line)
        self._write()

    def end(self) -> None:
        """Check references to items that did not exist yet, and values that are taken for good."""
        for target, _ in self._targets:
            wanted = [entry for entry in self._later if entry[1] is target]
            there = self._reached(target, [(ident, tenant) for _, _, ident, tenant in wanted])
            for line, _, ident, tenant in wanted:
                if not self._leads(target, there, ident, tenant):
                    self.refusals.add(line, [_no_such(target, ident)])
        self._later = []
        unsettled = None if self._moving is None else self._moving.settle(self._db)
        for place in [] if unsettled is None else unsettled.errors:
            self.refusals.add(place.line or 0, [msgspec.structs.replace(place, line=None)])
        if not self.refusals.count:
            self._draft.write(self._db)

    # --- steps --------------------------------------------------------------------------------------------------------

    def _foresee(self, lines: Sequence[Ready]) -> None:
        """Read in sets what the lines will need."""
        named = [(line.id, line.tenant) for line in lines if line.own_id]
        given = [(line.tenant, line.data) for line in lines if line.own_id and line.data is not None]
        if self._on_conflict in _REPLACES:
            self._draft.load(self._db, named)
            foresight.values(self._db, self._kind, self._draft, given)
            foresight.references(self._db, self._catalog, self._kinds, self._kind, self._drafts, given)
        else:
            self._there = item_bulk.there(self._db, self._kind.table, "id", named)
        whole = [line for line in lines if line.values]
        for name, index in self._unique:
            pairs = [(line.values[index], line.tenant) for line in whole if line.values[index] is not None]
            self._draft.load_values(self._db, name, pairs, whole=self._on_conflict in _REPLACES)
        self._reach = []
        for target, index in self._targets:
            pairs = [(line.values[index], line.tenant) for line in whole if line.values[index] is not None]
            self._reach.append((target, index, self._reached(target, list(dict.fromkeys(pairs)))))

    def _place(self, line: Ready) -> None:
        """One line that names its id."""
        if not (self._draft.has(line.id, line.tenant) or (line.id, line.tenant) in self._there):
            if line.values:
                self._create(line)
            else:
                self._replace(line)
        elif self._on_conflict == "skip":
            self.counts.skipped += 1
        elif self._on_conflict == "refuse":
            detail = f"An item {line.id} already exists."
            self.refusals.add(line.line, [Place(pointer="/id", code="id_taken", detail=detail)])
        else:
            self._replace(line, merge=self._on_conflict == "merge")

    def _replace(self, line: Ready, *, merge: bool = False) -> None:
        """Replace the item with the line's id, or merge the line into it, as a single put or edit does."""
        ask = msgspec.structs.replace(self._ask, id=line.id, tenant=line.tenant, data=line.data or {}, line=line.line)
        try:
            done = self._items.edit(self._db, ask) if merge else self._items.put(self._db, ask)
        except TidingsError as wrong:
            if wrong.status in (413, 503):
                raise
            places = wrong.errors or [Place(pointer="", code=wrong.code, detail=wrong.detail)]
            self.refusals.add(line.line, places)
            return
        if done.event is None:
            self.counts.unchanged += 1
            return
        name = "created" if done.before is None else _REPLACES[self._on_conflict]
        setattr(self.counts, name, getattr(self.counts, name) + 1)
        self._told.append(done.event)

    def _create(self, line: Ready) -> None:
        """Create an item if its unique values are free and its references exist."""
        wrong = [
            Place(pointer=f"/{name}", code="unique_taken", detail=f"Another item already has this {name}.")
            for name, index in self._unique
            if (value := line.values[index]) is not None
            and self._draft.holder(self._db, name, value, line.tenant, 0) is not None
        ]
        if wrong and self._moving is not None and line.data is not None:
            # A later line may still free them.
            self._replace(line)
            return
        later = self._unreached(line, wrong)
        if wrong:
            self.refusals.add(line.line, wrong)
            return
        self._later += later
        self._draft.insert_row((line.id, line.tenant, 1, self._now, self._now, *line.values))
        self._told.append(line)
        self.counts.created += 1

    def _unreached(self, line: Ready, wrong: list[Place]) -> list[Later]:
        """Adds references without a target to `wrong`; returns those whose target a later line may create."""
        later: list[Later] = []
        for target, index, pairs in self._reach:
            ident = line.values[index]
            if ident is None or (target.is_self and ident == line.id) or self._leads(target, pairs, ident, line.tenant):
                continue
            if self._whole and target.is_self:
                later.append((line.line, target, ident, line.tenant))
            else:
                wrong.append(_no_such(target, ident))
        return later

    def _leads(self, target: Reference, pairs: item_bulk.Pairs, ident: str, tenant: str) -> bool:
        """Whether a reference's target, in the file or in the store, is visible to the caller."""
        if target.is_self and self._draft.has(ident, tenant):
            item = self._draft.of_tenant(self._db, ident, tenant)
            return item is not None and holds(target.seen, item.row)
        return (ident, tenant) in pairs

    def _reached(self, target: Reference, pairs: Sequence[Pair]) -> item_bulk.Pairs:
        """Which of these items of the store, each id with its tenant, the caller may refer to."""
        if target.kind is None:
            return set()
        return item_bulk.there(self._db, target.kind.table, "id", pairs, target.seen, "share")

    def _write(self) -> None:
        """Write items and events to the store; values that a later line may still move wait."""
        self._draft.write(self._db, () if self._moving is None else self._moving.seqs(self._draft))
        if self._told:
            idents = iter(new_ids("evt", self._now, len(self._told)))
            told = [self._created(each, next(idents)) if isinstance(each, Ready) else each for each in self._told]
            events.append_new(self._db, told, self._now)
            self._told = []

    def _created(self, line: Ready, ident: str) -> Event:
        """The event of a new item; its data is that of a single creation."""
        now, kind = self._now, self._kind
        time = moment.to_text(now)
        tenant = f'"{line.tenant}"' if line.tenant else "null"
        data = (
            f'{{"id":"{line.id}","tenant":{tenant},"revision":1,"created":"{time}","updated":"{time}"'
            f"{',' if self._fields else ''}{line.shown}"
        )
        type = kind.changes.type(None, msgspec.json.decode(data), []) if kind.collection.events else self._type
        return Event(
            id=ident,
            type=type,
            time=now,
            tenant=line.tenant or None,
            subject=line.id,
            data=data,
            actor=self._ask.key.id,
            request_id=self._ask.request_id,
            collection=kind.collection.name,
        )


def _target(catalog: Catalog, kinds: Kinds, ask: ItemRequest, field: str, to: str) -> Reference:
    collection = catalog.now.collections.get(to)
    its: Grant | None = None if collection is None else kinds.grant(ask.key, collection)
    is_self = to == ask.grant.collection.name
    if collection is None or its is None:
        return Reference(field, None, NEVER, to, is_self)
    return Reference(field, kinds.of(collection), seen(its), to, is_self)


def _no_such(target: Reference, ident: str) -> Place:
    return Place(pointer=f"/{target.field}", code="no_such_item", detail=f"There is no item {ident} in {target.to}.")
