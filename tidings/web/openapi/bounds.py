"""The limits of texts, numbers and lists in addition to their types, as JSON Schema; the document has them for every
body.

Bodies of requests are checked against these limits. In its responses, the server itself keeps to them.
"""

from __future__ import annotations

from typing import Any

from tidings.control.endpoints import body
from tidings.control.endpoints.edit import OVERLAP_SECONDS_MAX, REASON_CHARS_MAX
from tidings.control.event_types import DESCRIPTION_CHARS_MAX
from tidings.control.keys import NAME_CHARS_MAX
from tidings.model.access import SCOPES
from tidings.model.delivery import ANSWER_BYTES_KEPT
from tidings.model.event import HOPS_MAX, SUBJECT_CHARS_MAX
from tidings.model.ids import ALPHABET, ID_CHARS
from tidings.model.outcome import OUTCOMES
from tidings.rules import event_types, filter
from tidings.rules.declare import declaration
from tidings.rules.deliver import bodies, judgement, retry
from tidings.rules.deliver.lifecycle import STATES
from tidings.rules.items import permit
from tidings.rules.limits import windows as limit
from tidings.rules.network import certificates, origin
from tidings.rules.network.address import URL_CHARS_MAX
from tidings.rules.reading.jsontext import INTEGER_MAX, NO_NUL
from tidings.views import trail
from tidings.views.events import DELIVERIES_MAX, NOT_MATCHED_MAX
from tidings.views.shares import TENANTS_SHOWN
from tidings.web.api.endpoints.field_help import FIELD_HELP
from tidings.web.callers.tickets import TICKET_CHARS_MAX, TICKET_PATTERN
from tidings.web.habits.paging import CURSOR, LIMIT_MAX
from tidings.web.openapi import collection_bounds, connection_bounds, hook_bounds
from tidings.web.openapi.collection_bounds import LINK
from tidings.web.openapi.service import bounds as service
from tidings.web.openapi.service import portal
from tidings.web.wire.problem import PLACES_MAX

Schema = dict[str, Any]

UNLIMITED = 2**31 - 1
"""The limit for what is bounded only by memory: no body is longer, so no text or list in a body can be."""

_PART = "[A-Za-z0-9_-]+"


def text(chars_max: int = UNLIMITED, chars_min: int = 0) -> Schema:
    """Any text with a length in this range."""
    return {"maxLength": chars_max, "pattern": NO_NUL} | ({"minLength": chars_min} if chars_min else {})


def between(low: float, high: float) -> Schema:
    """A number in a range."""
    return {"minimum": low, "maximum": high}


def ident(*prefixes: str) -> Schema:
    """An id that this server has made, such as `ep_01kb...`."""
    length = max(map(len, prefixes)) + 1 + ID_CHARS
    return {"pattern": rf"^({'|'.join(prefixes)})_[0-7][{ALPHABET}]{{{ID_CHARS - 1}}}$", "maxLength": length}


TIME: Schema = {"format": "date-time", "maxLength": 35}
"""A time as in RFC 3339, with a zone and up to nine decimal places of seconds."""
TYPE: Schema = {"pattern": rf"^{_PART}(\.{_PART})*$", "maxLength": event_types.TYPE_CHARS_MAX}
NEW_TYPE: Schema = TYPE | {"pattern": rf"^(?!endpoint\.){_PART}(\.{_PART})*$", "examples": ["tasks.completed"]}
EVENT_ID: Schema = {"pattern": "^[A-Za-z0-9_.:-]{1,64}$", "maxLength": 64}
TENANT: Schema = {"pattern": "^[A-Za-z0-9_-]{1,64}$", "maxLength": 64}
TENANT_OR_ALL: Schema = {"pattern": r"^(\*|[A-Za-z0-9_-]{1,64})$", "maxLength": 64}
SUBJECT: Schema = {"pattern": r"^[^\x00-\x1f\x7f]+$", "minLength": 1, "maxLength": SUBJECT_CHARS_MAX}
ENDPOINT_ID, DELIVERY_ID, REPLAY_ID = ident("ep"), ident("dlv"), ident("rpl")
KEY_ID: Schema = {"pattern": rf"^key_(operator|[0-7][{ALPHABET}]{{{ID_CHARS - 1}}})$", "maxLength": 4 + ID_CHARS}
ACTOR: Schema = {
    "pattern": rf"^(key_operator|(key|hook|form|lnk)_[0-7][{ALPHABET}]{{{ID_CHARS - 1}}})$",
    "maxLength": 5 + ID_CHARS,
}
BY: Schema = {"pattern": r"^[a-z0-9_-]+$", "maxLength": 64}
"""An actor's id, or a link's name."""

_NAME = text(NAME_CHARS_MAX)
_URL: Schema = {"format": "uri", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://", "maxLength": URL_CHARS_MAX}
_FOUR = "[A-Za-z0-9+/]{4}"
_REST = "[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}="
_SECRET: Schema = {
    # Base64 of 24 to 64 bytes; of a seed of 32, or of the seed and its public key.
    "pattern": rf"^(whsec_({_FOUR}){{8,20}}({_FOUR}|{_REST})?|whsec_({_FOUR}){{21}}[A-Za-z0-9+/][AQgw]==|"
    rf"whsk_({_FOUR}){{10}}[A-Za-z0-9+/]{{3}}=|whsk_({_FOUR}){{21}}[A-Za-z0-9+/]{{2}}==)$",
    "maxLength": 94,
}
_SCOPES: Schema = {"items": {"type": "string", "enum": list(SCOPES)}, "maxItems": len(SCOPES)}
_FILTER: Schema = {"maxProperties": filter.OPERATORS_MAX}
_PATTERN: Schema = {"type": "string", "pattern": rf"^(\*|{_PART}(\.{_PART})*(\.\*)?)$"}
_ENDPOINT: dict[str, Schema] = {
    "url": _URL,
    "description": {"maxLength": body.DESCRIPTION_CHARS_MAX, "pattern": r"^[^\x00-\x08\x0b-\x1f\x7f]*$"},
    "events": {
        "items": _PATTERN | {"maxLength": event_types.TYPE_CHARS_MAX + 2},
        "minItems": 1,
        "maxItems": event_types.PATTERNS_MAX,
    },
    "filter": _FILTER,
    "headers": {
        "maxProperties": body.HEADERS_MAX,
        "propertyNames": {"pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$", "maxLength": 128},
        "values": {"pattern": r"^([!-~]([\t -~]*[!-~])?)?$", "maxLength": body.HEADER_VALUE_BYTES_MAX},
    },
    "rate": between(0.001, body.RATE_MAX),
    "max_in_flight": between(1, body.IN_FLIGHT_MAX),
    "order_max_age_seconds": between(1, body.ORDER_AGE_SECONDS_MAX),
    "fields": {
        "items": {
            "type": "string",
            "minLength": 1,
            "maxLength": bodies.FIELD_CHARS_MAX,
            "pattern": bodies.FIELD_PATTERN,
        },
        "minItems": 1,
        "maxItems": bodies.FIELDS_MAX,
    },
    "timeout_seconds": between(body.TIMEOUT_SECONDS_MIN, body.TIMEOUT_SECONDS_MAX),
    "retry_delays_seconds": {
        "items": {"type": "number", **between(0, retry.DELAY_SECONDS_MAX)},
        "minItems": 1,
        "maxItems": retry.DELAYS_MAX,
    },
    "give_up_on": {
        "items": {
            "anyOf": [
                {"type": "integer", "format": "int32", **between(judgement.STATUS_MIN, judgement.STATUS_MAX)},
                {"type": "string", "enum": list(judgement.CLASSES)},
            ]
        },
        "maxItems": judgement.GIVE_UP_MAX,
    },
    "ca": {"maxLength": certificates.PEM_CHARS_MAX, "pattern": NO_NUL},
}
_BATCH = {"max_events": between(1, body.BATCH_EVENTS_MAX), "max_ms": between(1, body.BATCH_MS_MAX)} | {
    "max_bytes": between(body.BATCH_BYTES_MIN, body.BATCH_BYTES_MAX)
}
_CERTIFICATES = {"maxLength": certificates.PEM_CHARS_MAX, "pattern": NO_NUL}
_CERTIFICATE_KEY = {"certificate": _CERTIFICATES, "key": _CERTIFICATES}
_EVENT_TYPE: dict[str, Schema] = {"description": text(DESCRIPTION_CHARS_MAX)}
_ORIGIN: Schema = {"type": "string", "pattern": origin.PATTERN, "maxLength": origin.ORIGIN_CHARS_MAX}
_ORIGINS: Schema = {"maxItems": origin.ORIGINS_MAX, "items": _ORIGIN}

_KEY: dict[str, Schema] = {
    "id": KEY_ID,
    "name": _NAME,
    "scopes": _SCOPES,
    "permits": {"maxItems": permit.PERMITS_MAX},
    "limits": {"maxItems": limit.LIMITS_MAX},
    "cors_origins": _ORIGINS,
}

BOUNDS: dict[str, dict[str, Schema]] = {
    "NewEvent": {
        "type": NEW_TYPE,
        "data": {"type": "object"},
        "id": EVENT_ID | {"pattern": r"^(?!stream$)(?!.*\.[0-9]{9,15}(\.|$))[A-Za-z0-9_.:-]{1,64}$"},
        "time": TIME | {"pattern": "^(19[7-9][0-9]|20[0-9]{2})-"},
    },
    "NewEndpoint": {**_ENDPOINT, "secret": _SECRET, "tenant": TENANT_OR_ALL},
    "EndpointPatch": _ENDPOINT,
    "Batch": _BATCH,
    "BatchPatch": _BATCH,
    "ClientCertificate": _CERTIFICATE_KEY,
    "ClientCertificatePatch": _CERTIFICATE_KEY,
    "CertificateView": {
        "subject": text(certificates.SUBJECT_CHARS_MAX),
        "fingerprint": {"pattern": "^[0-9a-f]{64}$", "maxLength": 64},
    },
    "PauseBody": {"reason": text(REASON_CHARS_MAX)},
    "RotateBody": {"overlap_seconds": between(0, OVERLAP_SECONDS_MAX), "secret": _SECRET},
    "NewEventType": {**_EVENT_TYPE, "name": NEW_TYPE},
    "EventTypeBody": _EVENT_TYPE,
    "EventTypePatch": _EVENT_TYPE,
    "NewReplay": {"link": LINK},
    **collection_bounds.BOUNDS,
    **connection_bounds.BOUNDS,
    **hook_bounds.BOUNDS,
    "NewTenant": {"id": TENANT, "name": _NAME},
    "TenantPatch": {"name": _NAME},
    "NewKey": {
        "scopes": _SCOPES,
        "permits": {"maxItems": permit.PERMITS_MAX},
        "name": _NAME,
        "limits": {"maxItems": limit.LIMITS_MAX},
        "cors_origins": _ORIGINS,
    },
    "CallLimit": {
        "calls": between(1, limit.CALLS_MAX),
        "seconds": between(1, limit.WINDOW_SECONDS_MAX),
    },
    # Only in responses.
    "Accepted": {"id": EVENT_ID},
    "AcceptedBatch": {"events": {"maxItems": 1_000}},
    "AttemptView": {
        "answer": text(ANSWER_BYTES_KEPT),
        "request_headers": {"values": text()},
        "call": {"values": text()},
        "edit": {"values": text()},
        "status": between(0, 999),
    },
    "DeliveryOfEvent": {"id": DELIVERY_ID, "endpoint": ENDPOINT_ID, "link": LINK, "state": {"enum": list(STATES)}},
    "Forgotten": {"link": LINK},
    "DeliveryView": {"id": DELIVERY_ID, "link": LINK},
    "DeliveryDetail": {"id": DELIVERY_ID, "link": LINK, "attempts": {"maxItems": UNLIMITED}},
    "EndpointView": {
        **_ENDPOINT,
        "id": ENDPOINT_ID,
        "tenant": TENANT_OR_ALL,
        "ca": {"maxItems": certificates.CERTIFICATES_MAX},
    },
    "EventDetail": {
        "id": EVENT_ID,
        "data": {"type": "object"},
        "deliveries": {"maxItems": DELIVERIES_MAX},
        "not_matched": {"maxItems": NOT_MATCHED_MAX},
    },
    "EventTypeView": {**_EVENT_TYPE, "name": TYPE, "schema": {"type": "object"}},
    "EventView": {"id": EVENT_ID, "data": {"type": "object"}},
    "Health": {"status": {"enum": ["ok"]}},
    "KeyView": _KEY,
    "CreatedKey": {
        **_KEY,
        "key": {"pattern": "^tdk_[A-Za-z0-9_-]{43}$", "maxLength": 47},
    },
    "LastView": {"status": between(0, 999)},
    "NotMatched": {"endpoint": ENDPOINT_ID, "link": LINK},
    "TrailDelivery": {
        "id": DELIVERY_ID,
        "endpoint": ENDPOINT_ID,
        "link": LINK,
        "state": {"enum": list(STATES)},
        "status": between(0, 999),
    },
    "TrailEvent": {"id": EVENT_ID, "by": BY, "cause": EVENT_ID, "deliveries": {"maxItems": trail.DELIVERIES_MAX}},
    "TrailView": {"events": {"maxItems": trail.EVENTS_MAX}},
    "OldSecret": {"secret": _SECRET},
    "Place": {"code": {"pattern": "^[a-z0-9_]+$", "maxLength": 64}, "pointer": text(), "parameter": text()},
    "Problem": {
        "type": {"pattern": "^urn:tidings:problem:[a-z0-9_]+$", "maxLength": 84},
        "title": text(100),
        "status": between(400, 599),
        "code": {"pattern": "^[a-z0-9_]+$", "maxLength": 64},
        "errors": {"maxItems": PLACES_MAX},
        "request_id": ident("req"),
    },
    "ReplayView": {"id": REPLAY_ID, "link": LINK},
    "DryRunView": {"link": LINK},
    "SecretView": {
        "secret": _SECRET,
        "previous": {"maxItems": UNLIMITED},
        "public_key": {"pattern": "^whpk_[A-Za-z0-9+/]{43}=$", "maxLength": 49},
    },
    "ShareReport": {
        **{name: between(0, INTEGER_MAX) for name in ("used", "total", "tenants")},
        "of": text(64),
        "held_back": {"maxItems": TENANTS_SHOWN},
    },
    **service.BOUNDS,
    **portal.BOUNDS,
    "StreamTicket": {
        "ticket": {"pattern": TICKET_PATTERN, "maxLength": TICKET_CHARS_MAX},
        "url": {"format": "uri-reference", "maxLength": TICKET_CHARS_MAX + origin.URL_CHARS_MAX},
    },
    "TenantShare": {name: between(0, INTEGER_MAX) for name in ("held", "refused")},
    "TenantView": {"id": TENANT, "name": _NAME},
}
"""The bounds of each field, by the names of its struct and of the field; `values` are the values of a map. They are
added to the field's own schema."""

WHOLE: dict[str, Schema] = {"ClientCertificatePatch": {"minProperties": 1}}
"""The bounds of a struct as a whole, by its name."""

_OF_KINDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("maxLength", "minLength", "pattern"), ("string",)),
    **dict.fromkeys(("minimum", "maximum"), ("number", "integer")),
    **dict.fromkeys(("items", "minItems", "maxItems", "uniqueItems"), ("array",)),
    **dict.fromkeys(("minProperties", "maxProperties", "propertyNames"), ("object",)),
}
"""The types that each bound applies to, for fields of several types."""

_ANY = hook_bounds.ANY | connection_bounds.ANY

COMMON: dict[str, Schema] = {
    **dict.fromkeys(("at", "created", "disables_at", "due", "expires", "failing_since", "held_until"), TIME),
    **dict.fromkeys(
        (
            "last_due",
            "next_attempt",
            "next_due",
            "next_probe",
            "received",
            "revoked",
            "since",
            "time",
            "until",
            "updated",
        ),
        TIME,
    ),
    "actor": ACTOR,
    "cause": EVENT_ID,
    "hops": between(0, HOPS_MAX),
    "collection": {"pattern": "^[a-z][A-Za-z0-9_]*$", "maxLength": 40},
    "data": {"maxItems": LIMIT_MAX},
    "delivery": DELIVERY_ID,
    "detail": text(),
    "note": text(),
    "sentence": text(),
    "endpoint_id": ENDPOINT_ID,
    "event_id": EVENT_ID,
    "held": text(),
    "event_type": TYPE,
    "next_cursor": CURSOR,
    "changed": {"type": "array", "maxItems": declaration.FIELDS_MAX, "items": {"type": "string", "maxLength": 40}},
    "outcome": {"enum": [outcome.name for outcome in OUTCOMES]},
    "previous": {"type": "object"},
    "reason": text(),
    "request_id": ident("req"),
    "subject": SUBJECT,
    "tenant": TENANT,
    "type": TYPE,
}
"""The bounds of fields that mean the same in every struct, unless BOUNDS has others."""


def with_bounds(schemas: dict[str, Schema]) -> dict[str, Schema]:
    """The schemas of structs, with their bounds and what their fields mean."""
    for name, schema in schemas.items():
        known = BOUNDS.get(name, {})
        schema |= WHOLE.get(name, {})
        for field, own in schema.get("properties", {}).items():
            if field in _ANY.get(name, {}):
                # Generators have no type for a string or an object.
                own.clear()
                own["description"] = _ANY[name][field]
                continue
            _bound(own, known.get(field) or COMMON.get(field, {}))
            if "$ref" not in own and (meaning := FIELD_HELP.get(name, {}).get(field)):
                own["description"] = meaning
    return schemas


def _bound(schema: Schema, bounds: Schema) -> None:
    """Add bounds to a field's schema: to the part of it that is not null, and there to the types that they apply to."""
    for branch in schema.get("anyOf", (schema,)):
        kind = branch.get("type")
        if kind == "null" or "$ref" in branch:
            continue
        if kind == "object" and "values" in bounds:
            _bound(branch["additionalProperties"], bounds["values"])
        is_free = kind is None and "enum" not in branch
        branch |= {
            key: value
            for key, value in bounds.items()
            if key != "values" and (is_free or kind in _OF_KINDS.get(key, (kind,)))
        }
        if kind == "integer":
            branch |= whole_number(branch)


def whole_number(schema: Schema) -> Schema:
    """The bounds of every whole number in requests and responses: it has 64 bits, and by default is not negative."""
    return {"format": "int64", "minimum": schema.get("minimum", 0), "maximum": schema.get("maximum", INTEGER_MAX)}
