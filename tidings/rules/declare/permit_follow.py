"""Permits of keys follow the declarations: renamed fields stay permitted, and dropped ones no longer are.

Otherwise a new field with an old name would be shown to anyone who was permitted to see the old one.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import msgspec

from tidings.model.access import Permit
from tidings.rules.declare.plan import Pair, Plan

_LISTS = ("read", "write", "filter", "sort")


def touched(plan: Plan) -> frozenset[str]:
    """The names of the collections whose permits the plan changes; most plans change none."""
    renamed = (pair.before.name for pair in plan.pairs if _renames(pair))
    return frozenset((*plan.dropped, *renamed))


def follow(permits: Sequence[Permit], plan: Plan, present: Container[str]) -> tuple[Permit, ...]:
    """A key's permits once the plan is carried out. `present`: the names of the collections before it."""
    pairs = {pair.before.name: pair for pair in plan.pairs}
    found = []
    for permit in permits:
        if permit.collection in present and permit.collection not in plan.dropped:
            pair = pairs.get(permit.collection)
            found.append(permit if pair is None else _moved(permit, pair))
    return tuple(found)


def _renames(pair: Pair) -> bool:
    """Whether something that a permit may name is renamed or dropped."""
    asked = {question.name for question in pair.before.questions} - {each.name for each in pair.after.questions}
    return bool(asked) or pair.before.name != pair.after.name or any(old != new for old, new in _names(pair).items())


def _names(pair: Pair) -> dict[str, str | None]:
    """The fields' new names by their old ones; None if dropped."""
    after = {source.name: field.name for field in pair.after.fields if (source := pair.source(field.name)) is not None}
    return {field.name: after.get(field.name) for field in pair.before.fields}


def _moved(permit: Permit, pair: Pair) -> Permit:
    names = _names(pair)
    lists: dict[str, Any] = {}
    for part in _LISTS:
        given = getattr(permit, part)
        if given is not None:
            lists[part] = tuple(now for name in given if (now := names.get(name, name)) is not None)
    questions = {question.name for question in pair.after.questions}
    return msgspec.structs.replace(
        permit,
        collection=pair.after.name,
        rows=None if permit.rows is None else _rows(permit.rows, names),
        questions=tuple(name for name in permit.questions if name in questions),
        **lists,
    )


def _rows(pattern: Any, names: dict[str, str | None]) -> Any:
    """A row rule with the fields' new names.

    A dropped field is replaced by a name that cannot exist, so no row matches.
    """
    if isinstance(pattern, list):
        return [_rows(each, names) for each in pattern]
    if not isinstance(pattern, dict):
        return pattern
    found = {}
    for name, asked in pattern.items():
        if name.startswith("$"):
            found[name] = _rows(asked, names)
        else:
            found[names.get(name, name) or f"{name} (dropped)"] = asked
    return found
