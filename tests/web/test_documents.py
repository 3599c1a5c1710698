"""What the server says about itself: OpenAPI for the calling key, the page, health and metrics."""

from __future__ import annotations

import re

from openapi_spec_validator import validate

from tidings.model.access import SCOPES
from tidings.testing import Api
from tidings.web.bounds import BOUNDS
from tidings.web.operations import OPERATIONS


def operations(document: dict[str, dict[str, dict[str, dict[str, str]]]]) -> set[str]:
    return {operation["operationId"] for methods in document["paths"].values() for operation in methods.values()}


def test_the_document_is_valid_and_whole_for_the_operator(api: Api) -> None:
    api.post("/v1/event-types", {"name": "doc.made", "schema": {"type": "object"}, "example": {"id": 1}})
    document = api.get("/v1/openapi.json")
    validate(document)
    assert operations(document) == {operation.name for operation in OPERATIONS}
    assert document["webhooks"]["doc.made"]["post"]["requestBody"]


def test_the_document_names_only_what_the_key_may_do(api: Api) -> None:
    weak = api.with_key(api.post("/v1/keys", {"scopes": ["events:write"]})["key"])
    document = weak.get("/v1/openapi.json")
    validate(document)
    free = {operation.name for operation in OPERATIONS if operation.scope is None}
    assert operations(document) == free | {"publish_event", "publish_batch"}
    assert "webhooks" not in document and "CreatedKey" not in document["components"]["schemas"]
    anonymous = api.with_key(None).get("/v1/openapi.json")
    validate(anonymous)
    assert operations(anonymous) == free
    assert api.with_key("tdk_wrong").call("GET", "/v1/openapi.json").status == 401


def test_everything_that_the_document_names_stands_in_it(api: Api) -> None:
    document = api.get("/v1/openapi.json")
    found = set(re.findall(r'"\$ref":"#/([^"]+)"', api.call("GET", "/v1/openapi.json").body.decode()))
    for name in found:
        there = document
        for step in name.split("/"):
            there = there[step]
    assert "components/schemas/EventBatch" in found and "components/responses/429" in found


def test_what_bodies_are_checked_for_is_told(api: Api) -> None:
    schemas = api.get("/v1/openapi.json")["components"]["schemas"]
    for name, fields in BOUNDS.items():
        assert fields.keys() <= schemas[name]["properties"].keys(), name
    assert schemas["NewEvent"]["properties"]["data"] == {"type": "object"}
    assert schemas["EndpointPatch"]["properties"]["timeout_seconds"]["maximum"] == 30


def test_every_operation_is_explained_and_has_a_known_scope() -> None:
    names = [operation.name for operation in OPERATIONS]
    assert len(names) == len(set(names))
    places = [(operation.method, operation.path) for operation in OPERATIONS]
    assert len(places) == len(set(places))
    for operation in OPERATIONS:
        assert operation.summary and operation.handler.__doc__, operation.name
        assert operation.scope is None or operation.scope in SCOPES
        if operation.request is not None:
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
