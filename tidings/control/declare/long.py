"""A plan that takes many jobs of the writer: what it is about, how much that is, and what has been done of it."""

from __future__ import annotations

from tidings.control.collections import Asked, Planned
from tidings.model.collection import Collection
from tidings.model.moment import Micros
from tidings.rules.declare.plan import AddField, ConvertField, DropCollection, DropField, FillField, Pair, Plan
from tidings.store.base import Db, Dialect
from tidings.store.items import alter, tables
from tidings.store.items.handover import Handover, Late, weight
from tidings.store.items.inspect import Findings
from tidings.store.items.successor import is_needed
from tidings.store.watch import Watch

WEIGHT_EACH = 100
"""What each table that is made or changed adds to the weight of a plan, beside its rows."""
RETRY_AFTER_SECONDS = 5.0


class Long:
    """A plan that is carried out in slices."""

    def __init__(self, planned: Planned, asked: Asked, now: Micros) -> None:
        self.planned, self.asked, self.plan = planned, asked, planned.plan
        self.findings = Findings(counts=(), refusals=())
        self.handovers: list[Handover] = []
        self._now = now
        self._created: dict[str, Collection] = {}

    def watch(self, db: Db) -> None:
        """From now on note what is written to the items that it is about."""
        for collection in self.plan.present.values():
            db.watched.setdefault(tables.table(collection), Watch())

    def found(self, db: Db, findings: Findings) -> None:
        """What a reader found of all items, in the transaction that is open there."""
        plan, self.findings = self.plan, findings
        if not self.handovers:
            self.handovers = [Handover(plan, pair, self._now) for pair in plan.pairs if touches(plan, pair, db.dialect)]
        for handover in self.handovers:
            handover.found(db, findings.counts)

    def create(self, db: Db, collection: Collection) -> None:
        """Make the table of a new collection."""
        made = self._created[collection.name] = alter.create(db, collection)
        alter.discard(db, [made])

    def end(self, db: Db) -> dict[str, Collection]:
        """Do the rest; the collections that were made or changed, by name, with their tables. Raises Late."""
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
                if not (count or self.asked.drop_values) and weight(db, collection, 1):
                    raise Late(
                        f"Items of {step.collection} were created in the meantime and would be lost. Try again.",
                        retry_after_seconds=RETRY_AFTER_SECONDS,
                    )
                left.append(collection)
        alter.keep(db, [*kept, *self._created.values()])
        alter.discard(db, left)
        return made | self._created


def is_watched(db: Db, plan: Plan) -> bool:
    """Whether a plan is about items that another one goes through."""
    return any(tables.table(collection) in db.watched for collection in plan.present.values())


def touches(plan: Plan, pair: Pair, dialect: Dialect) -> bool:
    """Whether something has to be done, or asked, of the items of a collection that changes."""
    if is_needed(plan, pair, dialect) or any(each.collection == pair.before.name for each in plan.requirements):
        return True
    return any(isinstance(step, AddField | ConvertField | DropField | FillField) for step in plan.steps_of(pair))


def weighs(db: Db, plan: Plan, most: int) -> int:
    """How many rows carrying it out touches, as far as that is not more than `most`."""
    found = WEIGHT_EACH * len(plan.created)
    # One job would move the items of a renamed collection to a table of the new name.
    renamed = [pair for pair in plan.pairs if pair.before.name != pair.after.name]
    touched = [pair.before for pair in plan.pairs if pair in renamed or touches(plan, pair, db.dialect)]
    for collection in (*touched, *(plan.present[name] for name in plan.dropped)):
        if found > most:
            break
        found += WEIGHT_EACH + weight(db, collection, most)
    return found
