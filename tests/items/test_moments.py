"""Collections that change, go and come back while items are worked on: never a fault, nor more than is permitted."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from tests.web.test_events import Reader
from tidings.testing import Api, TestServer

FIELDS: dict[str, Any] = {
    "code": {"type": "string", "unique": True},
    "rent": {"type": "integer", "filterable": True, "sortable": True},
    "notes": {"type": "string", "searchable": True},
}


def declare(api: Api, name: str, fields: dict[str, Any]) -> None:
    reply = api.call("POST", "/v1/collections", {"name": name, "fields": fields})
    assert reply.status == 201, reply.body


@pytest.mark.slow
def test_requests_continue_while_a_collection_comes_and_goes(server: TestServer, api: Api) -> None:
    done = threading.Event()
    seen: list[tuple[str, int, bytes]] = []

    def work(number: int) -> None:
        calls: list[tuple[str, str, Any]] = [
            ("POST", "/v1/items/passing", {"rent": number}),
            ("GET", "/v1/items/passing?sort=rent&rent__gte=0&count=true", None),
            ("PUT", f"/v1/items/passing/w{number}", {"rent": 1}),
            ("PATCH", f"/v1/items/passing/w{number}", {"rent": 2}),
            ("GET", f"/v1/items/passing/w{number}", None),
            ("POST", "/v1/items/passing:batch", {"operations": [{"op": "create", "data": {"rent": 1}}] * 5}),
            ("POST", "/v1/items/leading", {"to": f"w{number}"}),
            ("DELETE", f"/v1/items/passing/w{number}", None),
        ]
        while not done.is_set():
            for method, path, body in calls:
                reply = api.call(method, path, body)
                seen.append((f"{method} {path}", reply.status, reply.body))

    declare(api, "passing", FIELDS)
    declare(api, "leading", {"to": {"type": "reference", "to": "passing"}})
    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(200):
            if turn >= 12 and sum(each[1] < 300 for each in seen) > 50:
                break
            more = {"more": "string"} if turn % 2 else {}
            fields = {**FIELDS, **more, "rent": {**FIELDS["rent"], "sortable": turn % 3 != 2}}
            reply = api.call("PUT", "/v1/collections/passing", {"fields": fields}, drop_values="true")
            assert reply.status in (200, 409), reply.body
            if turn % 4 == 3:
                for name in ("leading", "passing"):
                    gone = api.call("DELETE", f"/v1/collections/{name}", drop_values="true")
                    assert gone.status in (204, 409), gone.body
                api.call("POST", "/v1/collections", {"name": "passing", "fields": FIELDS})
                api.call(
                    "POST",
                    "/v1/collections",
                    {"name": "leading", "fields": {"to": {"type": "reference", "to": "passing"}}},
                )
    finally:
        done.set()
        for thread in threads:
            thread.join()
    wrong = [each for each in seen if each[1] >= 500 and each[1] != 503]
    assert not wrong, wrong[:3]
    assert sum(each[1] < 300 for each in seen) > 50
    # Each of the items that are there was told, and nothing was told of those that are not.
    there = {item["id"]: item["revision"] for item in api.pages("/v1/items/passing", limit=1_000)}
    last: dict[str, Any] = {}
    for event in api.pages("/v1/events", collection="passing", sort="created", limit=1_000):
        last[event["subject"]] = event
    assert all(last[ident]["data"]["revision"] == revision for ident, revision in there.items())


@pytest.mark.slow
def test_a_permit_over_what_is_gone_shows_nothing_and_what_is_new_is_not_shown(api: Api) -> None:
    declare(api, "flats", {**FIELDS, "owner": {"type": "string", "filterable": True}})
    api.post("/v1/items/flats", {"code": "f1", "owner": "me", "rent": 5, "notes": "dear"})
    permit = {"collection": "flats", "verbs": ["list", "get"], "read": ["code", "owner"], "rows": {"owner": "me"}}
    its = api.with_key(api.post("/v1/keys", {"permits": [permit]})["key"])
    assert [item["code"] for item in its.get("/v1/items/flats")["data"]] == ["f1"]
    # A new field is not among those that it may read.
    fields = {**FIELDS, "owner": {"type": "string", "filterable": True}, "secret": "string"}
    assert api.call("PUT", "/v1/collections/flats", {"fields": fields}).status == 200
    assert its.get("/v1/items/flats")["data"][0].keys() >= {"code", "owner"}
    assert "secret" not in its.get("/v1/items/flats")["data"][0]
    # The rule's field goes: then nothing fits, rather than everything.
    dropped = api.call("PUT", "/v1/collections/flats", {"fields": FIELDS}, drop_values="true")
    assert dropped.status == 200, dropped.body
    assert its.get("/v1/items/flats")["data"] == []
    # What comes back under its name is another thing, which nobody permitted.
    assert api.call("PUT", "/v1/collections/flats", {"fields": fields}).status == 200
    api.post("/v1/items/flats", {"code": "f2", "owner": "me"})
    assert its.get("/v1/items/flats")["data"] == []
    assert api.call("DELETE", "/v1/collections/flats", drop_values="true").status == 204
    declare(api, "flats", fields)
    api.post("/v1/items/flats", {"code": "f3", "owner": "me"})
    assert its.call("GET", "/v1/items/flats").status == 404


@pytest.mark.slow
def test_fields_and_parameters_follow_the_declaration_at_once(api: Api) -> None:
    declare(api, "boats", FIELDS)
    api.post("/v1/items/boats", {"code": "b", "rent": 1})
    first = api.post("/v1/items/boats", {"code": "c", "rent": 2})
    cursor = api.get("/v1/items/boats", sort="rent", limit=1)["next_cursor"]
    changed = {
        "code": FIELDS["code"],
        "price": {"type": "integer", "filterable": True, "sortable": True, "was": "rent"},
    }
    assert api.call("PUT", "/v1/collections/boats", {"fields": changed}, drop_values="true").status == 200
    for query in ({"rent": 1}, {"sort": "rent"}, {"q": "x"}, {"fields": "rent"}):
        assert api.call("GET", "/v1/items/boats", **query).status == 422, query
    assert api.call("GET", "/v1/items/boats", sort="price", cursor=cursor).status == 422
    assert [item["price"] for item in api.pages("/v1/items/boats", sort="price", limit=1)] == [1, 2]
    edited = api.patch(f"/v1/items/boats/{first['id']}", {"price": 3})
    assert "rent" not in edited and edited["code"] == "c"
    assert api.call("POST", "/v1/items/boats", {"rent": 1}).json["errors"][0]["code"] == "unknown_field"


def test_references_into_a_dropped_collection_point_nowhere(api: Api) -> None:
    declare(api, "ports", {"name": "string"})
    declare(api, "ships", {"home": {"type": "reference", "to": "ports", "filterable": True}, "name": "string"})
    port = api.post("/v1/items/ports", {"name": "p"})
    ship = api.post("/v1/items/ships", {"home": port["id"], "name": "s"})
    path = f"/v1/items/ships/{ship['id']}"
    assert api.get(path, expand="home")["expanded"]["home"]["name"] == "p"
    gone = api.call("DELETE", "/v1/collections/ports", drop_values="true")
    if gone.status == 204:
        assert api.call("GET", path, expand="home").status == 422
        assert api.patch(path, {"name": "t"})["home"] == port["id"]
        assert api.call("POST", "/v1/items/ships", {"home": port["id"]}).status == 422
        assert api.patch(path, {"home": None})["home"] is None
    else:
        assert gone.status in (409, 422) and api.get(path, expand="home")["expanded"]["home"]["name"] == "p"
    assert api.call("DELETE", path).status == 204


@pytest.mark.slow
def test_a_field_may_have_any_name(api: Api) -> None:
    names = [
        "wait",
        "seq",
        "select",
        "words",
        "c0",
        "v0",
        "k0",
        "most",
        "after",
        "table",
        "rowid",
        "oid",
        "ctid",
        "xmin",
    ]
    fields: dict[str, Any] = {
        name: {"type": "integer", "filterable": True, "sortable": True, "unique": True} for name in names
    }
    declare(api, "index", {**fields, "values": {"type": "string", "searchable": True}})
    for number in range(3):
        api.post("/v1/items/index", {**dict.fromkeys(names, number), "values": "x"})
    for name in names:
        found = api.pages("/v1/items/index", sort=f"-{name},created", limit=1, q="x", **{f"{name}__gt": 0})
        assert [item[name] for item in found] == [2, 1], name
        assert len(api.get("/v1/items/index", **{name: 1, f"{name}__in": "1,2"})["data"]) == 1
    assert api.call("POST", "/v1/items/index", {"ctid": 2}).status == 409


@pytest.mark.slow
def test_a_filter_called_wait_is_no_long_poll(tmp_path: Path) -> None:
    with TestServer(tmp_path, max_open_streams=2) as server:
        declare(server.api, "rides", {"wait": {"type": "integer", "filterable": True}})
        reader = Reader(server, "/v1/events/stream")
        assert server.api.call("GET", "/v1/events", after="end", wait=1).status in (429, 503)
        assert server.api.get("/v1/items/rides", wait=5)["data"] == []
        reader.close()
