"""What the server says about itself: OpenAPI for the calling key, the page, health and metrics."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.web.validity import fitting, validate
from tidings.model.access import SCOPES
from tidings.testing import Api
from tidings.web.api.keys import get_key
from tidings.web.openapi.bounds import BOUNDS
from tidings.web.openapi.document import document
from tidings.web.openapi.their_schemas import components_of
from tidings.web.operation import BodySchema, NextOperation, Operation, Parameter
from tidings.web.operations import OPERATIONS


def operations(found: dict[str, dict[str, dict[str, dict[str, str]]]]) -> set[str]:
    return {operation["operationId"] for methods in found["paths"].values() for operation in methods.values()}


@pytest.mark.slow
def test_the_document_is_valid_and_whole_for_the_operator(api: Api) -> None:
    api.post("/v1/event-types", {"name": "doc.made", "schema": {"type": "object"}, "example": {"id": 1}})
    whole = api.get("/v1/openapi.json")
    validate(whole)
    # The pages and their files are nothing that a client would call.
    assert operations(whole) == {operation.name for operation in OPERATIONS if not operation.internal}
    assert whole["webhooks"]["doc.made"] == {"$ref": "#/components/pathItems/webhook.doc.made"}
    assert whole["components"]["pathItems"]["webhook.doc.made"]["post"]["requestBody"]


@pytest.mark.slow
def test_the_document_names_only_what_the_key_may_do(api: Api) -> None:
    weak = api.with_key(api.post("/v1/keys", {"scopes": ["events:write"]})["key"])
    whole = weak.get("/v1/openapi.json")
    validate(whole)
    free = {operation.name for operation in OPERATIONS if operation.scope is None and not operation.internal}
    assert operations(whole) == free | {"publish_event", "publish_batch"}
    assert "webhooks" not in whole and "CreatedKey" not in whole["components"]["schemas"]
    anonymous = api.with_key(None).get("/v1/openapi.json")
    validate(anonymous)
    assert operations(anonymous) == free
    assert api.with_key("tdk_wrong").call("GET", "/v1/openapi.json").status == 401


@pytest.mark.slow
def test_the_document_is_as_narrow_as_the_key(api: Api) -> None:
    scopes = ["keys:write", "events:write", "endpoints:write"]
    narrow = api.with_key(api.post("/v1/keys", {"scopes": scopes, "tenant": "acme"})["key"])
    schemas = narrow.get("/v1/openapi.json")["components"]["schemas"]
    assert sorted(schemas["NewKey"]["properties"]["scopes"]["items"]["enum"]) == sorted(scopes)
    for name in ("NewKey", "NewEvent", "NewEndpoint"):
        assert schemas[name]["properties"]["tenant"]["enum"] == ["acme", None], name


@pytest.mark.slow
def test_a_tenants_key_is_shown_nothing_that_belongs_to_the_whole_server(api: Api) -> None:
    tenant = api.with_key(api.post("/v1/keys", {"scopes": list(SCOPES), "tenant": "acme"})["key"])
    shown, wrong = operations(tenant.get("/v1/openapi.json")), []
    for operation in OPERATIONS:
        if operation.internal or operation.name in ("stream_events", "open_stream"):
            continue
        path = re.sub(r"\{[^}]*\}", "x", operation.path)
        body = () if operation.request is None else (operation.example or {},)
        answer = tenant.call(operation.method, path, *body)
        says = answer.json.get("detail", "") if answer.status == 403 else ""
        if operation.name in shown and "whole server" in says:
            wrong.append((operation.name, operation.name in shown, says))
    assert not wrong
    assert shown == {each.name for each in OPERATIONS if not each.internal and not each.whole}


@pytest.mark.slow
def test_every_body_has_an_example_that_fits(api: Api) -> None:
    whole = api.get("/v1/openapi.json")
    check = fitting(whole)
    answers = whole["components"]["responses"]
    for path, methods in whole["paths"].items():
        for method, operation in methods.items():
            bodies = [answers[status] if "$ref" in each else each for status, each in operation["responses"].items()]
            for body in [operation.get("requestBody", {}), *bodies]:
                for media, content in body.get("content", {}).items():
                    assert "example" in content, (method, path, media)
                    check(content)
            assert all(each.get("schema") and each.get("description") for each in operation.get("parameters", []))


def test_links_lead_from_what_is_made_to_its_end(api: Api) -> None:
    paths = api.get("/v1/openapi.json")["paths"]
    for things, name, field in (("endpoints", "id", "id"), ("event-types", "name", "name"), ("tenants", "id", "id")):
        one = things.removesuffix("s").replace("-", "_")
        made = paths[f"/v1/{things}"]["post"]["responses"]["201"]["links"]
        assert {f"get_{one}", f"edit_{one}", f"delete_{one}"} <= made.keys()
        assert made[f"get_{one}"]["parameters"] == {name: f"$response.body#/{field}"}
        there = paths[f"/v1/{things}/{{{name}}}"]
        read, changed = (there[method]["responses"]["200"]["links"] for method in ("get", "patch"))
        assert {f"edit_{one}", f"delete_{one}"} <= read.keys() and f"delete_{one}" in changed
        assert read[f"delete_{one}"]["parameters"] == {name: f"$request.path.{name}"}
    listed = paths["/v1/deliveries"]["get"]["responses"]["200"]["links"]["retry_delivery"]
    assert listed["parameters"] == {"id": "$response.body#/data/0/id"}
    # What answers nothing leads nowhere, and a dry run made nothing.
    assert "links" not in paths["/v1/replays"]["post"]["responses"]["200"]
    assert "cancel_replay" in paths["/v1/replays"]["post"]["responses"]["201"]["links"]


def test_somebodys_schema_becomes_components() -> None:
    given = {
        "type": "object",
        "properties": {"size": {"type": "integer", "minimum": 3}, "type": {"type": "string"}, "own": {"$ref": "#"}},
        "anyOf": [{"$ref": "#/$defs/a b"}, {"$ref": "#/properties/size"}],
        "default": {"type": "string"},
        "$defs": {"a b": {"type": ["array", "null"]}},
    }
    found = components_of("webhook.a", given)
    whole = found["webhook.a"]
    limits = {"format": "int64", "maximum": 2**63 - 1}
    assert whole["properties"]["size"] == {"type": "integer", "minimum": 3, **limits}
    assert whole["properties"]["type"] == {"type": "string", "maxLength": 2**31 - 1}
    assert whole["properties"]["own"] == {"$ref": "#/components/schemas/webhook.a"}
    assert [each["$ref"] for each in whole["anyOf"]] == [
        "#/components/schemas/webhook.a..a_b",
        "#/components/schemas/webhook.a/properties/size",
    ]
    # What is below values is not a schema.
    assert whole["default"] == {"type": "string"} and "$defs" not in whole
    assert found["webhook.a..a_b"] == {"type": ["array", "null"], "items": {}, "maxItems": 2**31 - 1}


def test_everything_that_the_document_refers_to_is_in_it(api: Api) -> None:
    whole = api.get("/v1/openapi.json")
    found = set(re.findall(r'"\$ref":"#/([^"]+)"', api.call("GET", "/v1/openapi.json").body.decode()))
    for name in found:
        there = whole
        for step in name.split("/"):
            there = there[step]
    assert "components/schemas/EventBatch" in found and "components/responses/429" in found


def test_body_checks_are_documented(api: Api) -> None:
    schemas = api.get("/v1/openapi.json")["components"]["schemas"]
    for name, fields in BOUNDS.items():
        assert fields.keys() <= schemas[name]["properties"].keys(), name
    assert schemas["NewEvent"]["properties"]["data"] == {"type": "object", "additionalProperties": True}
    seconds = schemas["EndpointPatch"]["properties"]["timeout_seconds"]
    told = {"type": ["number", "null"], "format": "double", "minimum": 0.1, "maximum": 30}
    assert {name: seconds[name] for name in told} == told


def test_a_body_may_be_described_by_a_schema() -> None:
    part = BodySchema("CarPart", {"type": "object", "properties": {"size": {"type": "integer"}}})
    car = BodySchema(
        "Car", {"type": "object", "properties": {"part": {"$ref": "#/components/schemas/CarPart"}}}, {"part": {}}
    )
    by_id = Parameter(
        name="id", schema={"type": "string", "pattern": "^c[0-9]{1,9}$", "maxLength": 10}, help="Which.", example="c1"
    )
    told: dict[str, Any] = {
        "handler": get_key,
        "scope": None,
        "tag": "Cars",
        "components": (part,),
        "path_parameters": (by_id,),
    }
    links = (
        NextOperation("read", "get_car", {"id": "$response.body#/id"}, "Read it."),
        NextOperation("steal", "steal_car", {"id": "$response.body#/id"}, "Not for this key."),
    )
    made = Operation(
        name="put_car", method="PUT", path="/v1/cars/{id}", summary="Make", request=car, links=links, **told
    )
    read = Operation(name="get_car", method="GET", path="/v1/cars/{id}", summary="Read", response=car, **told)
    found = document([made, read])
    validate(found)
    assert found["components"]["schemas"]["Car"] == car.schema and "CarPart" in found["components"]["schemas"]
    put, get = found["paths"]["/v1/cars/{id}"]["put"], found["paths"]["/v1/cars/{id}"]["get"]
    content = {"schema": {"$ref": "#/components/schemas/Car"}, "example": {"part": {}}}
    assert put["requestBody"]["content"]["application/json"] == content
    assert get["responses"]["200"]["content"]["application/json"] == content
    assert put["parameters"][0]["schema"] == by_id.schema and put["parameters"][0]["example"] == "c1"
    # What is not in the document cannot be linked to.
    assert put["responses"]["200"]["links"].keys() == {"read"}


def test_every_operation_is_explained_and_has_a_known_scope() -> None:
    names = [operation.name for operation in OPERATIONS]
    assert len(names) == len(set(names))
    places = [(operation.method, operation.path) for operation in OPERATIONS]
    assert len(places) == len(set(places))
    for operation in OPERATIONS:
        assert operation.summary and operation.handler.__doc__, operation.name
        assert operation.scope is None or operation.scope in SCOPES
        if operation.request is not None and not isinstance(operation.request, BodySchema):
            assert operation.request.__struct_config__.forbid_unknown_fields, operation.name


def test_health_needs_no_key_and_metrics_do(api: Api) -> None:
    nobody = api.with_key(None)
    assert nobody.get("/healthz") == nobody.get("/readyz") == {"status": "ok"}
    assert nobody.call("GET", "/metrics").status == 401
    api.publish("metrics.seen")
    text = api.call("GET", "/metrics").body.decode()
    assert "tidings_events_accepted_total" in text
    assert re.search(r'tidings_answers_total\{operation="publish_event",status="202"\} [1-9]', text)
    for name in ("tidings_route_lag_events", "tidings_in_flight", "process_resident_memory_bytes"):
        assert name in text


def test_head_is_get_without_a_body(api: Api) -> None:
    reply = api.call("HEAD", "/healthz")
    assert reply.status == 200 and reply.body == b"" and reply.headers["content-length"] == "15"
    assert api.call("HEAD", "/v1/events/stream").status == 200
