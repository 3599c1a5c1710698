"""Event types and tenants: small named things with revisions."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tidings.model.event import EventType
from tidings.testing import Api, TestServer


@pytest.mark.slow
def test_an_event_type_from_birth_to_death(api: Api) -> None:
    made = api.call("POST", "/v1/event-types", {"name": "life.begins", "description": "One."})
    assert made.status == 201 and made.headers["location"] == "/v1/event-types/life.begins"
    assert made.headers["etag"] == '"1"'
    assert api.call("POST", "/v1/event-types", {"name": "life.begins"}).status == 409
    path = "/v1/event-types/life.begins"
    assert api.call("GET", path, headers={"If-None-Match": '"1"'}).status == 304
    stale = api.call("PATCH", path, {"description": "Two."}, {"If-Match": '"7"'})
    assert stale.status == 412
    edited = api.call("PATCH", path, {"description": "Two."}, {"If-Match": '"1"'})
    assert edited.status == 200 and edited.json["description"] == "Two." and edited.headers["etag"] == '"2"'
    emptied = api.call("PATCH", path, {"description": None}, {"Content-Type": "application/merge-patch+json"})
    assert emptied.json["description"] == ""
    assert api.call("PUT", path, {"description": "Whole."}).status == 200
    taken = api.call("PUT", path, {}, {"If-None-Match": "*"})
    assert taken.status == 412 and taken.json["detail"].startswith("The event type life.begins already exists, but If-")
    assert api.call("DELETE", path, headers={"If-Match": '"1"'}).status == 412
    assert api.call("DELETE", path).status == 204
    assert api.call("GET", path).status == 404
    assert api.call("PUT", path, {}, {"If-Match": '"1"'}).status == 412
    assert api.call("PUT", path, {}).status == 201


WRONG_TYPES = {
    "no name": ({}, "/name"),
    "name": ({"name": "a b"}, "/name"),
    "ours": ({"name": "endpoint.new"}, "/name"),
    "schema": ({"name": "x.y", "schema": {"type": "wrong"}}, "/schema/type"),
    "schema from elsewhere": ({"name": "x.y", "schema": {"$ref": "http://127.0.0.1:9/schema"}}, "/schema"),
    "schema from a file": ({"name": "x.y", "schema": {"$ref": "file:///etc/passwd"}}, "/schema"),
    "example": ({"name": "x.y", "schema": {"type": "object"}, "example": []}, "/example"),
    "unknown": ({"name": "x.y", "color": 1}, "/color"),
    "large": ({"name": "x.y", "description": "x" * 2_001}, "/description"),
}


@pytest.mark.parametrize("name", WRONG_TYPES)
def test_wrong_event_types(api: Api, name: str) -> None:
    body, pointer = WRONG_TYPES[name]
    reply = api.call("POST", "/v1/event-types", body)
    assert reply.status == 422, reply.body
    assert reply.json["errors"][0]["pointer"].startswith(pointer)
    assert api.call("GET", "/v1/event-types/x.y").status == 404


def test_lists_go_page_by_page(api: Api) -> None:
    for number in range(5):
        api.post("/v1/event-types", {"name": f"page.{number}"})
    names = [kind["name"] for kind in api.pages("/v1/event-types", limit=2)]
    assert names == sorted(names) and {f"page.{number}" for number in range(5)} <= set(names)
    first = api.call("GET", "/v1/event-types?limit=2")
    link = first.headers["link"]
    assert link.endswith('rel="next"')
    following = api.call("GET", link[1 : link.index(">")])
    assert following.status == 200 and following.json["data"][0]["name"] == names[2]


def test_a_tenant_from_birth_to_death(api: Api) -> None:
    made = api.call("POST", "/v1/tenants", {"id": "acme", "name": "Acme"})
    assert made.status == 201 and made.headers["location"] == "/v1/tenants/acme"
    assert api.call("POST", "/v1/tenants", {"id": "acme"}).status == 409
    assert api.call("POST", "/v1/tenants", {"id": "*"}).status == 422
    assert api.patch("/v1/tenants/acme", {"name": "Acme Ltd"})["revision"] == 2
    assert api.call("PATCH", "/v1/tenants/acme", {"name": "x"}, {"If-Match": '"1"'}).status == 412
    key = api.post("/v1/keys", {"scopes": ["events:read"], "tenant": "acme"})
    refused = api.call("DELETE", "/v1/tenants/acme")
    assert refused.status == 409 and b"still has 1 key. Delete them" in refused.body
    api.delete(f"/v1/keys/{key['id']}")
    assert api.call("DELETE", "/v1/tenants/acme").status == 204
    assert api.call("GET", "/v1/tenants/acme").status == 404


def test_a_key_of_a_tenant_sees_its_own_and_changes_nothing_of_all(api: Api) -> None:
    for tenant in ("one", "two"):
        api.post("/v1/tenants", {"id": tenant})
    scopes = ["tenants:read", "tenants:write", "event-types:read", "event-types:write"]
    theirs = api.with_key(api.post("/v1/keys", {"scopes": scopes, "tenant": "one"})["key"])
    assert [tenant["id"] for tenant in theirs.get("/v1/tenants")["data"]] == ["one"]
    assert theirs.call("GET", "/v1/tenants/two").json["detail"] == "There is no tenant two."
    assert theirs.call("GET", "/v1/tenants/two").status == theirs.call("GET", "/v1/tenants/none").status == 404
    assert theirs.call("POST", "/v1/tenants", {"id": "three"}).status == 403
    assert theirs.call("DELETE", "/v1/tenants/one").status == 403
    assert theirs.call("PUT", "/v1/event-types/a.b", {}).status == 403


def doubling(levels: int) -> dict[str, Any]:
    steps: dict[str, Any] = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/a0", "$defs": {**steps, f"a{levels}": {"type": "object"}}}


@pytest.mark.slow
def test_a_schema_that_asks_too_often_is_refused_with_its_place(api: Api) -> None:
    reply = api.call("POST", "/v1/event-types", {"name": "costly.one", "schema": doubling(27)})
    assert reply.status == 422
    (place,) = reply.json["errors"]
    assert place["pointer"].startswith("/schema/$defs/") and "checks of one value" in place["detail"]
    field = {"fields": {"x": {"type": "object", "schema": doubling(27)}}}
    reply = api.call("PUT", "/v1/collections/costly", field)
    assert reply.status == 422
    assert reply.json["errors"][0]["pointer"].startswith("/fields/x/schema/$defs/")


@pytest.mark.slow
def test_a_schema_from_before_its_cost_was_bounded_refuses_what_it_cannot_check(api: Api, server: TestServer) -> None:
    assert server.server is not None
    catalog, writer = server.server.parts.catalog, server.server.writer
    kind = EventType(name="costly.old", schema=json.dumps(doubling(27), separators=(",", ":")))
    writer.wait(lambda db: catalog.put_event_type(db, kind))
    began = time.monotonic()
    reply = api.call("POST", "/v1/events", {"type": "costly.old", "data": {}})
    assert reply.status == 422 and reply.json["errors"][0]["code"] == "too_costly"
    assert time.monotonic() - began < 5  # it was 16 s
    assert api.patch("/v1/event-types/costly.old", {"description": "still there"})["description"]
    api.delete("/v1/event-types/costly.old")
