"""From the present collections and the wanted ones to an ordered list of steps.

Items are not read here: `requirements` lists what the store must check before anything is done
(store/items/inspect.py), and the result can still refuse the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Collection as Names
from typing import Any, Literal

import msgspec

from tidings.model.collection import Collection, Field, FieldType
from tidings.model.errors import Place
from tidings.rules.declare.declaration import COLLECTIONS_MAX, Declared
from tidings.rules.items.field import field_schema, is_bounded_by_us
from tidings.rules.reading import decimals

CONVERSIONS: tuple[tuple[FieldType, FieldType], ...] = (
    ("integer", "number"),
    ("integer", "decimal"),
    ("number", "decimal"),
    ("string", "decimal"),
    ("decimal", "string"),
    ("decimal", "decimal"),
    ("string", "enum"),
    ("enum", "string"),
    ("string", "reference"),
    ("reference", "string"),
    ("date", "datetime"),
)
"""Conversions of a field's type, possible if all its values fit. A date becomes midnight in UTC."""

_ANNOTATIONS = ("description", "default", "examples")

At = Callable[[str], str]


class Step(msgspec.Struct, frozen=True, kw_only=True, tag_field="do"):
    """One step. `collection` is its final name."""

    collection: str


class CreateCollection(Step, frozen=True, kw_only=True, tag="create_collection"):
    """Make an empty collection."""

    after: Collection


class RenameCollection(Step, frozen=True, kw_only=True, tag="rename_collection"):
    """Rename a collection and keep its items."""

    was: str


class DropCollection(Step, frozen=True, kw_only=True, tag="drop_collection"):
    """Drop a collection and its items."""


class DropField(Step, frozen=True, kw_only=True, tag="drop_field"):
    """Drop a field and its values."""

    field: Field


class RenameField(Step, frozen=True, kw_only=True, tag="rename_field"):
    """Rename a field and keep its values."""

    field: str
    was: str


class ConvertField(Step, frozen=True, kw_only=True, tag="convert_field"):
    """Change a field's type; `before` already has its new name."""

    before: Field
    after: Field


class AddField(Step, frozen=True, kw_only=True, tag="add_field"):
    """Add a field; existing items get its default."""

    field: Field


class FillField(Step, frozen=True, kw_only=True, tag="fill_field"):
    """Give the default to items without a value, because the field becomes required."""

    field: Field


class ChangeField(Step, frozen=True, kw_only=True, tag="change_field"):
    """Change a field's attributes."""

    field: str
    what: tuple[str, ...]


class ChangeCollection(Step, frozen=True, kw_only=True, tag="change_collection"):
    """Change the collection's attributes other than its fields."""

    what: tuple[str, ...]


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """What must be true of the present items; otherwise the plan is refused at `pointer`."""

    what: Literal["fits", "required", "unique", "exists"]
    collection: str
    """The present name of the collection, under which its items are stored."""
    before: Field | None
    """The present field; None if it is new."""
    after: Field
    target: str | None = None
    """For `exists`: the present name of the collection referred to; None if it is new, and so empty."""
    pointer: str | None = None


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One collection before and after. `renamed`: its fields' new names by their old ones."""

    before: Collection
    after: Collection
    renamed: dict[str, str] = {}

    def source(self, name: str) -> Field | None:
        """The previous form of one of the new collection's fields; None if the field is new."""
        was = next((old for old, new in self.renamed.items() if new == name), name)
        return None if was == name and was in self.renamed else self.before.field(was)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do. `refusals`: why it cannot be done."""

    steps: tuple[Step, ...] = ()
    pairs: tuple[Pair, ...] = ()
    """Collections that change, in the order in which they may be renamed."""
    created: tuple[Collection, ...] = ()
    dropped: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()
    """Collections that are not declared and are kept."""
    requirements: tuple[Requirement, ...] = ()
    refusals: tuple[Place, ...] = ()
    present: dict[str, Collection] = {}
    """The present form of the collections whose items matter: those that change, are dropped, or are referred to."""

    def steps_of(self, pair: Pair) -> list[Step]:
        """The steps that change one collection."""
        return [step for step in self.steps if step.collection == pair.after.name]


def plan(
    present: Mapping[str, Collection], wanted: Sequence[Declared], at: At, *, prune: bool = False, drop: Names[str] = ()
) -> Plan:
    """The plan that turns the present collections into `wanted`; without steps if there is nothing to do.

    `prune`: drop all other collections too; `drop`: drop only these. `at` returns the pointer of a wanted collection.
    """
    return _Planner(present, wanted, at).plan(prune=prune, drop=drop)


class _Planner:
    def __init__(self, present: Mapping[str, Collection], wanted: Sequence[Declared], at: At) -> None:
        self.present, self.wanted, self.at = present, wanted, at
        self.refusals: list[Place] = []
        self.requirements: list[Requirement] = []
        self.renames = self._renames()
        self.sources = {new: old for old, new in self.renames.items()}

    def plan(self, *, prune: bool, drop: Names[str]) -> Plan:
        declared = {each.collection.name: each for each in self.wanted}
        pairs, created = [], []
        for each in self.wanted:
            before = self._before(each.collection.name)
            if before is None:
                created.append(each.collection)
            else:
                pairs.append(self._pair(before, each))
        taken = {pair.before.name for pair in pairs}
        others = [name for name in self.present if name not in taken]
        dropped = [name for name in others if prune or name in drop]
        stays = [name for name in others if name not in dropped]
        pairs += [self._follower(self.present[name]) for name in stays]
        self._check_references([*(pair.after for pair in pairs), *created], declared)
        if len(pairs) + len(created) > COLLECTIONS_MAX:
            self._refuse(None, "too_many", f"There may be at most {COLLECTIONS_MAX} collections.")
        steps: list[Step] = [DropCollection(collection=name) for name in dropped]
        order = _orderly(self.renames, [name for name in self.present if name not in dropped])
        steps += [RenameCollection(collection=self.renames[old], was=old) for old in order]
        steps += [CreateCollection(collection=each.name, after=each) for each in created]
        changed = [pair for pair in pairs if _differs(pair)]
        for pair in changed:
            steps += self._field_steps(pair, declared.get(pair.after.name))
        concerned = [*(pair.before.name for pair in changed), *(each.target for each in self.requirements)]
        return Plan(
            steps=tuple(steps),
            pairs=tuple(sorted(changed, key=lambda pair: _rank(order, pair))),
            created=tuple(created),
            dropped=tuple(dropped),
            stays=tuple(stays) if not drop else (),
            requirements=tuple(self.requirements),
            refusals=tuple(self.refusals),
            present={name: each for name, each in self.present.items() if name in {*concerned, *dropped}},
        )

    # --- collections --------------------------------------------------------------------------------------------------

    def _renames(self) -> dict[str, str]:
        were = {each.collection.name: each.was for each in self.wanted if each.was is not None}
        found, clashes = _renames(were, self.present, [each.collection.name for each in self.wanted])
        for name in clashes:
            detail = f"{name} exists, so {were[name]} cannot take that name. Leave `was` out, or drop one of the two."
            self._refuse(f"{self.at(name)}/was", "name_taken", detail)
        return found

    def _before(self, name: str) -> Collection | None:
        source = self.sources.get(name, name)
        return None if source in self.renames and source == name else self.present.get(source)

    def _follower(self, before: Collection) -> Pair:
        """A collection that was not declared: only its references follow renames."""
        fields = tuple(
            msgspec.structs.replace(field, to=self.renames[field.to]) if field.to in self.renames else field
            for field in before.fields
        )
        return Pair(before=before, after=msgspec.structs.replace(before, fields=fields))

    def _check_references(self, final: Sequence[Collection], declared: Mapping[str, Declared]) -> None:
        names = {each.name for each in final}
        for each in final:
            for field in each.fields:
                if field.to is not None and field.to not in names:
                    pointer = f"{self.at(each.name)}/fields/{field.name}/to" if each.name in declared else None
                    detail = f"{each.name}.{field.name} refers to {field.to}, which would no longer exist."
                    self._refuse(pointer, "referenced", detail)

    # --- fields -------------------------------------------------------------------------------------------------------

    def _pair(self, before: Collection, each: Declared) -> Pair:
        # The items stay where they are, whatever the collection's name.
        table = before.table or before.name
        after = msgspec.structs.replace(
            each.collection,
            revision=before.revision,
            created=before.created,
            updated=before.updated,
            table="" if table == each.collection.name else table,
        )
        names = [field.name for field in before.fields]
        renamed, clashes = _renames(each.fields_were, names, [field.name for field in after.fields])
        for name in clashes:
            was = each.fields_were[name]
            detail = f"The field {name} exists, so {was} cannot take that name. Leave `was` out, or drop one of them."
            self._refuse(f"{self.at(after.name)}/fields/{name}/was", "name_taken", detail)
        return Pair(before=before, after=after, renamed=renamed)

    def _field_steps(self, pair: Pair, declared: Declared | None) -> list[Step]:
        name, before, after = pair.after.name, pair.before, pair.after
        pointer = None if declared is None else f"{self.at(name)}/fields"
        matched: list[tuple[Field, Field]] = []
        added: list[Field] = []
        for field in after.fields:
            old = pair.source(field.name)
            if old is None:
                added.append(field)
            else:
                matched.append((old, field))
        kept = {old.name for old, _ in matched}
        gone = [field for field in before.fields if field.name not in kept]
        ordered = _orderly(pair.renamed, kept)
        steps: list[Step] = [DropField(collection=name, field=field) for field in gone]
        steps += [RenameField(collection=name, field=pair.renamed[old], was=old) for old in ordered]
        for old, field in matched:
            steps += self._matched(pair, old, field, f"{pointer}/{field.name}" if pointer else None)
        for field in added:
            if field.required and field.default is None:
                self._ask("required", before.name, None, field, f"{pointer}/{field.name}")
            steps.append(AddField(collection=name, field=field))
        what = _collection_changes(pair, [field.name for field in gone], [field.name for field in added])
        return [*steps, *([ChangeCollection(collection=name, what=what)] if what else [])]

    def _matched(self, pair: Pair, old: Field, field: Field, pointer: str | None) -> list[Step]:
        """The steps from a field to its new form, and what must be checked for that."""
        name = pair.after.name
        before = msgspec.structs.replace(old, name=field.name, to=self.renames.get(old.to or "", old.to))
        steps: list[Step] = []
        if before.type != field.type:
            if (before.type, field.type) not in CONVERSIONS:
                detail = (
                    f"{name}.{field.name} is of type {before.type} and cannot be converted to {field.type}. Declare a "
                    "field with another name, and drop this field."
                )
                self._refuse(f"{pointer}/type", "cannot_convert", detail)
                return []
            steps.append(ConvertField(collection=name, before=before, after=field))
        elif field.type == "decimal" and decimals.scale(before) != decimals.scale(field):
            # Items show their values with a different number of digits.
            steps.append(ConvertField(collection=name, before=before, after=field))
        if before.type != field.type or _is_tighter(before, field):
            self._ask("fits", pair.before.name, old, field, pointer)
        if field.required and not before.required:
            if field.default is None:
                self._ask("required", pair.before.name, old, field, pointer)
            else:
                steps.append(FillField(collection=name, field=field))
        if field.unique and not before.unique:
            self._ask("unique", pair.before.name, old, field, pointer)
        if field.to is not None and field.to != before.to:
            self._ask("exists", pair.before.name, old, field, pointer)
        what = tuple(
            each
            for each in Field.__struct_fields__
            if each not in ("name", "type") and getattr(before, each) != getattr(field, each)
        )
        return [*steps, *([ChangeField(collection=name, field=field.name, what=what)] if what else [])]

    def _ask(self, what: Any, collection: str, before: Field | None, after: Field, pointer: str | None) -> None:
        target = self.sources.get(after.to or "", after.to)
        if target not in self.present or (target in self.renames and target == after.to):
            target = None
        self.requirements.append(
            Requirement(what=what, collection=collection, before=before, after=after, target=target, pointer=pointer)
        )

    def _refuse(self, pointer: str | None, code: str, detail: str) -> None:
        self.refusals.append(Place(pointer=pointer, code=code, detail=detail))


def _renames(were: Mapping[str, str], present: Names[str], wanted: Names[str]) -> tuple[dict[str, str], list[str]]:
    """The renames still to do, from old to new, and the new names that are taken.

    `was` stays in files after the rename; then the new name exists, and the old one does not, or is in use again.
    """
    found: dict[str, str] = {}
    while True:
        more = {
            was: name
            for name, was in were.items()
            if was in present and was not in found and (name not in present or name in found)
        }
        if not more:
            break
        found |= more
    return found, [name for name, was in were.items() if was in present and was not in found and was not in wanted]


def _orderly(renames: Mapping[str, str], taken: Iterable[str]) -> list[str]:
    """The old names, in an order in which each new name is free, also in SQLite, which ignores case."""
    names = {name.lower() for name in taken}
    left, ordered = dict(renames), list[str]()
    while left:
        # There is always one, since declarations that swap names are refused.
        old = next(old for old, new in left.items() if new.lower() not in names - {old.lower()})
        names = (names - {old.lower()}) | {left.pop(old).lower()}
        ordered.append(old)
    return ordered


def _rank(order: Sequence[str], pair: Pair) -> int:
    return order.index(pair.before.name) if pair.before.name in order else len(order)


def _differs(pair: Pair) -> bool:
    return msgspec.json.encode(pair.before) != msgspec.json.encode(pair.after)


def _collection_changes(pair: Pair, gone: Sequence[str], added: Sequence[str]) -> tuple[str, ...]:
    before, after = pair.before, pair.after
    found = [part for part in ("description", "events", "questions") if getattr(before, part) != getattr(after, part)]
    kept = [pair.renamed.get(field.name, field.name) for field in before.fields if field.name not in gone]
    if kept != [field.name for field in after.fields if field.name not in added]:
        found.append("order of fields")
    return tuple(found)


def _is_tighter(before: Field, after: Field) -> bool:
    """Whether a present value of the field may no longer be valid."""
    if is_bounded_by_us(after) and (before.min, before.max) != (after.min, after.max):
        return True
    old, new = (_constraints(field) for field in (before, after))
    return any(name not in old or not _is_looser(name, old[name], value) for name, value in new.items())


def _constraints(field: Field) -> dict[str, Any]:
    return {name: value for name, value in field_schema(field).items() if name not in _ANNOTATIONS}


def _is_looser(name: str, old: Any, new: Any) -> bool:
    if name.startswith("max"):
        return bool(new >= old)
    if name.startswith("min"):
        return bool(new <= old)
    if name == "enum":
        return set(new) >= set(old)
    return bool(new == old)
