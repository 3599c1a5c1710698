"""Unique values swap within a batch or a file, batches name all that is wrong, and a file may name some fields only."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.items.collections import declare
from tidings.model.collection import Collection, Field
from tidings.testing import Api, TestServer
from tidings.testing.api import ApiReply

SEATS = Collection(
    name="seats",
    fields=(
        Field(name="place", type="integer", unique=True, required=True),
        Field(name="code", type="string", unique=True),
        Field(name="note", type="string", searchable=True),
        Field(name="more", type="object"),
        Field(name="state", type="string", default="free"),
        Field(name="price", type="decimal", max_digits=8, scale=2),
    ),
)
PATH = "/v1/items/seats"


def put(api: Api, path: str, data: Any) -> Any:
    reply = api.call("PUT", path, data)
    assert reply.status in (200, 201), reply.json
    return reply.json


@pytest.fixture(scope="module", autouse=True)
def _declared(server: TestServer) -> None:
    declare(server, SEATS)


@pytest.fixture
def own(own: Api) -> Api:
    """The API as the owner of a fresh tenant with seats a, b and c at the places 1, 2 and 3."""
    for place, name in enumerate("abc", 1):
        put(own, f"{PATH}/{name}", {"place": place, "code": f"c{place}", "note": f"note {name}"})
    return own


def batch(own: Api, *operations: dict[str, Any]) -> ApiReply:
    return own.call("POST", f"{PATH}:batch", {"operations": list(operations)})


def edit(name: str, **data: Any) -> dict[str, Any]:
    return {"op": "edit", "id": name, "data": data}


def places(own: Api) -> dict[str, int]:
    return {each["id"]: each["place"] for each in own.get(PATH)["data"]}


def pointers(reply: ApiReply) -> list[str]:
    return [place["pointer"] for place in reply.json["errors"]]


@pytest.mark.slow
def test_unique_values_swap_in_a_batch(own: Api) -> None:
    reply = batch(own, edit("a", place=2), edit("b", place=1))
    assert reply.status == 200, reply.json
    assert places(own) == {"a": 2, "b": 1, "c": 3}
    told = own.get("/v1/events", type="seats.updated", limit=2)["data"]
    assert [(event["previous"]["place"], event["data"]["place"]) for event in told] == [(2, 1), (1, 2)]
    assert all(event["changed"] == ["place"] for event in told)


@pytest.mark.slow
@pytest.mark.parametrize(
    "operations",
    [
        [edit("a", place=2), edit("b", place=3), edit("c", place=1)],
        [edit("a", place=2, code="c2"), edit("b", place=9, code="c1"), {"op": "delete", "id": "c"}],
        [{"op": "put", "id": "a", "data": {"place": 2}}, {"op": "put", "id": "b", "data": {"place": 1}}],
        [{"op": "create", "id": "d", "data": {"place": 1}}, {"op": "delete", "id": "a"}],
        [{"op": "create", "id": "d", "data": {"place": 1}}, edit("a", place=4)],
        [edit("a", place=2), edit("b", note="x"), edit("b", place=8)],
        [edit("a", place=2), edit("b", note="x"), edit("a", place=9)],
        [edit("a", place=2), edit("a", place=3), edit("c", place=1)],
    ],
)
def test_unique_values_move_in_any_order(own: Api, operations: list[dict[str, Any]]) -> None:
    reply = batch(own, *operations)
    assert reply.status == 200, reply.json
    found = places(own)
    assert len(set(found.values())) == len(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operations", "pointer"),
    [
        ([edit("a", place=2), edit("c", place=9)], "/operations/0/data/place"),
        ([edit("a", place=2), edit("b", note="x")], "/operations/0/data/place"),
        ([edit("a", place=2), edit("b", place=2)], "/operations/0/data/place"),
        ([{"op": "create", "data": {"place": 7}}, {"op": "create", "data": {"place": 7}}], "/operations/1/data/place"),
    ],
)
def test_a_value_that_stays_taken_is_refused(own: Api, operations: list[dict[str, Any]], pointer: str) -> None:
    before = own.get(PATH)["data"]
    reply = batch(own, *operations)
    assert reply.status == 409 and reply.json["code"] == "unique_taken"
    assert pointer in pointers(reply)
    assert own.get(PATH)["data"] == before


@pytest.mark.slow
def test_a_batch_names_all_that_is_wrong(own: Api) -> None:
    reply = batch(
        own,
        edit("a", place="x"),
        edit("b", place=8),
        edit("nobody", place=9),
        {"op": "create", "data": {}},
        {"op": "create", "id": "c", "data": {"place": 11}},
        edit("a", place=12),
    )
    assert reply.status == 422
    assert pointers(reply) == [
        "/operations/0/data/place",
        "/operations/2",
        "/operations/3/data/place",
        "/operations/4/id",
    ]
    assert places(own) == {"a": 1, "b": 2, "c": 3}
    forms = batch(own, {"op": "eat", "id": "a"}, edit("a", note="x"), {"op": "delete", "id": "a", "data": {}})
    assert pointers(forms) == ["/operations/0/op", "/operations/2/data"]
    many = batch(own, *[{"op": "create", "data": {}} for _ in range(200)])
    assert len(pointers(many)) == 50


def send(own: Api, text: str, media: str = "text/csv", **query: Any) -> ApiReply:
    return own.call("POST", f"{PATH}:import", text.encode(), {"Content-Type": media}, **query)


@pytest.mark.slow
@pytest.mark.parametrize("on_conflict", ["replace", "merge"])
@pytest.mark.parametrize(
    "text",
    ["id,place\na,2\nb,1\n", "id,place\na,2\nb,3\nc,1\n", "id,place\nd,1\na,5\n", "id,place\nd,1\ne,2\na,5\nb,6\n"],
)
def test_unique_values_swap_in_a_file(own: Api, text: str, on_conflict: str) -> None:
    reply = send(own, text, on_conflict=on_conflict)
    assert reply.status == 200, reply.json
    found = places(own)
    assert len(set(found.values())) == len(found)
    for line in text.split()[1:]:
        name, place = line.split(",")
        assert found[name] == int(place)


@pytest.mark.slow
def test_a_file_that_leaves_a_value_taken_names_the_line(own: Api) -> None:
    before = own.get(PATH)["data"]
    reply = send(own, "id,place\nb,9\na,3\n", on_conflict="merge")
    assert reply.status == 422
    assert [(place["line"], place["pointer"]) for place in reply.json["errors"]] == [(3, "/place")]
    assert own.get(PATH)["data"] == before


@pytest.mark.slow
@pytest.mark.parametrize("partial", ["true", "false"])
def test_merge_keeps_what_the_file_lacks(own: Api, partial: str) -> None:
    own.patch(f"{PATH}/a", {"state": "sold", "more": {"x": 1, "y": 2}, "price": "1.50"})
    reply = send(own, "id,note\na,new\nb,\n", on_conflict="merge", partial=partial)
    assert reply.status == 200 and reply.json["merged"] == 2, reply.json
    found = own.get(f"{PATH}/a")
    assert (found["place"], found["code"], found["state"], found["price"]) == (1, "c1", "sold", "1.50")
    assert (found["note"], found["more"], own.get(f"{PATH}/b")["note"]) == ("new", {"x": 1, "y": 2}, None)
    lines = [{"id": "a", "more": {"y": 3}}, {"id": "new", "place": 20, "price": "2.00"}, {"id": "c", "note": "note c"}]
    text = "\n".join(map(json.dumps, lines))
    counts = send(own, text, "application/x-ndjson", on_conflict="merge", partial=partial).json
    assert (counts["created"], counts["merged"], counts["unchanged"]) == (1, 1, 1)
    assert own.get(f"{PATH}/a")["more"] == {"x": 1, "y": 3}
    assert own.get(f"{PATH}/new")["state"] == "free"


def test_a_new_item_of_a_merge_is_whole(own: Api) -> None:
    reply = send(own, "id,note\na,new\nfresh,x\n", on_conflict="merge")
    assert reply.status == 422
    assert [(place["line"], place["pointer"], place["code"]) for place in reply.json["errors"]] == [
        (3, "/place", "missing")
    ]


# --- what was read can be written back --------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_get_returned_can_be_put_back(own: Api) -> None:
    found = own.get(f"{PATH}/a")
    again = own.call("PUT", f"{PATH}/a", found)
    assert again.status == 200 and again.json == found
    changed = own.call("PUT", f"{PATH}/a", {**found, "note": "other"})
    assert changed.status == 200 and changed.json["revision"] == 2
    now = changed.json
    assert own.call("PATCH", f"{PATH}/a", now).json == now
    put_back = {"op": "put", "id": "a", "data": {**now, "note": "third"}}
    assert batch(own, put_back).json["results"][0]["item"]["note"] == "third"


@pytest.mark.slow
def test_read_only_members_that_differ_are_refused_with_their_location(own: Api) -> None:
    found = put(own, f"{PATH}/a", {**own.get(f"{PATH}/a"), "note": "second"})
    for name, value in {"id": "b", "tenant": "other", "created": "2026-01-01T00:00:00Z", "updated": None}.items():
        reply = own.call("PUT", f"{PATH}/a", {**found, name: value})
        assert reply.status == 422
        assert [(place["pointer"], place["code"]) for place in reply.json["errors"]] == [(f"/{name}", "own_field")]
    stale = own.call("PUT", f"{PATH}/a", {**found, "revision": 1})
    assert stale.status == 412 and pointers(stale) == ["/revision"]
    assert own.call("PUT", f"{PATH}/a", {**found, "revision": "2"}).status == 422
    assert own.get(f"{PATH}/a") == found


@pytest.mark.slow
def test_a_new_item_may_name_its_id_and_no_revision(own: Api) -> None:
    assert own.call("PUT", f"{PATH}/z", {"id": "z", "place": 30}).status == 201
    reply = own.call(
        "PUT", f"{PATH}/y", {"id": "y", "place": 31, "revision": 1, "tenant": own.get(f"{PATH}/z")["tenant"]}
    )
    assert reply.status == 422 and pointers(reply) == ["/revision"]
    assert own.call("POST", PATH, {"id": "x", "place": 32}).json["errors"][0]["code"] == "unknown_field"


@pytest.mark.slow
def test_a_field_that_a_key_only_reads_may_be_sent_back_unchanged(api: Api, own: Api) -> None:
    tenant = own.get(f"{PATH}/a")["tenant"]
    verbs = ["get", "put", "edit"]
    permit = {"collection": "seats", "verbs": verbs, "read": ["place", "code", "note"], "write": ["note"]}
    key = api.post("/v1/keys", {"name": "some", "tenant": tenant, "scopes": [], "permits": [permit]})["key"]
    some = api.with_key(key)
    found = some.get(f"{PATH}/a")
    assert some.call("PATCH", f"{PATH}/a", {**found, "note": "mine"}).json["note"] == "mine"
    refused = some.call("PATCH", f"{PATH}/a", {"code": "other"})
    assert refused.status == 403 and pointers(refused) == ["/code"]


# --- the tag of an answer with expanded items -------------------------------------------------------------------------


@pytest.mark.slow
def test_the_etag_covers_what_is_expanded(api: Api) -> None:
    put(api, "/v1/items/people/etag-p", {"email": "etag@example.com", "name": "Ada"})
    put(api, "/v1/items/tasks/etag-t", {"title": "x", "owner": "etag-p"})
    path = "/v1/items/tasks/etag-t?expand=owner"
    first = api.call("GET", path)
    tag = first.headers["etag"]
    assert api.call("GET", path, headers={"If-None-Match": tag}).status == 304
    assert api.call("GET", path, headers={"If-None-Match": '"1"'}).status == 200
    api.patch("/v1/items/people/etag-p", {"name": "Bea"})
    changed = api.call("GET", path, headers={"If-None-Match": tag})
    assert changed.status == 200 and changed.headers["etag"] != tag
    assert changed.json["expanded"]["owner"]["name"] == "Bea"
    # It also says which revision of the item itself it is.
    edited = api.call("PATCH", "/v1/items/tasks/etag-t", {"title": "y"}, {"If-Match": changed.headers["etag"]})
    assert edited.status == 200
    assert api.call("PATCH", "/v1/items/tasks/etag-t", {"title": "z"}, {"If-Match": tag}).status == 412
    api.patch("/v1/items/tasks/etag-t", {"owner": None})
    assert api.call("GET", path, headers={"If-None-Match": changed.headers["etag"]}).status == 200
