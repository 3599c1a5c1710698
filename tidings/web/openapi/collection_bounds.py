"""What declarations of collections are checked for, as JSON Schema (see bounds.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidings.model.access import VERBS
from tidings.rules import decimals, declaration, declared_field
from tidings.rules.field import FORMATS, TYPES
from tidings.rules.jsontext import NO_NUL

Schema = dict[str, Any]
DESCRIPTION_CHARS_MAX = 2_000
_CHARS = declaration.DECLARATION_BYTES_MAX
"""No text of a declaration is longer than the whole may be."""


def _named(count_max: int, inner: Schema) -> Schema:
    names = {"pattern": _WORD}
    return {"type": "object", "maxProperties": count_max, "propertyNames": names, "additionalProperties": inner}


_WORD = f"^[A-Za-z](_?[A-Za-z0-9]){{0,{declaration.NAME_CHARS_MAX - 1}}}$"
_LOWER = f"^(?!({'|'.join(declaration.NO_COLLECTIONS)})$)[a-z](_?[a-z0-9]){{0,{declaration.NAME_CHARS_MAX - 1}}}$"
_FIELD_NAME: Schema = {"pattern": _WORD, "maxLength": declaration.NAME_CHARS_MAX}
NAME: Schema = {"pattern": _LOWER, "maxLength": declaration.NAME_CHARS_MAX}
"""Of collections."""
_WHEN: Schema = {"type": "string", "pattern": NO_NUL, "maxLength": _CHARS}
_TEXT: Schema = {"type": ["string", "null"], "pattern": NO_NUL, "maxLength": DESCRIPTION_CHARS_MAX}
_FLAG: Schema = {"type": ["boolean", "null"]}


def _digits(least: int, help: str) -> Schema:
    most = decimals.DIGITS_MAX
    return {"type": ["integer", "null"], "format": "int32", "minimum": least, "maximum": most, "description": help}


_BOUND: Schema = {"type": ["number", "string", "null"], "pattern": NO_NUL, "maxLength": 40}
_VALUES: Schema = {
    "type": "array",
    "items": {"type": "string", "pattern": NO_NUL, "minLength": 1, "maxLength": declared_field.VALUE_CHARS_MAX},
    "minItems": 1,
    "maxItems": declared_field.VALUES_MAX,
    "uniqueItems": True,
}
_TO: Schema = {"type": "string", **NAME, "description": "The collection that a reference points into."}
_NULL: Schema = {"type": "null"}
_ATTRIBUTES: dict[str, Schema] = {
    "description": _TEXT,
    "required": _FLAG,
    "default": {"description": "What items have that are made without one."},
    "unique": _FLAG,
    "min": {**_BOUND, "description": "The least value; characters, elements; a time."},
    "max": {**_BOUND, "description": "The greatest value; characters, elements; a time."},
    "pattern": {
        "type": ["string", "null"],
        "pattern": NO_NUL,
        "maxLength": declared_field.PATTERN_CHARS_MAX,
        "description": "A regular expression without look-around.",
    },
    "format": {"enum": [*FORMATS, None]},
    "max_digits": _digits(1, "How many digits a decimal has at most."),
    "scale": _digits(0, "How many of them are after the point."),
    "values": _NULL,
    "to": _NULL,
    "schema": {
        "type": ["object", "null"],
        "description": "The JSON Schema of an object, or of each element of an array.",
    },
    "filterable": _FLAG,
    "sortable": _FLAG,
    "searchable": _FLAG,
    "example": {},
    "was": {"type": ["string", "null"], **_FIELD_NAME, "description": "What the field was called before."},
}
_PLAIN_TYPES = [each for each in TYPES if each not in ("enum", "reference")]


def _field(types: Sequence[str], **needed: Schema) -> Schema:
    properties = {"type": {"enum": types}, **_ATTRIBUTES, **needed}
    return {"type": "object", "required": ["type", *needed], "additionalProperties": False, "properties": properties}


_FIELD: Schema = {
    "anyOf": [
        {"enum": _PLAIN_TYPES},
        _field(_PLAIN_TYPES),
        _field(["enum"], values=_VALUES),
        _field(["reference"], to=_TO),
    ]
}


_WHEN_TEXT: Schema = {**_WHEN, "pattern": r"^when [^\x00]*$"}


def _event(**needed: Schema) -> Schema:
    properties = {"when": _NULL, "filter": _NULL, "description": _TEXT, **needed}
    return {"type": "object", "required": [*needed], "additionalProperties": False, "properties": properties}


_EVENT: Schema = {
    "anyOf": [_WHEN_TEXT, _event(when=_WHEN), _event(filter={"type": "object"})],
}
_PARAMETERS: Schema = {
    "type": "array",
    "items": {"type": "string", "pattern": NO_NUL, "maxLength": declaration.NAME_CHARS_MAX + 16},
    "minItems": 1,
    "maxItems": declaration.PARAMETERS_MAX,
    "uniqueItems": True,
}
_QUESTION: Schema = {
    "type": "object",
    "required": ["parameters"],
    "properties": {"parameters": _PARAMETERS, "description": _TEXT},
    "additionalProperties": False,
}
_FIELDS = _named(declaration.FIELDS_MAX, _FIELD)
_EVENTS = _named(declaration.EVENTS_MAX, _EVENT)
_QUESTIONS = _named(declaration.QUESTIONS_MAX, {"anyOf": [_PARAMETERS, _QUESTION]})
_COLLECTION: dict[str, Schema] = {
    "was": NAME,
    "description": {"pattern": NO_NUL, "maxLength": DESCRIPTION_CHARS_MAX},
    "fields": _FIELDS,
    "events": _EVENTS,
    "questions": _QUESTIONS,
}


def _part(**properties: Schema) -> Schema:
    """Of a merge patch: what is not named stays as it is."""
    return {"type": "object", "additionalProperties": False, "properties": properties}


_PART_OF_FIELD = _part(
    **{
        **_ATTRIBUTES,
        "type": {"enum": [*TYPES, None]},
        "values": {**_VALUES, "type": ["array", "null"]},
        "to": {**_TO, "type": ["string", "null"]},
    }
)
_PART_OF_EVENT = _part(
    when={**_WHEN, "type": ["string", "null"]}, filter={"type": ["object", "null"]}, description=_TEXT
)
_PART_OF_QUESTION = _part(parameters=_PARAMETERS, description=_TEXT)


def _or_null(schema: Schema) -> Schema:
    """In a file of declarations a part may be there without anything in it."""
    return {**schema, "type": ["object", "null"]}


_COLLECTIONS: Schema = {
    "maxProperties": declaration.COLLECTIONS_MAX,
    "propertyNames": {"pattern": _LOWER},
    "additionalProperties": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "was": {"type": ["string", "null"], **NAME},
            "description": _TEXT,
            "fields": _or_null(_FIELDS),
            "events": _or_null(_EVENTS),
            "questions": _or_null(_QUESTIONS),
        },
    },
}

_PLAN: Schema = {"pattern": "^plan_[0-9a-f]{24}$", "maxLength": 29}
_FIELD_NAMES: Schema = {
    "items": {"type": "string", **_FIELD_NAME},
    "maxItems": declaration.FIELDS_MAX,
    "uniqueItems": True,
}

BOUNDS: dict[str, dict[str, Schema]] = {
    "NewCollection": {**_COLLECTION, "name": NAME},
    "CollectionBody": _COLLECTION,
    "PlanBody": {"collections": _COLLECTIONS},
    "ApplyBody": {"collections": _COLLECTIONS, "plan": _PLAN},
    "CollectionPatch": {
        "was": NAME,
        "fields": _named(declaration.FIELDS_MAX, {"anyOf": [_NULL, {"enum": list(TYPES)}, _PART_OF_FIELD]}),
        "events": _named(declaration.EVENTS_MAX, {"anyOf": [_NULL, _WHEN_TEXT, _PART_OF_EVENT]}),
        "questions": _named(declaration.QUESTIONS_MAX, {"anyOf": [_NULL, _PARAMETERS, _PART_OF_QUESTION]}),
        "description": {"pattern": NO_NUL, "maxLength": DESCRIPTION_CHARS_MAX},
    },
    "CollectionView": {
        "name": NAME,
        "description": {"pattern": NO_NUL, "maxLength": DESCRIPTION_CHARS_MAX},
        "indexes": {"enum": ["ready", "building"]},
    },
    "Permit": {
        "collection": NAME,
        **dict.fromkeys(("read", "write", "filter", "sort", "questions"), _FIELD_NAMES),
        "verbs": {"maxItems": len(VERBS), "uniqueItems": True},
    },
    "Shown": {
        "plan": _PLAN,
        "loses": {"maxLength": 1_000_000},
        "steps": {"maxItems": 1_000_000},
        "refusals": {"maxItems": 1_000_000},
        "stays": {"items": {"type": "string", **NAME}, "maxItems": declaration.COLLECTIONS_MAX},
    },
    "StepShown": {"do": {"maxLength": 40}, "collection": NAME, "says": {"maxLength": 10_000}},
}
"""By the name of a struct and of its field."""
