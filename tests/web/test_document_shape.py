"""The document is written in the part of JSON Schema that generators of clients understand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.web.validity import fitting, validate
from tidings.testing import Api, TestServer
from tidings.web.openapi.schemas import every, of_document

PREFIX = "#/components/schemas/"
TREE = {
    "type": "object",
    "properties": {"next": {"$ref": "#/$defs/node"}},
    "additionalProperties": False,
    "$defs": {
        "node": {"type": "object", "properties": {"weight": {"type": "number"}, "next": {"$ref": "#/$defs/node"}}}
    },
}
AWKWARD = {
    # Names that a generator takes for those of the server's own components, or for another collection's.
    "event": {"fields": {"name": {"type": "string", "required": True, "unique": True, "pattern": "^[a-z]+$"}}},
    "endpoint_patch": {"fields": {"item": {"type": "string"}}},
    "tenant": {"fields": {"new": {"type": "enum", "values": ["a", "b"], "default": "a", "required": True}}},
    "things": {
        "fields": {
            "kind": {"type": "enum", "values": ["a", "b"], "default": "a", "filterable": True},
            "ratio": {"type": "number", "filterable": True},
            "amount": {"type": "integer", "filterable": True},
            "free": {"type": "array"},
            "ratios": {"type": "array", "schema": {"type": "number"}},
            "tags": {"type": "array", "schema": {"type": "string", "enum": ["x", "y"]}},
            "tree": {"type": "object", "schema": TREE},
            "trees": {"type": "array", "schema": TREE},
            "pair": {"type": "object", "schema": {"type": "object", "additionalProperties": False}},
            "code": {"type": "string", "required": True, "unique": True, "format": "email"},
            "at": {"type": "reference", "to": "event", "required": True},
        },
        "events": {"turned": "when kind becomes b"},
    },
}


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The documents of the operator, of a tenant's key and of one with a permit, with much that is awkward."""
    with TestServer(tmp_path_factory.mktemp("shape") / "tidings") as server:
        return documents_of(server.api)


def documents_of(clean: Api) -> dict[str, dict[str, Any]]:
    """What each of them is given."""
    clean.post("/v1/event-types", {"name": "ratio.seen", "schema": TREE, "example": {}})
    clean.post("/v1/collections:apply", {"collections": AWKWARD})
    scopes = ["events:read", "events:write", "endpoints:read", "endpoints:write", "items:read", "items:write"]
    tenant = clean.with_key(clean.post("/v1/keys", {"scopes": scopes, "tenant": "acme"})["key"])
    permit = {"collection": "things", "verbs": ["list", "create", "edit", "delete"], "write": ["code", "at", "kind"]}
    guest = clean.with_key(clean.post("/v1/keys", {"permits": [permit]})["key"])
    callers = {"operator": clean, "tenant": tenant, "guest": guest}
    return {who: caller.get("/v1/openapi.json") for who, caller in callers.items()}


def bodies(document: dict[str, Any], *, asked: bool) -> list[dict[str, Any]]:
    """The schemas of all bodies that are asked, or answered and sent."""
    operations = [each for item in document["paths"].values() for each in item.values()]
    calls = [each for operation in operations for each in operation.get("callbacks", {}).values()]
    sent = [*document["components"].get("pathItems", {}).values(), *(each for call in calls for each in call.values())]
    parts = [operation.get("requestBody", {}) for operation in operations]
    if not asked:
        parts = [answer for operation in operations for answer in operation["responses"].values()]
        parts += [*document["components"]["responses"].values(), *(item["post"]["requestBody"] for item in sent)]
    return [content["schema"] for part in parts for content in part.get("content", {}).values()]


def reached(document: dict[str, Any], roots: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The schemas of some bodies and all that they name, each with the component it is in."""
    schemas, seen, waiting = document["components"]["schemas"], set(), [("", root) for root in roots]
    while waiting:
        name, root = waiting.pop()
        for schema in every(root):
            yield name, schema
            there = schema.get("$ref", "").removeprefix(PREFIX)
            if there and there not in seen:
                seen.add(there)
                waiting.append((there, schemas[there]))


def test_answers_are_open_and_bodies_closed(documents: dict[str, dict[str, Any]]) -> None:
    for who, document in documents.items():
        for name, schema in reached(document, bodies(document, asked=False)):
            assert schema.get("additionalProperties") is not False, (who, name)
        for name, schema in reached(document, bodies(document, asked=True)):
            if "properties" in schema and ".field." not in name:
                assert schema["additionalProperties"] is False, (who, name)


def test_a_client_of_today_reads_an_answer_with_a_field_of_tomorrow(documents: dict[str, dict[str, Any]]) -> None:
    schemas = documents["operator"]["components"]["schemas"]
    assert "additionalProperties" not in schemas["things.item"]
    assert "additionalProperties" not in schemas["EndpointView"]
    # What both bring is two: one that is closed, one that is open.
    assert schemas["Batch"]["additionalProperties"] is False and "additionalProperties" not in schemas["BatchView"]
    assert schemas["EndpointView"]["properties"]["batch"]["anyOf"][0] == {"$ref": PREFIX + "BatchView"}


def test_schemas_are_in_one_order(documents: dict[str, dict[str, Any]]) -> None:
    for document in documents.values():
        assert list(document["components"]["schemas"]) == sorted(document["components"]["schemas"])


def test_every_number_has_a_format(documents: dict[str, dict[str, Any]]) -> None:
    for document in documents.values():
        for root in of_document(document):
            for schema in every(root):
                kinds = schema.get("type")
                kinds = kinds if isinstance(kinds, list) else [kinds]
                if "number" in kinds:
                    assert schema["format"] == "double", schema
                if "integer" in kinds:
                    assert schema["format"] in ("int32", "int64"), schema


def test_schemas_say_things_in_the_one_way_that_generators_know(documents: dict[str, dict[str, Any]]) -> None:
    for document in documents.values():
        for root in of_document(document):
            for schema in every(root):
                kinds = schema.get("type", [])
                assert not isinstance(kinds, list) or len([each for each in kinds if each != "null"]) <= 1, schema
                assert {} not in schema.get("anyOf", []), schema
                if "anyOf" in schema and {"type": "null"} in schema["anyOf"] and len(schema["anyOf"]) == 2:
                    assert "$ref" in schema["anyOf"][0], schema
                if "enum" in schema:
                    assert "type" in schema and not (None in schema["enum"] and "default" in schema), schema
                if kinds == "array":
                    assert "items" in schema, schema
                assert "default" not in schema or schema["default"] not in (None, {}, []), schema
                assert "$id" not in schema and "$defs" not in schema, schema


@pytest.mark.slow
def test_the_documents_are_valid(documents: dict[str, dict[str, Any]]) -> None:
    for document in documents.values():
        validate(document)


def test_components_and_operations_have_distinct_names_in_every_language(documents: dict[str, dict[str, Any]]) -> None:
    for document in documents.values():
        names = [re.sub("[^a-z0-9]", "", name.lower()) for name in document["components"]["schemas"]]
        assert len(names) == len(set(names))
        operations = [each["operationId"] for item in document["paths"].values() for each in item.values()]
        operations += [item["post"]["operationId"] for item in document["components"].get("pathItems", {}).values()]
        assert len(operations) == len(set(operations))


def test_whatever_a_document_names_is_a_component(documents: dict[str, dict[str, Any]]) -> None:
    for document in documents.values():
        for root in of_document(document):
            for schema in every(root):
                if "$ref" in schema:
                    assert schema["$ref"].removeprefix(PREFIX) in document["components"]["schemas"]
    schemas = documents["operator"]["components"]["schemas"]
    assert schemas["things.field.tree"]["properties"]["next"] == {"$ref": PREFIX + "things.field.tree..node"}


def test_webhooks_are_callbacks_too(documents: dict[str, dict[str, Any]]) -> None:
    document = documents["operator"]
    called = document["paths"]["/v1/endpoints"]["post"]["callbacks"]["webhook"]["{$request.body#/url}"]["post"]
    assert called["requestBody"]["content"]["application/json"]["schema"] == {"$ref": PREFIX + "Webhook"}
    mapping = document["components"]["schemas"]["Webhook"]["discriminator"]["mapping"]
    assert mapping.keys() == document["webhooks"].keys() and mapping["things.turned"] == PREFIX + "sent.things.turned"


@pytest.mark.slow
def test_every_example_fits_its_schema(documents: dict[str, dict[str, Any]]) -> None:
    for document in documents.values():
        check = fitting(document)
        for item in document["paths"].values():
            for operation in item.values():
                for part in [operation.get("requestBody", {}), *operation["responses"].values()]:
                    for content in part.get("content", {}).values():
                        if "example" in content:
                            check(content)
    made = documents["operator"]["components"]["schemas"]["things.new"]["required"]
    new = documents["operator"]["paths"]["/v1/items/things"]["post"]["requestBody"]["content"]["application/json"]
    assert set(made) <= new["example"].keys() and new["example"]["code"] == "ann@example.com"


OURS = re.compile(r"[A-Za-z]+")
"""Names of the server's own components: those of collections and event types have a dot."""


@pytest.mark.parametrize("who", ["operator", "tenant"])
def test_texts_and_lists_have_a_limit(documents: dict[str, dict[str, Any]], who: str) -> None:
    unlimited = {
        name
        for name, root in documents[who]["components"]["schemas"].items()
        if OURS.fullmatch(name)
        for schema in every(root)
        for kind, limit in (("string", "maxLength"), ("array", "maxItems"))
        if kind in schema.get("type", ()) and not schema.keys() & {limit, "enum", "const"}
    }
    assert not unlimited


@pytest.mark.parametrize("who", ["operator", "tenant"])
def test_no_list_is_one_of_several_types(documents: dict[str, dict[str, Any]], who: str) -> None:
    """Java's generator writes types that do not compile for such a union."""
    unions = {
        name
        for name, root in documents[who]["components"]["schemas"].items()
        for schema in every(root)
        if any(branch.get("type") == "array" for branch in schema.get("anyOf", ()))
    }
    assert not unions
