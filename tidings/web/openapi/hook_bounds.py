"""What hooks, receipts and schemes may be beyond their types, as JSON Schema."""

from __future__ import annotations

from typing import Any

from tidings.control.hooks.body import (
    DESCRIPTION_CHARS_MAX,
    SECRET_CHARS_MAX,
    TOLERANCE_SECONDS_MAX,
    TOLERANCE_SECONDS_MIN,
)
from tidings.model.ids import ALPHABET, ID_CHARS
from tidings.rules.event_types import TYPE_CHARS_MAX
from tidings.rules.hooks import naming
from tidings.rules.reading.jsontext import INTEGER_MAX, NO_NUL
from tidings.rules.schemes.verifier import SECRETS_MAX

Schema = dict[str, Any]

_TEXT: Schema = {"maxLength": 2**31 - 1, "pattern": NO_NUL}
_PART = "([A-Za-z0-9_-]|\\{type\\})+"
_HOOK_ID: Schema = {"pattern": rf"^hook_[0-7][{ALPHABET}]{{{ID_CHARS - 1}}}$", "maxLength": 5 + ID_CHARS}
_RECEIPT_ID: Schema = {"pattern": rf"^rcp_[0-7][{ALPHABET}]{{{ID_CHARS - 1}}}$", "maxLength": 4 + ID_CHARS}
_PATH: Schema = {"pattern": f"^{naming.PATH_PATTERN}$", "maxLength": naming.PATH_CHARS_MAX}
_PLAN: Schema = {"pattern": "^plan_[0-9a-f]{24}$", "maxLength": 29}
_HOOK: dict[str, Schema] = {
    "path": _PATH,
    "scheme": {"maxLength": 100, "pattern": NO_NUL},
    "settings": {"values": _TEXT},
    "description": {"maxLength": DESCRIPTION_CHARS_MAX, "pattern": NO_NUL},
    "type": {"pattern": rf"^(?!endpoint\.){_PART}(\.{_PART})*$", "maxLength": TYPE_CHARS_MAX},
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
    "client": _TEXT,
    "method": _TEXT,
    "target": _TEXT,
    "bytes": {"minimum": 0, "maximum": INTEGER_MAX},
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
"""By the name of a struct and of its field; `values` are those of a map."""

_SCHEME_HELP = {"scheme": "The name of a signature scheme, or a scheme of your own as an object."}
ANY: dict[str, dict[str, str]] = dict.fromkeys(("NewHook", "HookPatch", "HookView"), _SCHEME_HELP)
"""Fields of no single type, with what they mean."""
