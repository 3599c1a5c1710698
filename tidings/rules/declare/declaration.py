"""Declarations of collections as plain values, from YAML or JSON, read into structs; and structs written back.

All errors are reported together, each place by a JSON pointer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from tidings.model.collection import OWN_FIELDS, Collection, Field, OwnEvent, Question
from tidings.model.errors import Invalid
from tidings.rules import filter
from tidings.rules.declare.declared_field import DESCRIPTION_CHARS_MAX, fits, read_field
from tidings.rules.items import change
from tidings.rules.items.field import asked_field, field_schema, operators_of
from tidings.rules.reading.places import Places, shown
from tidings.rules.reading.refused import Refused, escaped

COLLECTIONS_MAX = 500
FIELDS_MAX = 200
EVENTS_MAX = 50
QUESTIONS_MAX = 50
PARAMETERS_MAX = 10
DECLARATION_BYTES_MAX = 64 * 1024
NAME_CHARS_MAX = 40

PARAMETERS = ("limit", "cursor", "sort", "fields", "count", "expand", "q", "format")
"""Parameters of lists and exports. No field may have these names, nor `expanded`, the result of `expand`."""
NO_FIELDS = (*OWN_FIELDS, *PARAMETERS, "expanded")
NO_QUESTIONS = ("batch", "import", "export")
NO_COLLECTIONS = ("endpoint",)
"""Names that no collection may have, because Tidings' own event types begin with them (model/event.py)."""
NAME_RULE = (
    f"A name must be a letter followed by up to {NAME_CHARS_MAX - 1} letters, digits and _, without __ and without a "
    "trailing _"
)

_NAME = re.compile(rf"[A-Za-z][A-Za-z0-9_]{{0,{NAME_CHARS_MAX - 1}}}")
_PARTS = ("description", "was", "fields", "events", "questions")

__all__ = ["Declared", "field_schema", "plain", "read", "read_one"]


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """A declaration that was read: the wanted collection, and the previous names of the collection and its fields."""

    collection: Collection
    was: str | None = None
    fields_were: dict[str, str] = {}
    """The previous names of renamed fields, by their new names."""


def _no_rest() -> None:
    pass


def read(
    values: Any, pointer: str = "", beside: Iterable[str] = (), between: Callable[[], None] = _no_rest
) -> list[Declared]:
    """The declarations in an object, by name. References may point to any of them, or to those in `beside`.

    `between` is called before each field, as reading thousands takes a while. Raises Invalid with every wrong place.
    """
    wrong = Places()
    if type(values) is not dict:
        wrong.say(
            pointer,
            "wrong_type",
            f"Collections must be an object whose keys are the collections' names, not {shown(values)}.",
        )
        values = {}
    if len(values) > COLLECTIONS_MAX:
        wrong.say(pointer, "too_many", f"There may be at most {COLLECTIONS_MAX} collections.")
        values = {}
    known = {*values, *beside}
    found = []
    for name, value in values.items():
        found.append(_read(name, value, f"{pointer}/{escaped(str(name))}", known, wrong, between))
    _check_was([(str(name), value) for name, value in values.items()], pointer, "collection", wrong)
    if wrong.found:
        raise Invalid("The declaration is not valid.", errors=wrong.found)
    return [each for each in found if each is not None]


def read_one(
    name: str, value: Any, pointer: str = "", beside: Iterable[str] = (), between: Callable[[], None] = _no_rest
) -> Declared:
    """One declaration; its places are below `pointer`, its name is at `/name`. Raises Invalid."""
    wrong = Places()
    found = _read(name, value, pointer, {name, *beside}, wrong, between, name_at="/name")
    if wrong.found or found is None:
        raise Invalid("The declaration is not valid.", errors=wrong.found)
    return found


def plain(collection: Collection) -> dict[str, Any]:
    """The declaration in its canonical form, as `read` reads it, without defaults."""
    found: dict[str, Any] = {}
    if collection.description:
        found["description"] = collection.description
    found["fields"] = {field.name: _plain(field) for field in collection.fields}
    if collection.events:
        found["events"] = {event.name: _plain(event) for event in collection.events}
    if collection.questions:
        found["questions"] = {question.name: _plain(question) for question in collection.questions}
    return found


def _plain(thing: Field | OwnEvent | Question) -> dict[str, Any]:
    members: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(thing))
    return {name: value for name, value in members.items() if name != "name"}


def _read(
    name: Any,
    value: Any,
    pointer: str,
    known: set[Any],
    wrong: Places,
    between: Callable[[], None],
    name_at: str | None = None,
) -> Declared | None:
    before = len(wrong.found)
    at = pointer if name_at is None else name_at
    if _is_name(name, at, wrong) and (name != name.lower() or name in NO_COLLECTIONS):
        wrong.say(at, "name", f"A collection's name must be lowercase, and cannot be {' or '.join(NO_COLLECTIONS)}.")
    if not wrong.json(value, pointer):
        return None
    given = wrong.members(value, pointer, _PARTS, "A collection")
    if len(msgspec.json.encode(value)) > DECLARATION_BYTES_MAX:
        wrong.say(pointer, "too_long", f"A declaration can be at most {DECLARATION_BYTES_MAX:,} bytes of JSON.")
        return None
    description = _description(given, pointer, wrong)
    was = _was(given.get("was"), name, f"{pointer}/was", wrong)
    if was is not None and was != was.lower():
        wrong.say(
            f"{pointer}/was",
            "name",
            "A collection's name is always lowercase, so no collection can have had this name.",
        )
    declared = _map(given, "fields", FIELDS_MAX, pointer, wrong)
    fields = _fields(declared, f"{pointer}/fields", known, wrong, between)
    were = {
        each: called
        for each, entry in declared.items()
        if type(entry) is dict and (called := _was(entry.get("was"), each, f"{pointer}/fields/{each}/was", wrong))
    }
    _check_was(list(declared.items()), f"{pointer}/fields", "field", wrong)
    if len(wrong.found) > before:
        # The remaining checks are about the fields; if those are wrong, their errors would mislead.
        return None
    half = Collection(name=name, description=description, fields=fields)
    events = _events(_map(given, "events", EVENTS_MAX, pointer, wrong), half, f"{pointer}/events", wrong)
    questions = _questions(_map(given, "questions", QUESTIONS_MAX, pointer, wrong), half, f"{pointer}/questions", wrong)
    whole = msgspec.structs.replace(half, events=events, questions=questions)
    return Declared(collection=whole, was=was, fields_were=were)


def _description(given: dict[str, Any], pointer: str, wrong: Places) -> str:
    value = given.get("description")
    return "" if value is None else wrong.text(value, f"{pointer}/description", DESCRIPTION_CHARS_MAX)


def _is_name(name: Any, pointer: str, wrong: Places) -> bool:
    if type(name) is str and _NAME.fullmatch(name) and "__" not in name and not name.endswith("_"):
        return True
    wrong.say(pointer, "name", f"{NAME_RULE}; not {shown(name)}.")
    return False


def _was(value: Any, name: Any, pointer: str, wrong: Places) -> str | None:
    if value is None:
        return None
    if _is_name(value, pointer, wrong) and value == name:
        wrong.say(pointer, "contradiction", "`was` must be the previous name; this is the current one.")
    return str(value)


def _check_was(entries: list[tuple[str, Any]], pointer: str, what: str, wrong: Places) -> None:
    """Report previous names claimed twice, and names that are renamed in a circle."""
    seen: dict[str, str] = {}
    steps: dict[str, str] = {}
    for name, value in entries:
        was = value.get("was") if type(value) is dict else None
        if type(was) is not str:
            continue
        here = f"{pointer}/{escaped(name)}/was"
        folded = was.lower()
        if folded in seen:
            wrong.say(
                here,
                "contradiction",
                f"{seen[folded]} has `was: {was}` too, but a {what} can be renamed to only one name.",
            )
            continue
        seen[folded] = name
        steps[name.lower()] = earlier = folded
        while earlier in steps and earlier != name.lower():
            earlier = steps[earlier]
        if earlier == name.lower() and earlier != folded:
            detail = (
                "Names cannot be swapped in one declaration: first rename one of them to a free name, then to its "
                "final one."
            )
            wrong.say(here, "contradiction", detail)
            del steps[name.lower()]


def _map(given: dict[str, Any], part: str, count_max: int, pointer: str, wrong: Places) -> dict[str, Any]:
    value = given.get(part)
    if value is None:
        return {}
    if type(value) is not dict:
        wrong.say(
            f"{pointer}/{part}",
            "wrong_type",
            f"`{part}` must be an object whose keys are names, not {shown(value)}.",
        )
        return {}
    if len(value) > count_max:
        wrong.say(f"{pointer}/{part}", "too_many", f"There may be at most {count_max} {part}.")
        return {}
    return value


def _fields(
    declared: dict[str, Any], pointer: str, known: set[Any], wrong: Places, between: Callable[[], None]
) -> tuple[Field, ...]:
    found: list[Field] = []
    seen: dict[str, str] = {}
    for name, value in declared.items():
        between()
        here = f"{pointer}/{escaped(name)}"
        folded = name.lower()
        if _is_name(name, here, wrong):
            if folded in NO_FIELDS:
                one = "an" if folded[0] in "aeiou" else "a"
                wrong.say(
                    here, "name", f"The name {name} is taken: every item, or every list, already has {one} {folded}."
                )
            elif folded in seen:
                wrong.say(here, "name", f"{name} and {seen[folded]} differ only in case.")
        seen.setdefault(folded, name)
        field = read_field(name, value, here, wrong)
        if field is not None:
            if field.to is not None and field.to not in known:
                wrong.say(f"{here}/to", "reference", f"There is no collection {shown(field.to)} to refer to.")
            found.append(field)
    return tuple(found)


def _events(declared: dict[str, Any], half: Collection, pointer: str, wrong: Places) -> tuple[OwnEvent, ...]:
    found = []
    for name, value in declared.items():
        here = f"{pointer}/{escaped(name)}"
        if _is_name(name, here, wrong) and name.lower() in change.ENDINGS:
            wrong.say(here, "name", f"Every collection already has {half.name}.{name.lower()}; choose another name.")
        if type(value) is str:
            if not value.startswith("when "):
                wrong.say(here, "when", "Write `when FIELD becomes VALUE` or `when FIELD changes`.")
                continue
            value, at = {"when": value.removeprefix("when ").strip()}, here
        else:
            at = f"{here}/when"
        given = wrong.members(value, here, ("when", "filter", "description"), "An event")
        condition = {part: given[part] for part in ("when", "filter") if given.get(part) is not None}
        if len(condition) != 1:
            wrong.say(here, "incomplete", "An event needs exactly one of `when` and `filter`.")
            continue
        description = _description(given, here, wrong)
        event = OwnEvent(name=name, description=description, **condition)
        try:
            _check_event(event, half, at, f"{here}/filter")
        except Refused as refused:
            wrong.say(refused.pointer, refused.place.code, refused.detail)
        found.append(event)
    return tuple(found)


def _check_event(event: OwnEvent, half: Collection, when_at: str, filter_at: str) -> None:
    """Raise Refused if the condition is malformed or can never be true."""
    if event.when is None:
        filter.check(event.filter, filter_at)
        _check_names(event.filter, half, filter_at)
        return
    if type(event.when) is not str:
        raise Refused(
            when_at, "wrong_type", (f"`when` must be a string such as `done becomes true`, not {shown(event.when)}.")
        )
    when = change.read_when(event.when, half, when_at)
    field = half.field(when.field)
    if field is not None and not when.changes and when.value is not None and not fits(field, when.value):
        raise Refused(when_at, "when", f"{field.name} can never be {shown(when.value)}.")


def _check_names(pattern: Any, half: Collection, pointer: str) -> None:
    """Raise Refused if an event pattern names a field that items do not have."""
    for name, asked in pattern.items():
        here = f"{pointer}/{escaped(name)}"
        if name in ("data", "previous") and type(asked) is dict:
            for field in asked:
                if not field.startswith("$") and field not in OWN_FIELDS and half.field(field) is None:
                    raise Refused(f"{here}/{escaped(field)}", "filter", f"{half.name} has no field {shown(field)}.")
                _check_order(half.field(field), asked[field], f"{here}/{escaped(field)}")
        elif name == "$not":
            _check_names(asked, half, here)
        elif name in ("$or", "$and"):
            for index, each in enumerate(asked):
                _check_names(each, half, f"{here}/{index}")


def _check_order(field: Field | None, asked: Any, pointer: str) -> None:
    """Raise Refused if a pattern would compare a decimal as text."""
    if field is None or field.type != "decimal" or type(asked) is not dict:
        return
    for name, value in asked.items():
        if name in ("$gt", "$gte", "$lt", "$lte") and type(value) is str:
            detail = f"{field.name} is a decimal: compare it with a number, such as {name}: 100, not with a string."
            raise Refused(f"{pointer}/{escaped(name)}", "filter", detail)


def _questions(declared: dict[str, Any], half: Collection, pointer: str, wrong: Places) -> tuple[Question, ...]:
    found = []
    for name, value in declared.items():
        here = f"{pointer}/{escaped(name)}"
        if _is_name(name, here, wrong) and (name != name.lower() or name in NO_QUESTIONS):
            wrong.say(here, "name", f"A question's name must be lowercase, and cannot be {', '.join(NO_QUESTIONS)}.")
        at = here
        if type(value) is list:
            value = {"parameters": value}
        else:
            at = f"{here}/parameters"
        given = wrong.members(value, here, ("parameters", "description"), "A question")
        description = _description(given, here, wrong)
        parameters = given.get("parameters")
        if type(parameters) is not list or not 1 <= len(parameters) <= PARAMETERS_MAX:
            detail = f"A question must be a list of 1 to {PARAMETERS_MAX} parameters, such as [owner, due__gte]."
            wrong.say(at, "incomplete" if parameters is None else "wrong_type", detail)
            continue
        for index, parameter in enumerate(parameters):
            why = _no_parameter(parameter, half) or ("It appears twice." if parameter in parameters[:index] else None)
            if why:
                wrong.say(f"{at}/{index}", "question", why)
        if all(type(parameter) is str for parameter in parameters):
            found.append(Question(name=name, parameters=tuple(parameters), description=description))
    return tuple(found)


def _no_parameter(parameter: Any, half: Collection) -> str | None:
    """Why this is not a parameter of the collection's lists."""
    if type(parameter) is not str:
        return f"A parameter must be a string such as owner or due__gte, not {shown(parameter)}."
    name, dashes, operator = parameter.partition("__")
    field = asked_field(half, name)
    if field is None:
        return f"{half.name} has no field {shown(name)}."
    if not field.filterable:
        return f"{name} is not filterable, so it cannot be a parameter."
    known = operators_of(field)
    if dashes and operator not in known:
        return f"{name} is of type {field.type}, whose operators are {', '.join(known)}."
    return None
