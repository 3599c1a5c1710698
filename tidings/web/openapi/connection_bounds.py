"""What declarations of connections are checked for, as JSON Schema (see bounds.py)."""

from __future__ import annotations

from typing import Any

from tidings.control.connections.trials import PATH_CHARS_MAX, PATH_PATTERN
from tidings.model.ids import ALPHABET, ID_CHARS
from tidings.rules.calls import oauth1, oauth2
from tidings.rules.calls.authentication import HEADERS_MAX, SECRET_CHARS_MAX
from tidings.rules.declare import connections, links, pacing
from tidings.rules.deliver import judgement
from tidings.rules.network.address import URL_CHARS_MAX
from tidings.rules.reading.jsontext import NO_NUL

Schema = dict[str, Any]

_UNLIMITED = 2**31 - 1
RATE: Schema = {
    "minimum": pacing.RATE_MIN,
    "maximum": pacing.RATE_MAX,
    "pattern": pacing.RATE_PATTERN,
    "maxLength": len("123456789.123456789/min"),
}
STATUS: Schema = {
    "anyOf": [
        {"type": "integer", "format": "int32", "minimum": judgement.STATUS_MIN, "maximum": judgement.STATUS_MAX},
        {"type": "string", "enum": list(judgement.CLASSES)},
    ]
}
NAME: Schema = {"pattern": connections.NAME_PATTERN, "maxLength": 64}
"""The name of a connection."""
_SECRET: Schema = {"pattern": r"^[^\x00-\x08\x0a-\x1f\x7f]*$", "maxLength": SECRET_CHARS_MAX}
_OAUTH: Schema = {"type": "string", "pattern": NO_NUL, "maxLength": oauth2.TOKEN_CHARS_MAX}
_HEADER: Schema = {"pattern": r"^[\t -~]+$", "maxLength": SECRET_CHARS_MAX}
_HEADERS: Schema = {"maxProperties": HEADERS_MAX, "values": _HEADER}
_AUTH: Schema = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "bearer": {"type": "string", **_SECRET, "minLength": 1, "description": "A token."},
        "basic": {"type": "array", "items": {"type": "string", **_SECRET}, "minItems": 2, "maxItems": 2},
        "header": {
            "type": "object",
            "maxProperties": HEADERS_MAX,
            "additionalProperties": {"type": "string", **_HEADER},
        },
        "oauth2": {"type": "string", "enum": list(oauth2.GRANTS)},
        "oauth1": {"type": "string", "enum": list(oauth1.METHODS)},
        **dict.fromkeys((*oauth2.PARTS[1:], *oauth1.PARTS[1:]), _OAUTH),
        **{name: {"type": "object"} for name in ("claims", "params")},
    },
    "description": "How the connection authenticates: `bearer`, `basic`, `header`, `oauth2` or `oauth1`.",
}
_PEM: Schema = {"pattern": NO_NUL, "maxLength": connections.PEM_CHARS_MAX}
_CONNECTION: dict[str, Schema] = {
    "base": {"format": "uri", "maxLength": URL_CHARS_MAX},
    "smtp": {"pattern": "^smtps?://", "maxLength": URL_CHARS_MAX},
    "from": {"pattern": NO_NUL, "maxLength": 1_000},
    "description": {"pattern": NO_NUL, "maxLength": connections.DESCRIPTION_CHARS_MAX},
    "auth": _AUTH,
    "headers": _HEADERS,
    "rate": RATE,
    "max_in_flight": {"minimum": 1, "maximum": pacing.IN_FLIGHT_MAX},
    "timeout_seconds": {"minimum": pacing.TIMEOUT_SECONDS_MIN, "maximum": pacing.TIMEOUT_SECONDS_MAX},
    "private": {"maxItems": _UNLIMITED, "items": {"type": "string", "maxLength": _UNLIMITED}},
    "ca": _PEM,
    "client_certificate": {"values": _PEM},
}
BOUNDS: dict[str, dict[str, Schema]] = {
    "ConnectionBody": _CONNECTION,
    "ConnectionTest": {"path": {"pattern": PATH_PATTERN, "maxLength": PATH_CHARS_MAX}},
    "ConnectionTestView": {
        "connection": NAME,
        "outcome": {"maxLength": 40},
        "status": {"minimum": 100, "maximum": 999},
        "duration_ms": {"minimum": 0, "maximum": 2**31 - 1},
        "says": {"maxLength": 10_000},
    },
    "ConnectionView": {
        **_CONNECTION,
        "id": {"pattern": rf"^conn_[0-7][{ALPHABET}]{{{ID_CHARS - 1}}}$", "maxLength": 5 + ID_CHARS},
        "name": NAME,
        "links": {"items": {"type": "string", **NAME}, "maxItems": links.LINKS_MAX},
    },
}
"""The bounds of each field, by the names of its struct and of the field; `values` are the values of a map."""

ANY: dict[str, dict[str, str]] = {
    "ConnectionBody": {
        "private": "The private addresses that the connection may reach: `true` for all, or a list of ranges such "
        "as `10.0.0.0/8`."
    }
}
"""The meanings of fields that can have several types."""
