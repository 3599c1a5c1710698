"""A plan that takes many jobs of the writer: what it changes, how much that is, and what has been done."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from tidings.control.collections import Asked, Planned, Shown
from tidings.model.collection import Collection
from tidings.model.moment import Micros
from tidings.rules.declare.plan import AddField, ConvertField, DropCollection, DropField, FillField, Pair, Plan
from tidings.store.base import Db, Dialect
from tidings.store.items import alter, tables
from tidings.store.items.handover import Handover, Late, late, weight
from tidings.store.items.inspect import Findings
from tidings.store.items.successor import is_needed
from tidings.store.watch import Watch

WEIGHT_EACH = 100
"""The weight that each changed or dropped collection adds to a plan, in addition to its rows."""
WEIGHT_OF_STATEMENT = 40
"""The weight that each new table and each new index adds to a plan."""
BYTES_AS_ROW = 25
"""How many bytes of a declaration weigh as much as a row: the job that carries out a plan at once reads the whole
declaration again, and reading this many bytes takes as long as writing one row."""
IN_PLACE_MAX = 10
"""The maximum number of tables that the last job alters in place; more are replaced instead, in earlier jobs."""
BUSY_MAX = 25
"""The maximum number of collections that may have been written since their last pass when the last job begins."""
RETRY_AFTER_SECONDS = 5.0


class Long:
    """A plan that is carried out in slices."""

    def __init__(self, planned: Planned, asked: Asked, now: Micros) -> None:
        self.planned, self.asked, self.plan = planned, asked, planned.plan
        self.findings = Findings(counts=(), refusals=())
        self.shown: Shown | None = None
        """The plan as it is shown to the caller; None until all items have been inspected."""
        self.handovers: list[Handover] = []
        self._now = now
        self._watched: dict[str, Watch] = {}
        self._created: dict[str, Collection] = {}

    def watch(self, db: Db) -> None:
        """From now on, record which of its items are written."""
        for collection in self.plan.present.values():
            name = tables.table(collection)
            self._watched[name] = db.watched.setdefault(name, Watch())

    def found(self, db: Db, findings: Findings, shown: Shown) -> None:
        """A reader's findings about all items, in its open transaction."""
        plan, self.findings, self.shown = self.plan, findings, shown
        if not self.handovers:
            touched = [pair for pair in plan.pairs if touches(plan, pair, db.dialect)]
            replaces = sum(not is_needed(plan, pair, db.dialect) for pair in touched) > IN_PLACE_MAX
            self.handovers = [Handover(plan, pair, self._now, self._watched, replaces=replaces) for pair in touched]
        for handover in self.handovers:
            handover.found(db, findings.counts)

    def to_name(self) -> list[Callable[[Db], Collection | None]]:
        """Chooses the tables to create, one by one."""
        return [*(self._namer(collection) for collection in self.plan.created), *(each.name for each in self.handovers)]

    def _namer(self, collection: Collection) -> Callable[[Db], Collection]:
        def name(db: Db) -> Collection:
            made = self._created[collection.name] = alter.named(db, collection)
            return made

        return name

    def statements(self, dialect: Dialect) -> list[str]:
        """The statements that make all of its tables and indexes."""
        successors = (handover.successor.collection for handover in self.handovers if handover.successor is not None)
        return [sql for made in (*self._created.values(), *successors) for sql in tables.complete(made, dialect)]

    @property
    def busy(self) -> list[Handover]:
        """The collections that were written since their last pass."""
        return [handover for handover in self.handovers if not handover.is_quiet]

    def end(self, db: Db) -> dict[str, Collection]:
        """Do the rest. Returns the collections that were made or changed, by name, with their tables. Raises Late."""
        self._finish(db)
        made = {handover.pair.after.name: handover.end(db) for handover in self.handovers}
        passed = [handover for handover in self.handovers if handover.successor is not None]
        kept = [made[handover.pair.after.name] for handover in passed]
        left = [handover.pair.before for handover in passed]
        for pair in self.plan.pairs:
            if pair.after.name not in made:
                made[pair.after.name] = alter.in_place(db, self.plan, pair)
        for step, count in zip(self.plan.steps, self.findings.counts, strict=True):
            if isinstance(step, DropCollection):
                collection = self.plan.present[step.collection]
                if not (count or self.asked.drop_values) and self._has_rows(db, collection):
                    raise Late(
                        f"Items of {step.collection} were created in the meantime and would be lost. Try again.",
                        retry_after_seconds=RETRY_AFTER_SECONDS,
                    )
                left.append(collection)
        alter.keep(db, [*kept, *self._created.values()])
        alter.discard(db, left)
        return made | self._created

    def _finish(self, db: Db) -> None:
        """The last pass over what was written in the meantime, which is never much."""
        busy, left = self.busy, Handover.last_rows
        if len(busy) > BUSY_MAX:
            raise late(busy[0].pair)
        for handover in busy:
            done = handover.finish(db, left)
            if done is None:
                raise late(handover.pair)
            left -= done.rows

    def _has_rows(self, db: Db, collection: Collection) -> bool:
        """Whether a collection that was found empty has items now."""
        return self._watched[tables.table(collection)].has_grown and weight(db, collection, 1) > 0


def is_watched(db: Db, plan: Plan) -> bool:
    """Whether a plan is about items that another plan is going through."""
    return any(tables.table(collection) in db.watched for collection in plan.present.values())


def touches(plan: Plan, pair: Pair, dialect: Dialect) -> bool:
    """Whether the items of a changing collection have to be changed or inspected."""
    if is_needed(plan, pair, dialect) or any(each.collection == pair.before.name for each in plan.requirements):
        return True
    return any(isinstance(step, AddField | ConvertField | DropField | FillField) for step in plan.steps_of(pair))


def weighs(db: Db, planned: Planned, most: int) -> int:
    """How many rows carrying it out touches; counts no further than `most`."""
    plan = planned.plan
    found = len(msgspec.json.encode(planned.wish.collections)) // BYTES_AS_ROW
    # One job would move the items of a renamed collection to a table of the new name.
    renamed = [pair for pair in plan.pairs if pair.before.name != pair.after.name]
    touched = [pair for pair in plan.pairs if pair in renamed or touches(plan, pair, db.dialect)]
    rebuilt = [pair.after for pair in touched if pair in renamed or is_needed(plan, pair, db.dialect)]
    found += _made(db, [*plan.created, *rebuilt], most - found)
    for collection in (*(pair.before for pair in touched), *(plan.present[name] for name in plan.dropped)):
        if found > most:
            break
        found += WEIGHT_EACH + weight(db, collection, most)
    return found


def _made(db: Db, collections: Sequence[Collection], most: int) -> int:
    found = 0
    for collection in collections:
        if found > most:
            break
        found += WEIGHT_OF_STATEMENT * len(tables.complete(collection, db.dialect))
    return found
