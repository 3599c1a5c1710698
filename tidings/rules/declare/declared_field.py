"""Read one field of a declaration: its attributes, and which of them contradict one another."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from msgspec.structs import replace

from tidings.model.collection import Field, FieldType
from tidings.model.errors import Invalid
from tidings.rules.items.field import (
    FORMATS,
    INDEXED_CHARS,
    INTEGER_MAX,
    INTEGER_MIN,
    TYPES,
    field_schema,
    is_bound,
    is_indexed,
    may_have,
    out_of_bounds,
    types_with,
)
from tidings.rules.reading import decimals, exact
from tidings.rules.reading.places import Places, shown
from tidings.rules.reading.schema import checked, compiled

DESCRIPTION_CHARS_MAX = 2_000
PATTERN_CHARS_MAX = 1_000
PATTERNS_KNOWN_MAX = 2_000
VALUES_MAX = 500
VALUE_CHARS_MAX = 200
STRING_CHARS_MAX = 1_000_000
ELEMENTS_MAX = 100_000
DIALECT = "https://json-schema.org/draft/2020-12/schema"

ATTRIBUTES = (
    *("type", "description", "required", "default", "unique", "min", "max", "pattern", "format"),
    *("max_digits", "scale", "values", "to", "schema", "filterable", "sortable", "searchable", "example"),
    "was",
)
_EXAMPLES = {"date": "2026-11-21", "datetime": "2026-11-21T01:02:03Z", "decimal": '"12.30"'}
"""Examples for the types whose `min` and `max` are strings."""
_FLAGS = ("required", "unique", "filterable", "sortable", "searchable")


def read_field(name: str, value: Any, pointer: str, wrong: Places) -> Field | None:
    """A field from its declaration, which may be only its type; None if that is unknown. Errors are added to `wrong`.

    `was`, and whether the collection of `to` exists, are checked in declaration.py.
    """
    if type(value) is str:
        value = {"type": value}
    given = wrong.members(value, pointer, ATTRIBUTES, "A field")
    kind = given.get("type")
    if kind not in TYPES:
        if type(value) is dict:
            detail = f"A field needs a type: one of {', '.join(TYPES)}" + (f"; not {shown(kind)}." if kind else ".")
            wrong.say(f"{pointer}/type" if kind is not None else pointer, "type", detail)
        return None
    before = len(wrong.found)
    attributes: dict[str, Any] = {"name": name, "type": kind}
    for attribute, setting in given.items():
        if attribute in ("type", "was") or setting is None:
            continue
        here = f"{pointer}/{attribute}"
        if not may_have(attribute, kind) and setting is not False:
            detail = (
                f"A field of type {kind} cannot have `{attribute}`; only {' and '.join(types_with(attribute))} can."
            )
            wrong.say(here, "contradiction", detail)
        else:
            attributes[attribute] = _attribute(attribute, setting, kind, here, wrong)
    if len(wrong.found) > before:
        return None
    field = Field(**attributes)
    _check(field, given, pointer, wrong)
    return _in_one_form(field) if len(wrong.found) == before else None


def _in_one_form(field: Field) -> Field:
    """The field with its values in the form that items show."""
    if field.type == "integer" and field.default is not None:
        return replace(field, default=int(field.default))
    if field.type != "decimal":
        return field
    values = {name: getattr(field, name) for name in ("default", "example", "min", "max")}
    scale = decimals.scale(field)
    texts = {name: decimals.shown(decimals.read(value), scale) for name, value in values.items() if value is not None}
    return replace(field, **texts)


def fits(field: Field, value: Any) -> bool:
    """Whether the field may have this value, which is not null."""
    is_valid = bool(compiled(field_schema(field)).is_valid(value)) and out_of_bounds(field, value) is None
    return is_valid and exact.fits(field.type, value)


def _attribute(attribute: str, setting: Any, kind: FieldType, here: str, wrong: Places) -> Any:
    """One attribute on its own, in the struct's form."""
    if attribute == "description":
        return wrong.text(setting, here, DESCRIPTION_CHARS_MAX)
    if attribute in _FLAGS:
        if type(setting) is not bool:
            wrong.say(here, "wrong_type", f"It must be true or false, not {shown(setting)}.")
        return setting
    if kind == "decimal" and type(setting) is int and attribute in ("min", "max", "default", "example"):
        # A whole number is exact even without quotes.
        setting = str(setting)
    if attribute in ("min", "max"):
        return _bound(setting, kind, here, wrong)
    if attribute in ("max_digits", "scale"):
        return _digits(attribute, setting, here, wrong)
    if attribute == "pattern":
        return _pattern(setting, here, wrong)
    if attribute == "format":
        if setting not in FORMATS:
            wrong.say(here, "format", f"{shown(setting)} is not a known format; use one of {', '.join(FORMATS)}.")
        return setting
    if attribute == "values":
        return _values(setting, here, wrong)
    if attribute == "to":
        return wrong.text(setting, here, DESCRIPTION_CHARS_MAX)
    return _schema(setting, here, wrong) if attribute == "schema" else setting


def _bound(setting: Any, kind: FieldType, here: str, wrong: Places) -> Any:
    if kind in ("string", "array"):
        top = STRING_CHARS_MAX if kind == "string" else ELEMENTS_MAX
        if type(setting) is not int or not 0 <= setting <= top:
            what = "characters" if kind == "string" else "elements"
            wrong.say(here, "bound", f"It must be a number of {what} from 0 to {top:,}, not {shown(setting)}.")
    elif kind in _EXAMPLES:
        if not is_bound(kind, setting):
            such = _EXAMPLES[kind]
            wrong.say(here, "bound", f"It must be a {kind} such as {such}, not {shown(setting)}.")
    elif kind == "integer":
        if type(setting) is not int or not INTEGER_MIN <= setting <= INTEGER_MAX:
            wrong.say(here, "bound", f"It must be a 64-bit integer, not {shown(setting)}.")
    elif type(setting) not in (int, float):
        wrong.say(here, "bound", f"It must be a number, not {shown(setting)}.")
    elif not exact.fits(kind, setting):
        wrong.say(here, "not_exact", f"{setting} {exact.lost(str(setting))}.")
    return setting


def _digits(attribute: str, setting: Any, here: str, wrong: Places) -> Any:
    low = 1 if attribute == "max_digits" else 0
    if type(setting) is not int or not low <= setting <= decimals.DIGITS_MAX:
        wrong.say(
            here, "bound", (f"It must be a number of digits from {low} to {decimals.DIGITS_MAX}, not {shown(setting)}.")
        )
    return setting


def _pattern(setting: Any, here: str, wrong: Places) -> Any:
    text = wrong.text(setting, here, PATTERN_CHARS_MAX)
    detail = _why_no_pattern(text)
    if detail is not None:
        wrong.say(here, "pattern", detail)
    return text


@lru_cache(PATTERNS_KNOWN_MAX)
def _why_no_pattern(text: str) -> str | None:
    """Why strings cannot have this pattern; None if they can.

    Cached, as a file is planned and applied several times in a row.
    """
    try:
        checked({"type": "string", "pattern": text})
    except Invalid as refused:
        if "patterns for one text" in refused.detail:
            return refused.errors[0].detail
        return (
            "It is not a regular expression that can run in linear time: lookarounds and backreferences are not "
            "allowed."
        )
    return None


def _values(setting: Any, here: str, wrong: Places) -> tuple[str, ...]:
    if type(setting) is not list or not 1 <= len(setting) <= VALUES_MAX:
        wrong.say(here, "wrong_value", f"It must be a list of 1 to {VALUES_MAX} distinct strings.")
        return ()
    seen: set[str] = set()
    for index, value in enumerate(setting):
        if type(value) is not str or not 1 <= len(value) <= VALUE_CHARS_MAX:
            detail = f"A value must be a string of 1 to {VALUE_CHARS_MAX} characters; put {shown(value)} in quotes."
            wrong.say(f"{here}/{index}", "wrong_type", detail)
        elif value in seen:
            wrong.say(f"{here}/{index}", "repeated", f"{value!r} appears twice.")
        else:
            seen.add(value)
    return tuple(value for value in setting if type(value) is str)


def _schema(setting: Any, here: str, wrong: Places) -> Any:
    if type(setting) is not dict:
        wrong.say(here, "wrong_type", f"It must be a JSON Schema, which is an object, not {shown(setting)}.")
        return None
    if setting.get("$schema", DIALECT) != DIALECT:
        wrong.say(
            f"{here}/$schema",
            "schema",
            f"Only JSON Schema 2020-12 is supported: write {DIALECT}, or leave `$schema` out.",
        )
    elif _has_id(setting):
        wrong.say(here, "schema", "A schema inside a declaration cannot have an `$id`: nothing could refer to it.")
    else:
        try:
            checked(setting)
        except Invalid as refused:
            place = refused.errors[0]
            wrong.say(here + (place.pointer or "").removeprefix("/schema"), "schema", place.detail)
    return setting


def _has_id(schema: Any) -> bool:
    if type(schema) is dict:
        return any((name == "$id" and type(value) is str) or _has_id(value) for name, value in schema.items())
    return type(schema) is list and any(map(_has_id, schema))


def _check(field: Field, given: dict[str, Any], pointer: str, wrong: Places) -> None:
    """Attributes that contradict one another."""
    if field.type == "enum" and not field.values:
        wrong.say(pointer, "incomplete", "An enum needs `values`, such as [low, high].")
        return
    if field.type == "reference" and field.to is None:
        wrong.say(pointer, "incomplete", "A reference needs `to`, the name of the collection it refers to.")
        return
    if field.type == "decimal" and decimals.scale(field) > decimals.max_digits(field):
        detail = f"`scale` {decimals.scale(field)} is greater than `max_digits` {decimals.max_digits(field)}."
        wrong.say(f"{pointer}/scale", "contradiction", detail)
        return
    for bound in ("min", "max") if field.type == "decimal" else ():
        if (value := getattr(field, bound)) is not None and not compiled(field_schema(field)).is_valid(value):
            wrong.say(f"{pointer}/{bound}", "bound", f"It must be {decimals.rule(field)}, not {shown(value)}.")
            return
    if field.min is not None and field.max is not None and _is_over(field):
        wrong.say(f"{pointer}/min", "contradiction", f"`min` {field.min} is greater than `max` {field.max}.")
        return
    if field.type == "string" and is_indexed(field) and isinstance(field.max, int) and field.max > INDEXED_CHARS:
        detail = f"A string that is unique, filterable or sortable can be at most {INDEXED_CHARS} characters long."
        wrong.say(f"{pointer}/max", "contradiction", detail)
        return
    if field.required and "default" in given and given["default"] is None:
        detail = "A required field is never null, so null cannot be its default; leave the default out."
        wrong.say(f"{pointer}/default", "contradiction", detail)
    if field.default is not None and field.unique:
        detail = "A unique field cannot have a default: two items would have the same value."
        wrong.say(f"{pointer}/default", "contradiction", detail)
    if field.default is not None and field.type == "reference":
        wrong.say(
            f"{pointer}/default",
            "contradiction",
            "A reference cannot have a default: the item that it refers to may not exist.",
        )
    bare = Field(
        **{name: getattr(field, name) for name in Field.__struct_fields__ if name not in ("default", "example")}
    )
    for attribute in ("default", "example"):
        value = getattr(field, attribute)
        if value is not None and not fits(bare, value):
            detail = f"The {attribute} {shown(value)} is not valid for this field."
            if not exact.fits(field.type, value):
                detail = f"{shown(value)} {exact.lost(str(value))}."
            elif field.type == "decimal":
                detail = f"It must be {decimals.rule(field)}, not {shown(value)}."
            wrong.say(f"{pointer}/{attribute}", attribute, detail)


def _is_over(field: Field) -> bool:
    if field.type not in _EXAMPLES:
        low: Any = field.min
        return bool(low > field.max)
    top = Field(name=field.name, type=field.type, max=field.max)
    return out_of_bounds(top, field.min) is not None
