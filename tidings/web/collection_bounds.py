"""What declarations of collections are checked for, as JSON Schema (see bounds.py)."""

from __future__ import annotations

from typing import Any

from tidings.model.access import VERBS
from tidings.rules import declaration
from tidings.rules.field import FORMATS, TYPES

Schema = dict[str, Any]
DESCRIPTION_CHARS_MAX = 2_000
_CHARS = declaration.DECLARATION_BYTES_MAX
"""No text of a declaration is longer than the whole may be."""
_ELEMENTS = declaration.DECLARATION_BYTES_MAX // 3


def _named(count_max: int, inner: Schema) -> Schema:
    names = {"pattern": _WORD}
    return {"type": "object", "maxProperties": count_max, "propertyNames": names, "additionalProperties": inner}


_WORD = f"^[A-Za-z](_?[A-Za-z0-9]){{0,{declaration.NAME_CHARS_MAX - 1}}}$"
_NAMED: Schema = {"type": "string", "pattern": _WORD, "maxLength": declaration.NAME_CHARS_MAX}
_WHEN: Schema = {"type": "string", "maxLength": _CHARS}
_TEXT: Schema = {"type": "string", "maxLength": DESCRIPTION_CHARS_MAX}
_FLAG: Schema = {"type": "boolean"}
_FIELD: Schema = {
    "type": "object",
    "required": ["type"],
    "additionalProperties": False,
    "properties": {
        "type": {"enum": list(TYPES)},
        "description": _TEXT,
        "required": _FLAG,
        "default": {"description": "What items have that are made without one."},
        "unique": _FLAG,
        "min": {
            "type": ["number", "string"],
            "maxLength": 40,
            "description": "The least value; characters, elements; a time.",
        },
        "max": {
            "type": ["number", "string"],
            "maxLength": 40,
            "description": "The greatest value; characters, elements; a time.",
        },
        "pattern": {"type": "string", "maxLength": _CHARS, "description": "A regular expression without look-around."},
        "format": {"enum": list(FORMATS)},
        "values": {
            "type": "array",
            "items": {"type": "string", "maxLength": _CHARS},
            "minItems": 1,
            "maxItems": _ELEMENTS,
            "uniqueItems": True,
        },
        "to": {**_NAMED, "description": "The collection that a reference points into."},
        "schema": {"type": "object", "description": "The JSON Schema of an object, or of each element of an array."},
        "filterable": _FLAG,
        "sortable": _FLAG,
        "searchable": _FLAG,
        "example": {},
        "was": {**_NAMED, "description": "What the field was called before."},
    },
}
_EVENT: Schema = {
    "type": "object",
    "properties": {"when": _WHEN, "filter": {"type": "object"}, "description": _TEXT},
    "additionalProperties": False,
}
_PARAMETERS: Schema = {
    "type": "array",
    "items": {"type": "string", "maxLength": declaration.NAME_CHARS_MAX + 16},
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
_FIELDS = _named(declaration.FIELDS_MAX, {"anyOf": [{"enum": list(TYPES)}, _FIELD]})
_EVENTS = _named(declaration.EVENTS_MAX, {"anyOf": [{**_WHEN, "pattern": "^when "}, _EVENT]})
_QUESTIONS = _named(declaration.QUESTIONS_MAX, {"anyOf": [_PARAMETERS, _QUESTION]})
_NAME: Schema = {"pattern": _WORD, "maxLength": declaration.NAME_CHARS_MAX}
_COLLECTION: dict[str, Schema] = {
    "was": _NAME,
    "description": {"maxLength": DESCRIPTION_CHARS_MAX},
    "fields": _FIELDS,
    "events": _EVENTS,
    "questions": _QUESTIONS,
}

_PLAN: Schema = {"pattern": "^plan_[0-9a-f]{24}$", "maxLength": 29}
_FIELD_NAMES: Schema = {"items": {"type": "string", **_NAME}, "maxItems": declaration.FIELDS_MAX}

BOUNDS: dict[str, dict[str, Schema]] = {
    "NewCollection": {**_COLLECTION, "name": _NAME},
    "CollectionBody": _COLLECTION,
    "PlanBody": {"collections": {"maxProperties": declaration.COLLECTIONS_MAX}},
    "ApplyBody": {"collections": {"maxProperties": declaration.COLLECTIONS_MAX}, "plan": _PLAN},
    "CollectionPatch": {"was": _NAME, "description": {"maxLength": DESCRIPTION_CHARS_MAX}},
    "CollectionView": {
        "name": _NAME,
        "description": {"maxLength": DESCRIPTION_CHARS_MAX},
        "indexes": {"enum": ["ready", "building"]},
    },
    "Permit": {
        "collection": _NAME,
        **dict.fromkeys(("read", "write", "filter", "sort", "questions"), _FIELD_NAMES),
        "verbs": {"maxItems": len(VERBS)},
    },
    "Shown": {
        "plan": _PLAN,
        "loses": {"maxLength": 1_000_000},
        "steps": {"maxItems": 1_000_000},
        "refusals": {"maxItems": 1_000_000},
        "stays": {"items": {"type": "string", **_NAME}, "maxItems": declaration.COLLECTIONS_MAX},
    },
    "StepShown": {"do": {"maxLength": 40}, "collection": _NAME, "says": {"maxLength": 10_000}},
}
"""By the name of a struct and of its field."""
