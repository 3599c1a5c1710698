"""What declarations of collections are checked for, as JSON Schema (see bounds.py)."""

from __future__ import annotations

from typing import Any

from tidings.rules import declaration
from tidings.rules.field import FORMATS, TYPES

Schema = dict[str, Any]
DESCRIPTION_CHARS_MAX = 2_000


def _named(count_max: int, inner: Schema) -> Schema:
    names = {"pattern": _WORD}
    return {"type": "object", "maxProperties": count_max, "propertyNames": names, "additionalProperties": inner}


_WORD = f"^[A-Za-z](_?[A-Za-z0-9]){{0,{declaration.NAME_CHARS_MAX - 1}}}$"
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
        "min": {"type": ["number", "string"], "description": "The least value; characters, elements; a time."},
        "max": {"type": ["number", "string"], "description": "The greatest value; characters, elements; a time."},
        "pattern": {"type": "string", "description": "A regular expression without look-around."},
        "format": {"enum": list(FORMATS)},
        "values": {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
        "to": {"type": "string", "description": "The collection that a reference points into."},
        "schema": {"type": "object", "description": "The JSON Schema of an object, or of each element of an array."},
        "filterable": _FLAG,
        "sortable": _FLAG,
        "searchable": _FLAG,
        "example": {},
        "was": {"type": "string", "description": "What the field was called before."},
    },
}
_EVENT: Schema = {
    "type": "object",
    "properties": {"when": {"type": "string"}, "filter": {"type": "object"}, "description": _TEXT},
    "additionalProperties": False,
}
_PARAMETERS: Schema = {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True}
_QUESTION: Schema = {
    "type": "object",
    "required": ["parameters"],
    "properties": {"parameters": _PARAMETERS, "description": _TEXT},
    "additionalProperties": False,
}
_FIELDS = _named(declaration.FIELDS_MAX, {"anyOf": [{"enum": list(TYPES)}, _FIELD]})
_EVENTS = _named(declaration.EVENTS_MAX, {"anyOf": [{"type": "string", "pattern": "^when "}, _EVENT]})
_QUESTIONS = _named(declaration.QUESTIONS_MAX, {"anyOf": [_PARAMETERS, _QUESTION]})
_COLLECTION: dict[str, Schema] = {
    "description": {"maxLength": DESCRIPTION_CHARS_MAX},
    "fields": _FIELDS,
    "events": _EVENTS,
    "questions": _QUESTIONS,
}

BOUNDS: dict[str, dict[str, Schema]] = {
    "NewCollection": {**_COLLECTION, "name": {"pattern": _WORD, "maxLength": declaration.NAME_CHARS_MAX}},
    "CollectionBody": _COLLECTION,
    "PlanBody": {"collections": {"maxProperties": declaration.COLLECTIONS_MAX}},
    "ApplyBody": {"collections": {"maxProperties": declaration.COLLECTIONS_MAX}},
}
"""By the name of a struct and of its field."""
