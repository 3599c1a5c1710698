"""What all lists and single things have in common: fields, sort, count, cursors, entity tags."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.web.test_deliveries import ended
from tests.web.wire import get, send
from tidings.testing import Api, Receiver, TestServer
from tidings.web.operation import Operation
from tidings.web.operations import OPERATIONS

LISTS = [operation for operation in OPERATIONS if operation.is_list]
ASKED_FOR_MORE = ("get_kept",)
"""It reads by a subject, and only what a call has kept: tests/calls/test_keep.py."""
SINGLES = [
    op
    for op in OPERATIONS
    if op.item is not None and not op.is_list and not op.stream and op.name not in ASKED_FOR_MORE
]
NAMED = ("links", "connections", "event-types", "collections", "schemes")
NAMES = {f"/v1/{things}": "name" for things in NAMED}
"""What a thing's path ends with, where that is not its id."""
OF_A_TENANT = {"/v1/portal-links": "/v1/tenants/alpha/portal-links"}
"""Where things are listed that each belong to a tenant."""


@pytest.fixture(scope="module", autouse=True)
def _things(server: TestServer) -> Any:
    """A few of everything."""
    api = server.api
    for name in ("beta", "alpha", "gamma"):
        api.post("/v1/tenants", {"id": name, "name": "same" if name != "alpha" else "other"})
        api.post("/v1/event-types", {"name": f"type.{name}"})
        api.post("/v1/collections", {"name": name})
        api.call("PUT", f"/v1/connections/{name}", {"base": f"https://{name}.example"})
        api.call(
            "PUT",
            f"/v1/links/{name}",
            {"when": {"event": f"{name}.*"}, "item": {"collection": name, "delete": "{{ subject }}"}},
        )
        api.post("/v1/keys", {"scopes": ["events:read"], "name": "same" if name != "alpha" else "other"})
    for _ in range(3):
        api.post("/v1/tenants/alpha/portal-links")
    # The first by name: it has a secret to read.
    signs = {"when": {"event": "alpha.*"}, "call": {"via": "alpha", "post": "/x", "sign": "standard-webhooks"}}
    api.put("/v1/links/aaa", signs)
    with Receiver() as receiver:
        endpoint, _ = api.register(receiver.url("/"), events=["some.*"])
        api.register(receiver.url("/never"), events=["never"])
        for number in range(7):
            api.publish("some.a", {"n": number, "text": f"t{number}"}, subject=f"s{number}")
        ended(api, endpoint, "delivered", 7)
        for path in ("one", "two"):
            api.post("/v1/hooks", {"path": path, "scheme": "github", "secrets": ["s3"]})
            api.post("/v1/forms", {"path": path, "fields": {"name": {}}})
            for body in (b"1", b"2"):
                api.call("POST", f"/in/{path}", body, {"X-Hub-Signature-256": "sha256=" + "0" * 64})
        while len(api.get("/v1/refusals")["data"]) < 4:
            time.sleep(0.05)
        for _ in range(2):
            api.post("/v1/replays", {"endpoint_id": endpoint, "since": "2020-01-01T00:00:00Z"})
        yield


def listed_at(operation: Operation) -> str:
    """The path of a list."""
    return operation.path.replace("{id}", "alpha")


def one(api: Api, operation: Operation) -> str:
    """The path of some thing that the operation reads."""
    collection = operation.path.partition("/{")[0]
    collection = OF_A_TENANT.get(collection, collection)
    thing: dict[str, str] = api.get(collection, limit=1)["data"][0]
    head, _, rest = operation.path.partition("{")
    return head + thing[NAMES.get(collection, "id")] + rest.partition("}")[2]


REPORTS = (
    "openapi",
    "list_shares",
    "get_server",
    "show_caller",
    "get_health",
    "list_failure_reasons",
    "get_tallies",
    "list_jobs",
    "get_receipt_body",
)
"""Of the whole server, or bytes: neither lists nor things."""


def test_every_list_and_every_single_thing_has_the_habits() -> None:
    reads = [op for op in OPERATIONS if op.method == "GET" and op.path.startswith("/v1/") and op.name not in REPORTS]
    for operation in reads:
        names = {parameter.name for parameter in operation.parameters}
        assert "fields" in names, operation.name
        if operation in LISTS:
            assert {"limit", "cursor", "sort", "count"} <= names and operation.sorts, operation.name
        elif not operation.stream:
            assert "If-None-Match" in names, operation.name
    assert {op.path for op in LISTS if "{" not in op.path} == {
        op.path for op in reads if "{" not in op.path and not op.stream
    }


# --- fields -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", LISTS, ids=lambda operation: operation.name)
def test_a_list_answers_only_the_fields_that_are_asked_for(api: Api, operation: Operation) -> None:
    path = listed_at(operation)
    whole = api.get(path, limit=2)
    name = next(iter(whole["data"][0]))
    other = next(each for each in ("created", "received", "title") if each in whole["data"][0])
    page = api.get(path, limit=2, fields=f"{other},{name}")
    assert page["data"] == [{name: each[name], other: each[other]} for each in whole["data"]]
    assert page.keys() == whole.keys()
    reply = api.call("GET", path, fields=f"{name},colour")
    assert reply.status == 422 and reply.json["errors"][0]["parameter"] == "fields"
    said = reply.json["errors"][0]["detail"]
    assert "'colour'" in said and other in said


@pytest.mark.parametrize("operation", SINGLES, ids=lambda operation: operation.name)
def test_a_single_thing_answers_only_the_fields_that_are_asked_for(api: Api, operation: Operation) -> None:
    path = one(api, operation)
    whole = api.get(path)
    name = next(iter(whole))
    assert api.get(path, fields=name) == {name: whole[name]}
    reply = api.call("GET", path, fields="colour")
    assert reply.status == 422 and name in reply.json["errors"][0]["detail"]


@pytest.mark.slow
def test_fields_below_data_are_answered_as_they_were_sent(server: TestServer, api: Api) -> None:
    data = b'{"price":1.50,"deep":{"er":[{"a":1,"b":2},{"b":3}]},"big":9007199254740993,"a b":1}'
    api.call("POST", "/v1/events", b'{"type":"fields.a","id":"fields:1","data":' + data + b"}")
    said = send(server.url, get("/v1/events?type=fields.a&fields=data.price,id,data.deep.er.b,data.none,data.big"))
    wanted = b'{"id":"fields:1","data":{"price":1.50,"deep":{"er":[{"b":2},{"b":3}]},"big":9007199254740993}}'
    assert said.body == b'{"data":[' + wanted + b'],"next_cursor":null}'
    assert send(server.url, get("/v1/events/fields:1?fields=data.price,id,data.deep.er.b,data.big")).body == wanted
    assert api.get("/v1/events/fields:1", fields="data.a b,data") == {"data": api.get("/v1/events/fields:1")["data"]}
    cursor = api.get("/v1/events", after="start", limit=1)["next_cursor"]
    caught = api.get("/v1/events", after=cursor, fields="data.price", type="fields.a")
    assert caught["data"] == [{"data": {"price": 1.5}}] and caught["next_cursor"]
    for wrong in ("subject.x", "data.", "data..a", "", "id,,type", "id\n", "data" + ".a" * 40, ",".join(["id"] * 51)):
        assert api.call("GET", "/v1/events", fields=wrong).status == 422, wrong


# --- sort, cursors, count ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("operation", LISTS, ids=lambda operation: operation.name)
def test_lists_are_sorted_both_ways_and_page_by_page(api: Api, operation: Operation) -> None:
    path = listed_at(operation)
    unsorted = api.pages(path, limit=1000)
    assert len(unsorted) > 1 and unsorted == api.pages(path, limit=2, sort=operation.sorts[0])
    for name in operation.sorts:
        found = api.pages(path, limit=2, sort=name)
        plain = name.removeprefix("-")
        values = [each[plain] for each in found]
        assert values == sorted(values, reverse=name != plain), name
        assert sorted(map(repr, found)) == sorted(map(repr, unsorted))
    reply = api.call("GET", path, sort="colour")
    assert reply.status == 422 and reply.json["errors"][0]["parameter"] == "sort"
    assert all(name in reply.json["detail"] + str(reply.json["errors"]) for name in operation.sorts)


def test_several_may_be_named_where_the_list_is_small(api: Api) -> None:
    found = [(each["name"], each["id"]) for each in api.pages("/v1/tenants", limit=1, sort="-name,id")]
    assert found == [("same", "beta"), ("same", "gamma"), ("other", "alpha")]
    found = [(each["name"], each["id"]) for each in api.pages("/v1/tenants", limit=1, sort="name,-id")]
    assert found == [("other", "alpha"), ("same", "gamma"), ("same", "beta")]
    assert api.call("GET", "/v1/tenants", sort="name,-name").json["errors"][0]["code"] == "repeated"
    assert api.call("GET", "/v1/events", sort="created,-created").status == 422


@pytest.mark.parametrize("operation", LISTS, ids=lambda operation: operation.name)
def test_a_cursor_belongs_to_its_sort(api: Api, operation: Operation) -> None:
    path = listed_at(operation)
    first, other = operation.sorts[:2]
    cursor = api.get(path, limit=1)["next_cursor"]
    assert api.call("GET", path, limit=1, cursor=cursor, sort=first).status == 200
    assert api.call("GET", path, limit=1, cursor=cursor, fields=first.strip("-"), count="true").status == 200
    reply = api.call("GET", path, limit=1, cursor=cursor, sort=other)
    assert reply.status == 422 and reply.json["errors"][0]["code"] == "wrong_cursor"


def test_a_cursor_may_hold_the_longest_names(api: Api) -> None:
    made = [f"long-{number}-{'x' * 50}" for number in (1, 2)]
    for each in made:
        api.post("/v1/tenants", {"id": each, "name": "\N{GRINNING FACE}" * 200})
    page = api.get("/v1/tenants", sort="-name,id", limit=1)
    assert api.get("/v1/tenants", sort="-name,id", limit=1, cursor=page["next_cursor"])["data"] != page["data"]
    for each in made:
        api.delete(f"/v1/tenants/{each}")


@pytest.mark.parametrize("operation", LISTS, ids=lambda operation: operation.name)
def test_a_count_is_answered_only_when_asked_for(api: Api, operation: Operation) -> None:
    path = listed_at(operation)
    everything = api.pages(path, limit=1000)
    page = api.call("GET", path, limit=1, count="true")
    assert page.json["count"] == len(everything) and "count=" not in page.headers["link"]
    assert api.get(path, limit=1, count="true", cursor=page.json["next_cursor"])["count"] == len(everything)
    for query in ({}, {"count": "false"}):
        assert "count" not in api.get(path, limit=1, **query)


@pytest.mark.parametrize(
    "query",
    [
        {"type": "some.a"},
        {"type__in": "some.a,fields.a"},
        {"subject": "s3"},
        {"subject": "s3", "type": "some.a"},
        {"tenant": "nobody"},
        {"time__gte": "2020-01-01T00:00:00Z"},
        {"time__lt": "2020-01-01T00:00:00Z"},
        {"time__gte": "2020-01-01T00:00:00Z", "type": "some.a"},
    ],
)
def test_a_count_of_events_counts_what_is_listed(api: Api, query: dict[str, str]) -> None:
    assert api.get("/v1/events", count="true", **query)["count"] == len(api.pages("/v1/events", **query))


@pytest.mark.slow
def test_a_count_of_deliveries_counts_what_is_listed(api: Api) -> None:
    whole = api.pages("/v1/deliveries")
    first = whole[0]
    queries: list[dict[str, str]] = [{"state": state} for state in ("waiting", "delivered", "dead", "cancelled")]
    queries += [{"event": first["event_id"]}, {"endpoint": first["endpoint_id"]}, {"time__gte": whole[3]["created"]}]
    queries += [{"endpoint": first["endpoint_id"], "state": "delivered", "sort": "created"}]
    for query in queries:
        assert api.get("/v1/deliveries", count="true", **query)["count"] == len(api.pages("/v1/deliveries", **query))


def test_a_count_that_would_take_long_is_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.store.log.feed.COUNTED_MAX", 3)
    monkeypatch.setattr("tidings.store.log.feed.JUDGED_MAX", 3)
    monkeypatch.setattr("tidings.store.log.lists.COUNTED_MAX", 3)
    monkeypatch.setattr("tidings.store.log.lists.JUDGED_MAX", 3)
    monkeypatch.setattr("tidings.store.log.lists.WINDOW_MAX", 3)
    calls: list[tuple[str, dict[str, Any]]] = [
        ("/v1/events", {}),
        ("/v1/events", {"type__in": "some.a,some.b"}),
        ("/v1/deliveries", {}),
        ("/v1/deliveries", {"state": "delivered"}),
    ]
    for path, query in calls:
        reply = api.call("GET", path, count="true", **query)
        assert reply.status == 422 and reply.json["errors"][0]["code"] == "too_many_to_count"
    assert api.get("/v1/events", subject="s3", count="true")["count"] == 1
    assert api.call("GET", "/v1/events", after="end", count="true").json["errors"][0]["parameter"] == "count"


# --- entity tags and conditions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", SINGLES, ids=lambda operation: operation.name)
def test_every_single_thing_has_an_entity_tag(api: Api, operation: Operation) -> None:
    path = one(api, operation)
    tag = api.call("GET", path).headers["etag"]
    same = api.call("GET", path, headers={"If-None-Match": f'"other", {tag}'})
    assert (same.status, same.body, same.headers["etag"]) == (304, b"", tag)
    assert api.call("GET", path, headers={"If-None-Match": '"other"'}).status == 200
    reply = api.call("GET", path, headers={"If-None-Match": "other"})
    assert reply.status == 400 and reply.json["errors"][0]["parameter"] == "if-none-match"


@pytest.mark.parametrize("path", ["/v1/endpoints", "/v1/event-types", "/v1/tenants"])
def test_revisions_guard_every_change(api: Api, path: str) -> None:
    made = {
        "/v1/endpoints": {"url": "http://127.0.0.1:9/", "events": ["never"]},
        "/v1/event-types": {"name": "guard.a"},
        "/v1/tenants": {"id": "guard"},
    }[path]
    created = api.call("POST", path, made)
    assert created.status == 201 and created.headers["etag"] == '"1"'
    here = created.headers["location"]
    field = "name" if path == "/v1/tenants" else "description"
    edited = api.call("PATCH", here, {field: "new"}, {"If-Match": '"1"'})
    assert (edited.status, edited.headers["etag"]) == (200, '"2"') == (200, f'"{edited.json["revision"]}"')
    verbs = [":pause", ":resume", "/secret"] if path == "/v1/endpoints" else []
    body: dict[str, Any] | None
    for method, more, body in (("PATCH", "", {}), ("DELETE", "", None), *(("POST", verb, {}) for verb in verbs)):
        reply = api.call(method, here + more, body, {"If-Match": '"1"'})
        assert reply.status == 412 and reply.json["code"] == "stale", (method, more)
    assert api.call("DELETE", here, None, {"If-Match": '"2"'}).status == 204


def test_a_put_says_where_it_created_and_keeps_its_conditions(api: Api) -> None:
    path = "/v1/event-types/put.a"
    made = api.call("PUT", path, {}, {"If-None-Match": "*"})
    assert (made.status, made.headers["location"], made.headers["etag"]) == (201, path, '"1"')
    replaced = api.call("PUT", path, {"description": "x"}, {"If-None-Match": '"7"', "If-Match": '"1"'})
    assert replaced.status == 200 and replaced.headers["etag"] == '"2"' and "location" not in replaced.headers
    assert api.call("PUT", path, {}, {"If-None-Match": '"2"'}).status == 412
    # What cannot be read is refused as that, whether the thing is there or not.
    for there in (path, "/v1/event-types/put.none"):
        assert api.call("PUT", there, {}, {"If-Match": "1"}).status == 400
        assert api.call("DELETE", there, None, {"If-Match": "1"}).status == 400


def test_a_condition_that_cannot_be_kept_is_refused(api: Api) -> None:
    delivery = api.get("/v1/deliveries", limit=1)["data"][0]["id"]
    for method, path, body, name in (
        ("POST", "/v1/tenants", {"id": "never"}, "If-None-Match"),
        ("POST", "/v1/events", {"type": "a.b", "data": {}}, "If-Match"),
        ("POST", f"/v1/deliveries/{delivery}:retry", None, "If-Match"),
        ("DELETE", "/v1/keys/key_no", None, "If-Match"),
        ("GET", "/v1/events", None, "If-Match"),
    ):
        reply = api.call(method, path, body, {name: '"1"'})
        assert reply.status == 400 and reply.json["errors"][0]["parameter"] == name
    assert api.call("GET", "/v1/tenants/never").status == 404
