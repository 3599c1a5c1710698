"""What bodies are checked for beyond their types, as JSON Schema: the document tells it, those who check keep it."""

from __future__ import annotations

from typing import Any

from tidings.control import endpoint_form as form
from tidings.control.endpoints import OVERLAP_SECONDS_MAX, REASON_CHARS_MAX
from tidings.intake.publish import SUBJECT_CHARS_MAX
from tidings.model.access import SCOPES
from tidings.rules import declaration, events_match, limit, permit, retry
from tidings.rules.field import FORMATS, TYPES

Schema = dict[str, Any]

NAME_CHARS_MAX = 200
DESCRIPTION_CHARS_MAX = 2_000
_PART = "[A-Za-z0-9_-]+"
_TYPE: Schema = {
    "pattern": rf"^(?!endpoint\.){_PART}(\.{_PART})*$",
    "maxLength": events_match.TYPE_CHARS_MAX,
    "examples": ["tasks.completed"],
}
_TENANT: Schema = {"pattern": "^[A-Za-z0-9_-]{1,64}$"}
_TIME: Schema = {"format": "date-time"}
_NAME: Schema = {"maxLength": NAME_CHARS_MAX}
_SECRET: Schema = {"pattern": "^(whsec|whsk)_"}


def _between(low: float, high: float) -> Schema:
    return {"minimum": low, "maximum": high}


_ENDPOINT: dict[str, Schema] = {
    "url": {"format": "uri", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://"},
    "description": {"maxLength": form.DESCRIPTION_CHARS_MAX},
    "events": {"minItems": 1, "maxItems": events_match.PATTERNS_MAX},
    "headers": {"maxProperties": form.HEADERS_MAX},
    "rate": _between(0.001, form.RATE_MAX),
    "max_in_flight": _between(1, form.IN_FLIGHT_MAX),
    "order_max_age_seconds": _between(1, form.ORDER_AGE_SECONDS_MAX),
    "fields": {"minItems": 1, "maxItems": form.FIELDS_MAX},
    "timeout_seconds": _between(1, form.TIMEOUT_SECONDS_MAX),
    "retry_delays_seconds": {"minItems": 1, "maxItems": retry.DELAYS_MAX},
}
_BATCH = {"max_events": _between(1, form.BATCH_EVENTS_MAX), "max_ms": _between(1, form.BATCH_MS_MAX)}
_EVENT_TYPE: dict[str, Schema] = {"description": {"maxLength": DESCRIPTION_CHARS_MAX}}


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
    "NewEvent": {
        "type": _TYPE,
        "data": {"type": "object"},
        "subject": {"minLength": 1, "maxLength": SUBJECT_CHARS_MAX},
        "id": {"pattern": "^[A-Za-z0-9_.:-]{1,64}$"},
        "time": _TIME,
        "tenant": _TENANT,
    },
    "NewForm": {**_ENDPOINT, "secret": _SECRET},
    "EndpointPatch": _ENDPOINT,
    "Batch": _BATCH,
    "BatchPatch": _BATCH,
    "PauseBody": {"reason": {"maxLength": REASON_CHARS_MAX}},
    "RotateBody": {"overlap_seconds": _between(0, OVERLAP_SECONDS_MAX), "secret": _SECRET},
    "NewEventType": {**_EVENT_TYPE, "name": _TYPE},
    "EventTypeBody": _EVENT_TYPE,
    "EventTypePatch": _EVENT_TYPE,
    "NewCollection": {**_COLLECTION, "name": {"pattern": _WORD, "maxLength": declaration.NAME_CHARS_MAX}},
    "CollectionBody": _COLLECTION,
    "PlanBody": {"collections": {"maxProperties": declaration.COLLECTIONS_MAX}},
    "ApplyBody": {"collections": {"maxProperties": declaration.COLLECTIONS_MAX}},
    "NewReplay": {"since": _TIME, "until": _TIME},
    "NewTenant": {"id": _TENANT, "name": _NAME},
    "TenantPatch": {"name": _NAME},
    "NewKey": {
        "scopes": {"maxItems": len(SCOPES), "items": {"type": "string", "enum": list(SCOPES)}},
        "permits": {"maxItems": permit.PERMITS_MAX},
        "name": _NAME,
        "tenant": _TENANT,
        "limits": {"maxItems": limit.LIMITS_MAX},
        "expires": _TIME,
    },
    "CallLimit": {
        "calls": _between(1, limit.CALLS_MAX),
        "seconds": _between(1, limit.WINDOW_SECONDS_MAX),
    },
}
"""By the name of a struct and of its field. Added to the field's own schema."""


def with_bounds(schemas: dict[str, Any]) -> dict[str, Any]:
    """The schemas of the structs, with their bounds."""
    for name, fields in BOUNDS.items():
        if name in schemas:
            for field, bounds in fields.items():
                schemas[name]["properties"][field] |= bounds
    return schemas
