"""Plans in words: what each step will do, and what would be lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tidings.rules.declare.plan import (
    AddField,
    ChangeCollection,
    ChangeField,
    ConvertField,
    CreateCollection,
    DropCollection,
    DropField,
    FillField,
    RenameCollection,
    RenameField,
    Step,
)
from tidings.rules.reading import decimals

NAMES_MAX = 5


def sentence(step: Step, count: int) -> str:
    """What a step will do: `will drop 1 column with 1,203 values: tasks.note`."""
    return "will " + _SENTENCES[type(step)](step, count)


def loses(step: Step, count: int) -> bool:
    """Whether the step loses data."""
    return count > 0 and isinstance(step, DropField | DropCollection)


def losses(steps: Sequence[Step], counts: Sequence[int]) -> str | None:
    """What would be lost, in one phrase: `drop 2 columns with 1,204 values: tasks.due, tasks.note`; None if nothing."""
    told = []
    for kind, thing, what in ((DropCollection, "collection", "item"), (DropField, "column", "value")):
        found = [(step, n) for step, n in zip(steps, counts, strict=True) if isinstance(step, kind) and n]
        if found:
            names = [_name(step) for step, _ in found]
            such = ", ".join(names[:NAMES_MAX]) + (" ..." if len(names) > NAMES_MAX else "")
            told.append(f"drop {_n(len(found), thing)} with {_n(sum(n for _, n in found), what)}: {such}")
    return "; ".join(told) or None


def _name(step: Any) -> str:
    return f"{step.collection}.{step.field.name}" if isinstance(step, DropField) else str(step.collection)


def _n(count: int, thing: str) -> str:
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def _created(step: Any, count: int) -> str:
    return f"create the collection {step.collection} with {_n(len(step.after.fields), 'field')}"


def _added(step: Any, count: int) -> str:
    told = f"add the field {step.collection}.{step.field.name} ({step.field.type})"
    return f"{told} and give {_n(count, 'item')} its default" if count else told


def _filled(step: Any, count: int) -> str:
    return f"give {_n(count, 'item')} without {step.collection}.{step.field.name} its default"


def _converted(step: Any, count: int) -> str:
    kinds = f"from {step.before.type} into {step.after.type}"
    if step.before.type == step.after.type == "decimal":
        before, after = decimals.scale(step.before), decimals.scale(step.after)
        name = f"{step.collection}.{step.after.name}"
        return f"show {name} with {_n(after, 'digit')} after the point instead of {before}, in {_n(count, 'item')}"
    return f"turn {step.collection}.{step.after.name} {kinds}, with {_n(count, 'value')}"


_SENTENCES: dict[type[Step], Callable[[Any, int], str]] = {
    CreateCollection: _created,
    RenameCollection: lambda step, count: f"rename the collection {step.was} to {step.collection}",
    DropCollection: lambda step, count: f"drop 1 collection with {_n(count, 'item')}: {step.collection}",
    DropField: lambda step, count: f"drop 1 column with {_n(count, 'value')}: {_name(step)}",
    RenameField: lambda step, count: f"rename the field {step.collection}.{step.was} to {step.field}",
    ConvertField: _converted,
    AddField: _added,
    FillField: _filled,
    ChangeField: lambda step, count: f"change {step.collection}.{step.field}: {', '.join(step.what)}",
    ChangeCollection: lambda step, count: f"change {step.collection}: {', '.join(step.what)}",
}
