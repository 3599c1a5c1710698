"""Imports, second half: checked lines stored inside a write job, with one event for each item that changes.

A thousand lines at a time are asked about and stored together. Lines hold in their order: what an earlier one took is
taken for a later one.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from tidings.intake.items.change import ItemChanges, ItemRequest, seen
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
    """What came of the lines that were stored."""

    created: int = 0
    replaced: int = 0
    skipped: int = 0
    unchanged: int = 0

    def add(self, other: Counts) -> None:
        """These, and those of more lines."""
        self.created += other.created
        self.replaced += other.replaced
        self.skipped += other.skipped
        self.unchanged += other.unchanged


class Reference(msgspec.Struct, frozen=True):
    """What a reference leads to. `is_self`: the collection that is imported into."""

    field: str
    kind: Kind | None
    """None: there is no such collection any more, or the caller may not know of it."""
    seen: Condition
    to: str
    is_self: bool


Later = tuple[int, Reference, str, str]
"""A line whose reference leads to an item that was not there yet: line, field, id, tenant."""
Reach = tuple[Reference, int, item_bulk.Pairs]
"""A reference, its place among a line's values, and what it may lead to."""


class ImportStore:
    """Stores the lines of one file inside of one write job. `ask` says who imports.

    `whole`: nothing holds where one line is bad, so a line may refer to a later one as well; `end` looks after that.
    """

    def __init__(
        self,
        parts: tuple[ItemChanges, Catalog, Kinds, Clock],
        db: Db,
        ask: ItemRequest,
        on_conflict: OnConflict,
        *,
        whole: bool,
    ) -> None:
        self._items, catalog, kinds, clock = parts
        self._db, self._ask, self._whole = db, ask, whole
        self._on_conflict = on_conflict
        self._kind = self._items.current(ask.grant)
        self._fields = [field.name for field in self._kind.collection.fields]
        self._decimals = [index for index, field in enumerate(self._kind.collection.fields) if field.type == "decimal"]
        self._now = clock.now()
        self._targets = [_target(catalog, kinds, ask, name, to) for name, to in self._kind.references]
        self._later: list[Later] = []
        self._moving = Moving() if whole else None
        self._type = change.created_type(ask.grant.collection.name)
        self.counts = Counts()
        self.refusals = Refusals()

    def store(self, lines: Sequence[Ready]) -> None:
        """Store some lines; what is refused joins `refusals`. Raises Unavailable where the collection was changed."""
        for line in lines if self._decimals else ():
            for index in self._decimals if line.values else ():
                if (text := line.values[index]) is not None:
                    # The spool keeps them as texts.
                    line.values[index] = Decimal(text)
        part: list[Ready] = []
        names: set[tuple[str, str]] = set()
        for line in lines:
            if line.own_id:
                name = (line.id, line.tenant)
                if name in names:
                    # The same id again: what the first one did is there by then.
                    self._store(part)
                    part, names = [], set()
                names.add(name)
            part.append(line)
        self._store(part)

    def end(self) -> None:
        """Look for what lines referred to before it was there, and for values that were taken for good."""
        for target in self._targets:
            wanted = [entry for entry in self._later if entry[1] is target]
            there = self._there(target, [ident for _, _, ident, _ in wanted])
            for line, _, ident, tenant in wanted:
                if (ident, tenant) not in there:
                    self.refusals.add(line, [_no_such(target, ident)])
        self._later = []
        unsettled = None if self._moving is None else self._moving.settle(self._db)
        for place in [] if unsettled is None else unsettled.errors:
            self.refusals.add(place.line or 0, [msgspec.structs.replace(place, line=None)])

    # --- steps --------------------------------------------------------------------------------------------------------

    def _store(self, lines: Sequence[Ready]) -> None:
        """Store lines with ids that are all different."""
        named = [line.id for line in lines if line.own_id]
        there = item_bulk.there(self._db, self._kind.table, "id", named)
        fresh: list[Ready] = []
        for line in lines:
            if not line.own_id or (line.values and (line.id, line.tenant) not in there):
                fresh.append(line)
            elif (line.id, line.tenant) not in there:
                self._replace(line)
            elif self._on_conflict == "skip":
                self.counts.skipped += 1
            elif self._on_conflict == "refuse":
                detail = f"There is an item {line.id} already."
                self.refusals.add(line.line, [Place(pointer="/id", code="id_taken", detail=detail)])
            else:
                self._create(fresh)
                fresh = []
                self._replace(line, is_there=self._on_conflict == "merge")
        self._create(fresh)

    def _replace(self, line: Ready, *, is_there: bool = False) -> None:
        """Put one line in place of the item at its id, or merge it into that, as a single put or edit does."""
        ask = msgspec.structs.replace(
            self._ask, id=line.id, tenant=line.tenant, data=line.data or {}, moving=self._moving, line=line.line
        )
        try:
            done = self._items.edit(self._db, ask) if is_there else self._items.put(self._db, ask)
        except TidingsError as wrong:
            if wrong.status == 503:
                raise
            places = wrong.errors or [Place(pointer="", code=wrong.code, detail=wrong.detail)]
            self.refusals.add(line.line, places)
            return
        if done.event is None:
            self.counts.unchanged += 1
        else:
            self.counts.created += done.before is None
            self.counts.replaced += done.before is not None
            events.append_new(self._db, [done.event], self._now)

    def _create(self, lines: Sequence[Ready]) -> None:
        """Store new items and their events."""
        moved: list[Ready] = []
        good = self._good(lines, moved)
        if good:
            self._insert(good)
        for line in moved:
            self._replace(line)

    def _insert(self, good: Sequence[Ready]) -> None:
        now = self._now
        rows = [(line.id, line.tenant, 1, now, now, *line.values) for line in good]
        item_bulk.insert(self._db, self._kind.table, rows)
        events.append_new(self._db, self._events(good), now)
        self.counts.created += len(good)

    def _events(self, lines: Sequence[Ready]) -> list[Event]:
        """The events of new items; their data is what a single creation would tell."""
        now, ask, kind = self._now, self._ask, self._kind
        time = moment.to_text(now)
        comma = "," if self._fields else ""
        found = []
        idents = new_ids("evt", now, len(lines))
        for line, ident in zip(lines, idents, strict=True):
            tenant = f'"{line.tenant}"' if line.tenant else "null"
            data = (
                f'{{"id":"{line.id}","tenant":{tenant},"revision":1,"created":"{time}","updated":"{time}"'
                f"{comma}{line.shown}"
            )
            type = kind.changes.type(None, msgspec.json.decode(data), []) if kind.collection.events else self._type
            found.append(
                Event(
                    id=ident,
                    type=type,
                    time=now,
                    tenant=line.tenant or None,
                    subject=line.id,
                    data=data,
                    actor=ask.key.id,
                    request_id=ask.request_id,
                    collection=kind.collection.name,
                )
            )
        return found

    def _good(self, lines: Sequence[Ready], moved: list[Ready]) -> Sequence[Ready]:
        """Those lines whose unique values are free and whose references lead somewhere; the others are refused.

        `moved` gets those whose unique values a later line may still take from the items that have them.
        """
        kind = self._kind
        if not lines or not (kind.unique or self._targets):
            return lines
        place = {name: index for index, name in enumerate(self._fields)}
        taken = [(name, place[name], self._taken(lines, name, place[name])) for name in kind.unique]
        reach = [
            (target, place[target.field], self._reach(lines, target, place[target.field])) for target in self._targets
        ]
        good = []
        for line in lines:
            wrong = [
                Place(pointer=f"/{name}", code="unique_taken", detail=f"Another item has this {name} already.")
                for name, index, pairs in taken
                if (line.values[index], line.tenant) in pairs
            ]
            if wrong and self._moving is not None and line.data is not None:
                moved.append(line)
                continue
            later = self._unreached(line, reach, wrong)
            if wrong:
                self.refusals.add(line.line, wrong)
                continue
            self._later += later
            for _, index, pairs in taken:
                if line.values[index] is not None:
                    pairs.add((line.values[index], line.tenant))
            self._joins(line, reach)
            good.append(line)
        return good

    def _taken(self, lines: Sequence[Ready], name: str, index: int) -> item_bulk.Pairs:
        values = list({line.values[index] for line in lines if line.values[index] is not None})
        return item_bulk.there(self._db, self._kind.table, name, values)

    def _reach(self, lines: Sequence[Ready], target: Reference, index: int) -> item_bulk.Pairs:
        return self._there(target, list({line.values[index] for line in lines if line.values[index] is not None}))

    def _there(self, target: Reference, idents: Sequence[str]) -> item_bulk.Pairs:
        if target.kind is None:
            return set()
        return item_bulk.there(self._db, target.kind.table, "id", idents, target.seen)

    def _unreached(self, line: Ready, reach: Sequence[Reach], wrong: list[Place]) -> list[Later]:
        """Adds the references that lead nowhere to `wrong`; answers those that a later line may give a meaning."""
        later: list[Later] = []
        for target, index, pairs in reach:
            ident = line.values[index]
            if ident is None or (ident, line.tenant) in pairs or (target.is_self and ident == line.id):
                continue
            if self._whole and target.is_self:
                later.append((line.line, target, ident, line.tenant))
            else:
                wrong.append(_no_such(target, ident))
        return later

    def _joins(self, line: Ready, reach: Sequence[Reach]) -> None:
        """A line that will be stored may be referred to by those after it, as far as the caller may see it."""
        row: dict[str, Any] | None = None
        for target, _, pairs in reach:
            if target.is_self and line.own_id:
                row = row or {**dict(zip(self._fields, line.values, strict=True)), "id": line.id, "tenant": line.tenant}
                if holds(target.seen, row):
                    pairs.add((line.id, line.tenant))


def _target(catalog: Catalog, kinds: Kinds, ask: ItemRequest, field: str, to: str) -> Reference:
    collection = catalog.now.collections.get(to)
    its: Grant | None = None if collection is None else kinds.grant(ask.key, collection)
    is_self = to == ask.grant.collection.name
    if collection is None or its is None:
        return Reference(field, None, NEVER, to, is_self)
    return Reference(field, kinds.of(collection), seen(its), to, is_self)


def _no_such(target: Reference, ident: str) -> Place:
    return Place(pointer=f"/{target.field}", code="no_such_item", detail=f"There is no item {ident} in {target.to}.")
