"""What is sent to endpoints, as OpenAPI webhooks: the event types of the catalogue, and those of Tidings itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tidings.model.event import ChangeType, EventType
from tidings.web.openapi.bounds import ACTOR, ENDPOINT_ID, EVENT_ID, SUBJECT, TENANT, TIME, ident, text, whole_number
from tidings.web.openapi.examples import ENDPOINT, EVENT, THEN
from tidings.web.openapi.their_schemas import components_of

TAG = "Webhooks"
Schema = dict[str, Any]

_ENDPOINT: Schema = {"type": "string", **ENDPOINT_ID}
_ABOUT: Schema = {
    "type": "object",
    "required": ["endpoint_id", "url", "reason", "failing_since", "fails"],
    "properties": {
        "endpoint_id": _ENDPOINT,
        "url": {"type": "string", "format": "uri", "maxLength": 2_048},
        "reason": {"type": "string", **text()},
        "failing_since": {"anyOf": [{"type": "string", **TIME}, {"type": "null"}]},
        "fails": {"type": "integer", **whole_number({})},
    },
}
_EXAMPLE = {
    "endpoint_id": ENDPOINT,
    "url": "https://example.com/hooks",
    "reason": "No connection could be made.",
    "failing_since": THEN,
    "fails": 3,
}
_TEST = {"endpoint_id": ENDPOINT, "message": "This is a test. Your endpoint works if it responds with a 2xx status."}
_TEST_SCHEMA: Schema = {
    "type": "object",
    "required": ["endpoint_id", "message"],
    "properties": {"endpoint_id": _ENDPOINT, "message": {"type": "string", **text()}},
}
OWN = (
    (
        "endpoint.disabled",
        "An endpoint was disabled because it had failed for days, or answered 410.",
        _ABOUT,
        _EXAMPLE,
    ),
    (
        "endpoint.failing",
        ("An endpoint has started to fail. Only endpoints that select this type by name get this event."),
        _ABOUT,
        _EXAMPLE,
    ),
    ("endpoint.test", "A test of one endpoint, sent only to that endpoint.", _TEST_SCHEMA, _TEST),
)
"""The types that Tidings publishes itself: name, description, schema of `data`, example."""
_SIGNED = (
    ("webhook-id", "The event's id, the same on every attempt.", EVENT_ID, EVENT),
    (
        "webhook-timestamp",
        "When the attempt was made, in seconds since the Unix epoch.",
        {"pattern": "^[0-9]{1,12}$", "maxLength": 12},
        "1795741323",
    ),
    (
        "webhook-signature",
        "Standard Webhooks signatures, separated by spaces: `v1,...` and `v1a,...`.",
        {"pattern": r"^v1a?,[A-Za-z0-9+/=]+( v1a?,[A-Za-z0-9+/=]+)*$", "maxLength": 8_192},
        "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    ),
)
_SIGNED_HEADERS = [
    {
        "name": header,
        "in": "header",
        "required": True,
        "schema": {"type": "string", **schema},
        "description": help,
        "example": shown,
    }
    for header, help, schema, shown in _SIGNED
]
ARRIVED = {
    "2XX": {"description": "The webhook arrived."},
    "4XX": {"description": "The webhook failed: it is sent again later, unless the endpoint's settings say otherwise."},
}


def described(event_types: Sequence[EventType]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The webhooks by the name of their event type, and the components that they name."""
    found: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for name, said, schema, example in OWN:
        found[name] = _webhook(name, said, example)
        schemas |= {f"webhook.{name}": schema, f"sent.{name}": _body(name, f"webhook.{name}")}
    for kind in event_types:
        component = f"webhook.{kind.name}"
        schema = {"type": "object"} if kind.schema is None else msgspec.json.decode(kind.schema)
        schemas |= components_of(component, schema)
        example = {} if kind.example is None else msgspec.json.decode(kind.example)
        found[kind.name] = _webhook(kind.name, kind.description, example)
        schemas[f"sent.{kind.name}"] = _body(kind.name, component)
        if isinstance(kind, ChangeType):
            schemas[f"sent.{kind.name}"]["properties"] |= _cause(kind, component)
    schemas["Webhook"] = {
        "description": "Any event that an endpoint may get, by its `type`.",
        "oneOf": [{"$ref": f"#/components/schemas/sent.{name}"} for name in found],
        "discriminator": {
            "propertyName": "type",
            "mapping": {name: f"#/components/schemas/sent.{name}" for name in found},
        },
    }
    return found, schemas


def callbacks() -> dict[str, Any]:
    """The webhooks as a callback of the operation that registers an endpoint; its body can be any of them.

    Generators that do not support webhooks support callbacks, and so make the types of what arrives.
    """
    said = "The body sent to the endpoint: one of the document's webhooks, by its `type`."
    content = {"schema": {"$ref": "#/components/schemas/Webhook"}}
    sent = {
        "operationId": "webhook",
        "summary": "A webhook",
        "description": said,
        "tags": [TAG],
        "security": [],
        "parameters": _SIGNED_HEADERS,
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": ARRIVED,
    }
    return {"webhook": {"{$request.body#/url}": {"post": sent}}}


def _cause(kind: ChangeType, component: str) -> Schema:
    """Members that describe a change, besides the item itself."""
    found: Schema = {
        "collection": {"const": kind.collection},
        "actor": {"type": "string", **ACTOR, "description": "The key, hook, form or link that caused the event."},
        "request_id": {"type": "string", **ident("req")},
    }
    if kind.has_previous:
        names = {"type": "string", "maxLength": 40}
        found["previous"] = {"$ref": f"#/components/schemas/{component}"}
        found["changed"] = {"type": "array", "maxItems": 200, "items": names}
    return found


def _body(name: str, component: str) -> Schema:
    """An event of this type as sent; the component describes its `data`."""
    return {
        "type": "object",
        "required": ["type", "timestamp", "id", "data"],
        "properties": {
            "type": {"const": name},
            "timestamp": {"type": "string", **TIME},
            "id": {"type": "string", **EVENT_ID},
            "subject": {"type": "string", **SUBJECT},
            "tenant": {"type": "string", **TENANT},
            "data": {"$ref": f"#/components/schemas/{component}"},
        },
    }


def _webhook(name: str, said: str, example: Any) -> dict[str, Any]:
    body = {"$ref": f"#/components/schemas/sent.{name}"}
    content = {"schema": body, "example": {"type": name, "timestamp": THEN, "id": EVENT, "data": example}}
    return {
        "post": {
            "summary": said.split("\n")[0][:200] or name,
            "description": said or name,
            "operationId": f"webhook.{name}",
            "tags": [TAG],
            "security": [],
            "parameters": _SIGNED_HEADERS,
            "requestBody": {"required": True, "content": {"application/json": content}},
            "responses": ARRIVED,
        }
    }
