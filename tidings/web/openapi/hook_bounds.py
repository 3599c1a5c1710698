"""The limits of hooks, forms, receipts and schemes in addition to their types, as JSON Schema."""

from __future__ import annotations

from typing import Any

from tidings.control.forms import body as form_body
from tidings.control.hooks.body import (
    DESCRIPTION_CHARS_MAX,
    SECRET_CHARS_MAX,
    TOLERANCE_SECONDS_MAX,
    TOLERANCE_SECONDS_MIN,
)
from tidings.model.ids import ALPHABET, ID_CHARS
from tidings.rules.event_types import TYPE_CHARS_MAX
from tidings.rules.forms import fields as form_fields
from tidings.rules.hooks import naming
from tidings.rules.network import origin
from tidings.rules.reading.jsontext import INTEGER_MAX, NO_NUL
from tidings.rules.schemes.verifier import SECRETS_MAX
from tidings.rules.templates.program import SOURCE_CHARS_MAX

Schema = dict[str, Any]

_TEXT: Schema = {"maxLength": 2**31 - 1, "pattern": NO_NUL}
_PART = "([A-Za-z0-9_-]|\\{type\\})+"
_HOOK_ID: Schema = {"pattern": rf"^hook_[0-7][{ALPHABET}]{{{ID_CHARS - 1}}}$", "maxLength": 5 + ID_CHARS}
_RECEIPT_ID: Schema = {"pattern": rf"^rcp_[0-7][{ALPHABET}]{{{ID_CHARS - 1}}}$", "maxLength": 4 + ID_CHARS}
_FORM_ID: Schema = {"pattern": rf"^form_[0-7][{ALPHABET}]{{{ID_CHARS - 1}}}$", "maxLength": 5 + ID_CHARS}
_PATH: Schema = {"pattern": f"^{naming.PATH_PATTERN}$", "maxLength": naming.PATH_CHARS_MAX}
_PLAN: Schema = {"pattern": "^plan_[0-9a-f]{24}$", "maxLength": 29}
_HOOK: dict[str, Schema] = {
    "path": _PATH,
    "scheme": {"maxLength": 100, "pattern": NO_NUL},
    "settings": {"values": _TEXT},
    "description": {"maxLength": DESCRIPTION_CHARS_MAX, "pattern": NO_NUL},
    "type": {
        "pattern": rf"^((?!endpoint\.){_PART}(\.{_PART})*|[^\x00]*\{{[{{%][^\x00]*)$",
        "maxLength": SOURCE_CHARS_MAX,
        "description": "An event type, which can contain `{type}`, or a template for an event type.",
    },
    "key": {"maxLength": SOURCE_CHARS_MAX, "pattern": NO_NUL},
    "subject": {"maxLength": 1_000, "pattern": NO_NUL},
    "methods": {"minItems": 1, "maxItems": 5},
    "tolerance_seconds": {"minimum": TOLERANCE_SECONDS_MIN, "maximum": TOLERANCE_SECONDS_MAX},
    "max_bytes": {"minimum": 1, "maximum": INTEGER_MAX},
}
_SECRETS: Schema = {
    "maxItems": SECRETS_MAX,
    "items": {"type": "string", "minLength": 1, "maxLength": SECRET_CHARS_MAX},
}
_RECEIPT: dict[str, Schema] = {
    "id": _RECEIPT_ID,
    "hook_id": _HOOK_ID,
    "form_id": _FORM_ID,
    "client": _TEXT,
    "method": _TEXT,
    "target": _TEXT,
    "bytes": {"minimum": 0, "maximum": INTEGER_MAX},
}
_LINE = "^[^\\x00-\\x1f\\x7f]*$"
_PROSE = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
_FORM: dict[str, Schema] = {
    "path": _PATH,
    "fields": {
        "minProperties": 1,
        "maxProperties": form_fields.FIELDS_MAX,
        "propertyNames": {"pattern": f"^{form_fields.NAME_PATTERN}$", "maxLength": form_fields.NAME_CHARS_MAX},
    },
    "title": {"maxLength": form_body.TITLE_CHARS_MAX, "pattern": _LINE},
    "description": {"maxLength": form_body.TEXT_CHARS_MAX, "pattern": _PROSE},
    "submit": {"maxLength": form_body.SUBMIT_CHARS_MAX, "pattern": _LINE},
    "thanks": {"maxLength": form_body.TEXT_CHARS_MAX, "pattern": _PROSE},
    "lang": {"pattern": f"^{form_body.LANG_PATTERN}$", "maxLength": 30},
    "type": {"pattern": r"^(?!endpoint\.)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$", "maxLength": TYPE_CHARS_MAX},
    "subject": {"pattern": f"^({form_fields.NAME_PATTERN})?$", "maxLength": form_fields.NAME_CHARS_MAX},
    "origins": {
        "maxItems": origin.ORIGINS_MAX,
        "items": {"type": "string", "pattern": origin.PATTERN, "maxLength": origin.ORIGIN_CHARS_MAX},
    },
    "honeypot": {"pattern": f"^{form_fields.NAME_PATTERN}$", "maxLength": form_fields.NAME_CHARS_MAX},
    "min_seconds": {"minimum": 0, "maximum": form_body.MIN_SECONDS_MAX},
    "max_per_minute": {"minimum": 0, "maximum": form_body.PER_MINUTE_MAX},
}
_FIELD_LINE: Schema = {"maxLength": form_fields.TEXT_CHARS_MAX, "pattern": _LINE}
_FORM_FIELD: dict[str, Schema] = {
    "type": {},
    "label": {"maxLength": form_fields.LABEL_CHARS_MAX, "pattern": _LINE},
    "help": _FIELD_LINE,
    "placeholder": _FIELD_LINE,
    "pattern": {"maxLength": form_fields.PATTERN_CHARS_MAX, "pattern": NO_NUL},
    "pattern_help": _FIELD_LINE,
    "autocomplete": {"pattern": f"^({form_fields.AUTOCOMPLETE_PATTERN})?$", "maxLength": 100},
    "accept": {
        "maxItems": form_fields.ACCEPT_MAX,
        "items": {"type": "string", "pattern": f"^({form_fields.ACCEPT_PATTERN})$", "maxLength": 100},
    },
    "max_bytes": {"minimum": 1, "maximum": form_fields.FILE_BYTES_MAX},
}

_SCHEME: dict[str, Schema] = {
    **dict.fromkeys(("name", "title", "checks", "secret", "source", "help"), _TEXT),
    "settings": {"values": _TEXT},
    "aliases": {"maxItems": 100, "items": {"type": "string", **_TEXT}},
    "handshakes": {"maxItems": 100, "items": {"type": "string", **_TEXT}},
}

BOUNDS: dict[str, dict[str, Schema]] = {
    "NewHook": {**_HOOK, "secrets": _SECRETS},
    "HookPatch": {**_HOOK, "secrets": _SECRETS},
    "HookView": {
        **_HOOK,
        "id": _HOOK_ID,
        "url": {"format": "uri-reference", "maxLength": 1_000},
        "secret_count": {"minimum": 0, "maximum": SECRETS_MAX},
    },
    "HooksApplied": {"plan": _PLAN},
    "HooksPlan": {
        "plan": _PLAN,
        "steps": {"maxItems": 2**31 - 1},
        "stays": {"maxItems": 2**31 - 1, "items": {"type": "string", **_PATH}},
    },
    "HookStep": {"path": _PATH, "says": _TEXT},
    "NewForm": _FORM,
    "FormBody": _FORM,
    "FormPatch": _FORM,
    "FormField": _FORM_FIELD,
    "FormView": {
        **_FORM,
        "id": _FORM_ID,
        "url": {"format": "uri-reference", "maxLength": 1_000},
    },
    "FormsApplied": {"plan": _PLAN},
    "FormsPlan": {
        "plan": _PLAN,
        "steps": {"maxItems": 2**31 - 1},
        "stays": {"maxItems": 2**31 - 1, "items": {"type": "string", **_PATH}},
    },
    "FormStep": {"path": _PATH, "says": _TEXT},
    "ReceiptSummary": _RECEIPT,
    "ReceiptView": {
        **_RECEIPT,
        "headers": {"maxItems": 2**31 - 1},
        "text": _TEXT,
        "base64": _TEXT,
        "explanation": _TEXT,
        "signed": _TEXT,
    },
    "HeaderView": {"name": _TEXT, "value": _TEXT},
    "SchemeView": _SCHEME,
    "SchemeDetail": _SCHEME,
    "SampleView": {
        **dict.fromkeys(("method", "url", "body", "secret"), _TEXT),
        "headers": {"values": _TEXT},
        "signed_at": {"minimum": 0, "maximum": 2**31 - 1},
    },
}
"""The bounds of each field, by the names of its struct and of the field; `values` are the values of a map."""

_HOOK_HELP = {
    "scheme": "The name of a signature scheme, or your own scheme as an object.",
    "data": "A template that yields an object, or an object of templates; null for the body as it was received.",
}
_FIELD_HELP = {
    "default": "What the page shows at first: a string, `true` or `false` for a checkbox, or a list of options.",
    "min": "The smallest number, date or time, or the minimum number of characters, choices or files.",
    "max": "The largest number, date or time, or the maximum number of characters, choices or files.",
    "options": "What can be chosen: a list of values, or an object that maps each value to its label.",
}
ANY: dict[str, dict[str, str]] = {
    **dict.fromkeys(("NewHook", "HookPatch", "HookView"), _HOOK_HELP),
    "FormField": _FIELD_HELP,
}
"""The meanings of fields that can have several types."""
