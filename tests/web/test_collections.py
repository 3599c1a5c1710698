"""Collections over HTTP: declared, changed, renamed, dropped, planned and applied."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tidings.store.items import tables
from tidings.testing import Api, TestServer, until

FIELDS: dict[str, Any] = {
    "title": {"type": "string", "required": True, "max": 200, "searchable": True},
    "done": {"type": "boolean", "default": False, "filterable": True},
    "due": {"type": "date", "filterable": True, "sortable": True},
    "note": "string",
}
TASKS: dict[str, Any] = {
    "description": "Things to do.",
    "fields": FIELDS,
    "events": {"completed": "when done becomes true"},
    "questions": {"by_days": ["due__gte", "due__lt"]},
}


@pytest.fixture(params=["at once", "in slices"])
def clean(api: Api, server: TestServer, request: pytest.FixtureRequest, monkeypatch: Any) -> Iterator[Api]:
    """A server without collections, which carries declarations out in either way."""
    if request.param == "in slices":
        assert server.server is not None
        monkeypatch.setattr(server.server._declaring, "at_once", -1)
    yield api
    for _ in range(3):
        for collection in api.pages("/v1/collections"):
            api.call("DELETE", f"/v1/collections/{collection['name']}", drop_values="true")


def put_items(server: TestServer, collection: str, count: int, **values: Any) -> None:
    """Items by SQL: other tests cover how they are made."""
    assert server.server is not None
    columns = ", ".join(f'"f_{name}"' for name in values)
    marks = ", ".join(f":{name}" for name in values)
    table = tables.table(server.server.parts.catalog.now.collections[collection])
    sql = f"INSERT INTO {table} (id, tenant, revision, created, updated, {columns}) VALUES (:id, '', 1, 1, 1, {marks})"

    def job(db: Any) -> None:
        for n in range(count):
            db.execute(sql, {"id": f"i{n}", **values})

    server.server.parts.writer.wait(job)


def places(reply: Any) -> list[tuple[str | None, str]]:
    return [(place.get("pointer") or place.get("parameter"), place["code"]) for place in reply.json["errors"]]


@pytest.mark.slow
def test_a_collection_from_birth_to_death(clean: Api) -> None:
    made = clean.call("POST", "/v1/collections", {"name": "tasks", **TASKS})
    assert made.status == 201 and made.headers["location"] == "/v1/collections/tasks", made.json
    assert made.headers["etag"] == '"1"' and made.json["fields"]["note"] == {"type": "string"}
    assert made.json["events"] == {"completed": {"when": "done becomes true"}}
    assert made.json["questions"] == {"by_days": {"parameters": ["due__gte", "due__lt"]}}
    assert clean.call("POST", "/v1/collections", {"name": "tasks"}).status == 409
    there = clean.call("GET", "/v1/collections/tasks")
    assert {**there.json, "indexes": ""} == {**made.json, "indexes": ""} and there.headers["etag"] == '"1"'
    until(lambda: clean.get("/v1/collections/tasks")["indexes"] == "ready", "the indexes are made")
    assert clean.call("GET", "/v1/collections/tasks", headers={"If-None-Match": '"1"'}).status == 304
    patch = {"fields": {"note": {"max": 500}}, "description": None}
    edited = clean.call("PATCH", "/v1/collections/tasks", patch, headers={"If-Match": '"1"'})
    assert edited.status == 200 and edited.headers["etag"] == '"2"'
    assert edited.json["fields"]["note"] == {"type": "string", "max": 500} and edited.json["description"] == ""
    assert edited.json["fields"].keys() == FIELDS.keys()
    assert clean.call("PATCH", "/v1/collections/tasks", patch, headers={"If-Match": '"1"'}).status == 412
    same = clean.call("PATCH", "/v1/collections/tasks", patch)
    assert same.headers["etag"] == '"2"'
    assert [each["name"] for each in clean.get("/v1/collections")["data"]] == ["tasks"]
    assert clean.call("DELETE", "/v1/collections/tasks", headers={"If-Match": '"1"'}).status == 412
    assert clean.call("DELETE", "/v1/collections/tasks").status == 204
    for method in ("GET", "DELETE"):
        assert clean.call(method, "/v1/collections/tasks").status == 404
    assert clean.call("PATCH", "/v1/collections/tasks", {}).status == 404


@pytest.mark.slow
def test_put_creates_or_replaces(clean: Api) -> None:
    path = "/v1/collections/tasks"
    assert clean.call("PUT", path, TASKS, headers={"If-Match": '"1"'}).status == 412
    made = clean.call("PUT", path, TASKS, headers={"If-None-Match": "*"})
    assert (made.status, made.headers["location"]) == (201, path)
    assert clean.call("PUT", path, TASKS, headers={"If-None-Match": "*"}).status == 412
    again = clean.call("PUT", path, TASKS)
    assert (again.status, again.headers["etag"]) == (200, '"1"')
    read = clean.get(path)
    body = {part: read[part] for part in ("description", "fields", "events", "questions")}
    assert clean.call("PUT", path, body).headers["etag"] == '"1"'
    fewer = clean.call("PUT", path, {"fields": {"title": FIELDS["title"]}}, headers={"If-Match": '"1"'})
    assert fewer.status == 200 and fewer.json["fields"].keys() == {"title"} and fewer.headers["etag"] == '"2"'


def test_mistakes_are_reported_one_by_one(clean: Api) -> None:
    wrong = {"name": "Tasks", "fields": {"id": "string", "f": {"type": "enum"}}, "events": {}}
    assert places(clean.call("POST", "/v1/collections", wrong)) == [
        ("/name", "name"),
        ("/fields/id", "name"),
        ("/fields/f", "incomplete"),
    ]
    assert places(clean.call("PUT", "/v1/collections/tasks", {"feilds": {}})) == [("/feilds", "unknown_field")]
    assert clean.call("PUT", "/v1/collections/A-b", {}).status == 422
    body = {"collections": {"tasks": {"fields": {"f": {"type": "reference", "to": "nobody"}}}}}
    for verb in ("plan", "apply"):
        reply = clean.call("POST", f"/v1/collections:{verb}", body)
        assert places(reply) == [("/collections/tasks/fields/f/to", "reference")]
    assert clean.pages("/v1/collections") == []


@pytest.mark.slow
def test_a_loss_of_values_is_refused_unless_confirmed(clean: Api, server: TestServer) -> None:
    clean.post("/v1/collections", {"name": "tasks", **TASKS})
    put_items(server, "tasks", 3, title="t", note="n")
    for method, body in (("PUT", {"fields": {"title": FIELDS["title"]}}), ("PATCH", {"fields": {"note": None}})):
        reply = clean.call(method, "/v1/collections/tasks", body)
        assert (reply.status, reply.json["code"]) == (409, "would_lose")
        assert reply.json["detail"].startswith("This change would drop 1 column with 3 values: tasks.note.")
    # A field without a value loses nothing.
    assert clean.call("PATCH", "/v1/collections/tasks", {"fields": {"due": None}, "questions": None}).status == 200
    meant = clean.call("PATCH", "/v1/collections/tasks", {"fields": {"note": None}}, drop_values="true")
    assert meant.status == 200 and "note" not in meant.json["fields"]
    gone = clean.call("DELETE", "/v1/collections/tasks")
    assert (gone.status, gone.json["code"]) == (409, "would_lose")
    assert "drop 1 collection with 3 items: tasks" in gone.json["detail"]
    assert clean.call("DELETE", "/v1/collections/tasks", drop_values="true").status == 204


@pytest.mark.slow
def test_renames_keep_items_and_references_follow(clean: Api, server: TestServer) -> None:
    clean.post("/v1/collections", {"name": "people", "fields": {"name": "string"}})
    clean.post("/v1/collections", {"name": "tasks", "fields": {"owner": {"type": "reference", "to": "people"}}})
    put_items(server, "people", 2, name="Ann")
    refused = clean.call("DELETE", "/v1/collections/people", drop_values="true")
    assert (refused.status, refused.json["code"]) == (409, "referenced") and "tasks.owner" in refused.json["detail"]
    body = {"was": "people", "fields": {"called": {"type": "string", "was": "name"}}}
    renamed = clean.call("PUT", "/v1/collections/persons", body)
    assert renamed.status == 201, renamed.json
    assert clean.get("/v1/collections/tasks")["fields"]["owner"]["to"] == "persons"
    assert clean.call("GET", "/v1/collections/people").status == 404
    lost = clean.call("PATCH", "/v1/collections/persons", {"fields": {"called": None}})
    assert "1 column with 2 values: persons.called" in lost.json["detail"]
    # Once done, the same declaration changes nothing.
    assert clean.call("PUT", "/v1/collections/persons", body).headers["etag"] == renamed.headers["etag"]


@pytest.mark.slow
def test_permits_of_keys_follow(clean: Api) -> None:
    clean.post("/v1/collections", {"name": "people", "fields": {"name": "string", "pay": "integer"}})
    clean.post("/v1/items/people", {"name": "Ann", "pay": 3})
    made = clean.post("/v1/keys", {"permits": [{"collection": "people", "verbs": ["list"], "read": ["name"]}]})
    key = clean.with_key(made["key"])
    assert key.get("/v1/items/people")["data"][0]["name"] == "Ann"
    body = {
        "was": "people",
        "fields": {"called": {"type": "string", "was": "name"}, "name": {"type": "integer", "was": "pay"}},
    }
    assert clean.call("PUT", "/v1/collections/persons", body).status == 201
    (seen,) = key.get("/v1/items/persons")["data"]
    assert seen["called"] == "Ann" and "name" not in seen
    clean.call("DELETE", "/v1/collections/persons", drop_values="true")
    clean.post("/v1/collections", {"name": "persons", "fields": {"called": "string"}})
    assert key.call("GET", "/v1/items/persons").status == 404


@pytest.mark.slow
def test_a_declaration_that_items_violate_is_refused_with_examples(clean: Api, server: TestServer) -> None:
    clean.post("/v1/collections", {"name": "tasks", **TASKS})
    put_items(server, "tasks", 4, title="a long one")
    patch = {"fields": {"title": {"max": 3}, "note": {"required": True}}}
    reply = clean.call("PATCH", "/v1/collections/tasks", patch)
    assert reply.status == 409
    assert places(reply) == [("/fields/title", "items_fits"), ("/fields/note", "items_required")]
    assert (
        "4 items of tasks" in reply.json["errors"][0]["detail"]
        and "i0, i1, i2 and more" in reply.json["errors"][0]["detail"]
    )
    reply = clean.call("PATCH", "/v1/collections/tasks", {"fields": {"title": {"unique": True, "max": 99}}})
    assert (reply.status, reply.json["code"]) == (409, "items_unique")
    reply = clean.call("PATCH", "/v1/collections/tasks", {"fields": {"title": "integer"}})
    assert (reply.status, reply.json["code"]) == (409, "cannot_convert")
    assert clean.get("/v1/collections/tasks")["revision"] == 1


def test_a_plan_of_links_is_not_named_without_links(clean: Api) -> None:
    body = {"collections": {"tasks": TASKS}, "links_plan": "plan_000000000000000000000000"}
    refused = clean.call("POST", "/v1/collections:apply", body)
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/links_plan")
    assert clean.pages("/v1/collections") == []


@pytest.mark.slow
def test_a_plan_is_shown_and_then_applied_as_it_was_shown(clean: Api, server: TestServer) -> None:
    body: dict[str, Any] = {"collections": {"tasks": TASKS, "people": {}}}
    plan = clean.post("/v1/collections:plan", body)
    assert [step["says"] for step in plan["steps"]] == [
        "will create the collection tasks with 4 fields",
        "will create the collection people with 0 fields",
    ]
    assert plan["loses"] is None and plan["refusals"] == [] and not plan["applied"]
    assert clean.pages("/v1/collections") == []
    done = clean.post("/v1/collections:apply", {**body, "plan": plan["plan"]})
    assert done["applied"] and done["steps"] == plan["steps"]
    assert clean.post("/v1/collections:plan", body)["steps"] == []
    stale = clean.call("POST", "/v1/collections:apply", {**body, "plan": plan["plan"]})
    assert (stale.status, stale.json["code"]) == (409, "plan_changed")
    put_items(server, "tasks", 2, title="t", note="n")
    fewer = {"collections": {"tasks": {"fields": {"title": FIELDS["title"]}}}}
    plan = clean.post("/v1/collections:plan", fewer)
    assert plan["loses"] == "drop 1 column with 2 values: tasks.note" and plan["stays"] == ["people"]
    assert sum(step["loses"] for step in plan["steps"]) == 2
    assert clean.call("POST", "/v1/collections:apply", fewer).json["code"] == "would_lose"
    assert clean.post("/v1/collections:apply", {**fewer, "drop_values": True, "plan": plan["plan"]})["applied"]
    pruned = clean.post("/v1/collections:apply", {**fewer, "prune": True})
    assert [step["do"] for step in pruned["steps"]] == ["drop_collection"]
    assert [each["name"] for each in clean.pages("/v1/collections")] == ["tasks"]


def test_one_wrong_declaration_stops_all(clean: Api) -> None:
    body = {"collections": {"a": {}, "b": {"fields": {"f": "what"}}}}
    assert clean.call("POST", "/v1/collections:apply", body).status == 422
    clean.post("/v1/event-types", {"name": "b.created"})
    taken = clean.call("POST", "/v1/collections:apply", {"collections": {"a": {}, "b": {}}})
    assert (taken.status, taken.json["code"]) == (409, "event_type_taken")
    assert clean.pages("/v1/collections") == []
    clean.delete("/v1/event-types/b.created")


@pytest.mark.slow
def test_the_same_key_makes_it_once(clean: Api) -> None:
    headers = {"Idempotency-Key": "declare-once"}
    first = clean.call("POST", "/v1/collections", {"name": "tasks", **TASKS}, headers=headers)
    again = clean.call("POST", "/v1/collections", {"name": "tasks", **TASKS}, headers=headers)
    assert first.status == again.status == 201 and first.json == again.json
    assert again.headers["idempotency-replayed"] == "true"


@pytest.mark.slow
@pytest.mark.few(1)
def test_changes_are_event_types(clean: Api) -> None:
    clean.post("/v1/collections", {"name": "tasks", **TASKS})
    names = ["tasks.completed", "tasks.created", "tasks.deleted", "tasks.updated"]
    listed = {each["name"]: each for each in clean.pages("/v1/event-types")}
    assert [name for name in listed if name.startswith("tasks.")] == names
    kind = clean.get("/v1/event-types/tasks.completed")
    assert kind == listed["tasks.completed"] and kind["collection"] == "tasks"
    assert kind["schema"]["properties"]["title"]["maxLength"] == 200 and kind["example"]["done"] is False
    for method, body in (("PUT", {}), ("PATCH", {"description": "x"}), ("DELETE", None)):
        refused = clean.call(method, "/v1/event-types/tasks.completed", body)
        assert (refused.status, refused.json["code"]) == (409, "brought_by_collection")
    assert clean.call("POST", "/v1/event-types", {"name": "tasks.created"}).status == 409
    published = clean.call("POST", "/v1/events", {"type": "tasks.created", "data": {}})
    assert published.status == 422 and places(published) == [("/type", "own_event_type")]
    assert "Only Tidings itself publishes" in published.json["errors"][0]["detail"]
    assert clean.publish("tasks.other")
    document = clean.get("/v1/openapi.json")
    sent = document["components"]["pathItems"]["webhook.tasks.completed"]["post"]["requestBody"]
    assert sent["content"]["application/json"]["example"]["data"]["title"] == "text"
    hook, created = (document["components"]["schemas"][f"sent.tasks.{each}"] for each in ("completed", "created"))
    assert hook["properties"]["collection"] == {"const": "tasks", "type": "string"}
    assert "previous" in hook["properties"] and "previous" not in created["properties"]
    clean.patch("/v1/collections/tasks", {"events": {"completed": None}})
    assert clean.call("GET", "/v1/event-types/tasks.completed").status == 404
    assert clean.publish("tasks.completed")


@pytest.mark.slow
def test_tenants_can_read_collections_but_not_change_them(clean: Api) -> None:
    clean.post("/v1/collections", {"name": "tasks", **TASKS})
    key = clean.post("/v1/keys", {"scopes": ["collections:read", "collections:write"], "tenant": "acme"})["key"]
    tenant = clean.with_key(key)
    assert tenant.get("/v1/collections/tasks")["name"] == "tasks"
    for method, path, body in (
        ("POST", "/v1/collections", {"name": "x"}),
        ("PUT", "/v1/collections/tasks", {}),
        ("PATCH", "/v1/collections/tasks", {}),
        ("DELETE", "/v1/collections/tasks", None),
        ("POST", "/v1/collections:plan", {"collections": {}}),
        ("POST", "/v1/collections:apply", {"collections": {}}),
    ):
        assert tenant.call(method, path, body).status == 403, (method, path)


@pytest.mark.slow
def test_declarations_and_tables_outlive_a_restart(clean: Api, server: TestServer) -> None:
    clean.post("/v1/collections", {"name": "tasks", **TASKS})
    put_items(server, "tasks", 1, title="t")
    server.restart()
    assert server.api.get("/v1/collections/tasks")["fields"].keys() == FIELDS.keys()
    assert server.api.get("/v1/event-types/tasks.completed")["collection"] == "tasks"
    assert server.api.call("DELETE", "/v1/collections/tasks").json["code"] == "would_lose"


@pytest.mark.slow
def test_the_same_declaration_sent_twice_at_once_is_carried_out_once(clean: Api) -> None:
    body = {"collections": {"tasks": {"fields": FIELDS}}}
    with ThreadPoolExecutor(2) as threads:
        key = {"Idempotency-Key": f"declared-{time.monotonic_ns()}"}
        replies = list(threads.map(lambda _: clean.call("POST", "/v1/collections:apply", body, key), range(2)))
    assert [reply.status for reply in replies] == [200, 200] and replies[0].json == replies[1].json
    assert sum("idempotency-replayed" in reply.headers for reply in replies) == 1
    assert clean.get("/v1/collections/tasks")["revision"] == 1
