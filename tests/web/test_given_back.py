"""What GET gave can be given back with PUT and PATCH."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.test_endpoints import create
from tidings.testing import Api
from tidings.web.habits.given import own_members
from tidings.web.operations import OPERATIONS

OTHER: dict[str, Any] = {
    "id": "other",
    "name": "other",
    "tenant": "other",
    "collection": "other",
    "state": "paused",
    "reason": "so",
    "created": "2020-01-01T00:00:00Z",
    "updated": 5,
    "revision": "x",
    "health": 1,
    "waiting": "many",
    "next_due": 7,
    "last_due": [],
    "last_run": 7,
    "links": 5,
    "indexes": 7,
    "ca": [],
    "url": "/in/other",
    "secret_count": 9,
    "client_certificate": {"subject": "CN=x", "fingerprint": "0" * 64, "expires": "2030-01-01T00:00:00Z"},
}
WRITES = {
    operation.name: (operation.method, own_members(operation)) for operation in OPERATIONS if own_members(operation)
}


@pytest.fixture
def paths(api: Api) -> dict[str, str]:
    for method, path, body in (
        ("PUT", "/v1/collections/things", {"fields": {"title": {"type": "string", "filterable": True}}}),
        ("PUT", "/v1/event-types/told.back", {"schema": {"type": "object"}, "example": {}}),
        ("POST", "/v1/tenants", {"id": "told", "name": "Told"}),
        ("PUT", "/v1/connections/told", {"base": "https://api.example.com", "auth": {"basic": ["user", "password"]}}),
        ("PUT", "/v1/links/told", {"when": {"event": "a"}, "item": {"collection": "things", "delete": "a"}}),
    ):
        assert api.call(method, path, body).status in (200, 201, 409)
    hooks = {hook["path"]: hook for hook in api.get("/v1/hooks")["data"]}
    forms = {form["path"]: form for form in api.get("/v1/forms")["data"]}
    form = forms.get("told") or api.post("/v1/forms", {"path": "told", "fields": {"name": {"min": 1}, "n": {}}})
    hook = hooks.get("told") or api.post("/v1/hooks", {"path": "told", "scheme": "github", "secrets": ["s3"]})
    endpoint = create(api, headers={"X-Secret": "s3"}, batch={"max_events": 5}, fields=["a"], rate=2.5)
    return {
        "collection": "/v1/collections/things",
        "event_type": "/v1/event-types/told.back",
        "tenant": "/v1/tenants/told",
        "endpoint": f"/v1/endpoints/{endpoint['id']}",
        "hook": f"/v1/hooks/{hook['id']}",
        "form": f"/v1/forms/{form['id']}",
        "link": "/v1/links/told",
        "connection": "/v1/connections/told",
    }


def test_all_changing_operations_are_covered() -> None:
    assert set(WRITES) == {
        *("put_collection", "edit_collection", "put_event_type", "edit_event_type"),
        *("edit_tenant", "edit_endpoint", "edit_hook", "put_form", "edit_form", "put_link", "put_connection"),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITES)
def test_what_get_returned_is_accepted_back(api: Api, paths: dict[str, str], name: str) -> None:
    method, own = WRITES[name]
    path = paths[name.partition("_")[2]]
    known = api.get(path)
    reply = api.call(method, path, known)
    assert reply.status == 200, reply
    changing = {"revision", "updated", "health", "indexes"}
    assert {**reply.json, **dict.fromkeys(changing)} == {**known, **dict.fromkeys(changing)}
    stale = api.call(method, path, {**reply.json, "revision": reply.json["revision"] + 1})
    assert stale.status == 412
    assert [(place["pointer"], place["code"]) for place in stale.json["errors"]] == [("/revision", "stale")]
    known = api.get(path)
    for each in own:
        reply = api.call(method, path, {**known, each: OTHER[each]})
        assert reply.status == 422, (each, reply)
        assert [place["pointer"] for place in reply.json["errors"]] == [f"/{each}"]
        assert api.call(method, path, {**known, f"{each}x": 1}).json["errors"][0]["code"] == "unknown_field"


def test_a_new_resource_has_no_read_only_members_yet(api: Api) -> None:
    for path in ("/v1/collections/fresh", "/v1/event-types/fresh.one"):
        name = path.rpartition("/")[2]
        reply = api.call("PUT", path, {"name": name, "revision": 1, "created": "2020-01-01T00:00:00Z"})
        assert {place["pointer"] for place in reply.json["errors"]} == {"/revision", "/created"}
        assert api.call("PUT", path, {"name": name}).status == 201


@pytest.mark.slow
def test_a_masked_header_keeps_its_value(api: Api, paths: dict[str, str]) -> None:
    known = api.get(paths["endpoint"])
    assert known["headers"] == {"X-Secret": "***"}
    after = api.call("PATCH", paths["endpoint"], known).json
    assert after["revision"] == known["revision"], "nothing was changed"
