"""Links as operators declare them: over the API, all at once, and beside the collections that they edit."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.robust.stalls import writer_of
from tidings.control import links as links_module
from tidings.rules.declare import links as declared_links
from tidings.store.base import Db
from tidings.testing import Api, TestServer

ORDERS = {"fields": {"title": {"type": "string", "required": True}, "pieces": "integer"}}
PUT = {"collection": "orders", "put": "{{ data.id }}", "data": "{{ data }}"}
LINK: dict[str, Any] = {"when": {"event": "shop.*"}, "item": PUT}


@pytest.fixture
def server(tmp_path: Path, database: str | None) -> Iterator[TestServer]:
    with TestServer(tmp_path / "tidings", database=database) as server:
        yield server


@pytest.fixture
def api(server: TestServer) -> Api:
    server.api.put("/v1/collections/orders", ORDERS)
    return server.api


def places(reply: Any) -> dict[str, str]:
    assert reply.status in (409, 422), reply.body
    return {each["pointer"]: each["detail"] for each in reply.json["errors"]}


@pytest.mark.slow
def test_a_link_is_declared_read_replaced_and_deleted(api: Api) -> None:
    made = api.call("PUT", "/v1/links/shop", LINK)
    assert (made.status, made.headers["location"]) == (201, "/v1/links/shop")
    shown = api.get("/v1/links/shop")
    assert api.get("/v1/links/shop", counts="true") == {
        **shown,
        "waiting": 0,
        **dict.fromkeys(("next_due", "last_due", "last_run")),
    }
    assert (shown["when"], shown["item"]) == ({"event": ["shop.*"]}, PUT)
    assert (shown["order"], shown["state"]) == ("each", "enabled")
    back = api.call("PUT", "/v1/links/shop", shown)
    assert (back.status, back.json["revision"]) == (200, 1), "what GET gave changes nothing"
    changed = api.put("/v1/links/shop", {**LINK, "order": "{{ data.id }}", "rate": 5, "retry_delays_seconds": [0, 60]})
    assert (changed["order"], changed["rate"], changed["retry_delays_seconds"]) == ("{{ data.id }}", 5.0, [0.0, 60.0])
    etag = {"If-Match": '"1"'}
    assert api.call("PUT", "/v1/links/shop", LINK, etag).status == 412
    assert api.call("PUT", "/v1/links/shop", LINK, {"If-None-Match": "*"}).status == 412
    assert api.call("DELETE", "/v1/links/shop", None, etag).status == 412
    assert api.call("GET", "/v1/links/shop", None, {"If-None-Match": '"2"'}).status == 304
    assert [each["name"] for each in api.pages("/v1/links")] == ["shop"]
    api.delete("/v1/links/shop")
    assert api.call("GET", "/v1/links/shop").status == 404


@pytest.mark.slow
def test_links_are_there_after_a_restart(server: TestServer, api: Api) -> None:
    api.put("/v1/links/shop", {**LINK, "order": "all", "filter": {"data": {"n": 1}}, "description": "d", "tenant": "*"})
    before = api.get("/v1/links/shop")
    server.restart()
    assert server.api.get("/v1/links/shop") == before


@pytest.mark.parametrize(
    ("declared", "place", "said"),
    [
        ({"item": PUT}, "/when", "A link needs `when`"),
        ({"when": {}, "item": PUT}, "/when/event", "`when` needs either `event`"),
        ({"when": {"often": "1h"}, "item": PUT}, "/when/often", "'often' is unknown here"),
        ({**LINK, "when": {"event": ["a b"]}}, "/when/event/0", "A pattern must be an event type"),
        ({**LINK, "filter": {"$nor": 1}}, "/filter/$nor", "$nor"),
        ({**LINK, "tenant": "a b"}, "/tenant", "A tenant's id has 1 to 64"),
        ({**LINK, "order": "fifo"}, "/order", "`order` must be each, subject, all, none"),
        ({**LINK, "order": "{{ data.id"}, "/order", "does not compile"),
        ({**LINK, "rate": 0}, "/rate", "`rate` must be a number from 0.001"),
        ({**LINK, "retry_delays_seconds": []}, "/retry_delays_seconds", "1 to 20 delays"),
        ({**LINK, "item": {"collection": "orders"}}, "/item", "exactly one of create, put, patch, delete"),
        ({**LINK, "item": {**PUT, "delete": "x"}}, "/item", "exactly one of create, put, patch, delete"),
        ({**LINK, "item": {**PUT, "put": True}}, "/item/put", "`put` must be the item's id"),
        ({**LINK, "item": {**PUT, "put": "{{ datum.id }}"}}, "/item/put", "There is no datum here."),
        ({**LINK, "item": {**PUT, "data": 5}}, "/item/data", "`item` needs `data`"),
        ({**LINK, "item": {**PUT, "data": {"title": "{{ 1 + }}"}}}, "/item/data/title", "does not compile"),
        ({**LINK, "item": {**PUT, "data": {"title": "x", "colour": "red"}}}, "/item/data/colour", "no field 'colour'"),
        ({**LINK, "item": {**PUT, "data": {"pieces": 1}}}, "/item/data/title", "requires the field 'title'"),
        ({**LINK, "item": {**PUT, "collection": "nothing"}}, "/item/collection", "There is no collection nothing."),
        (
            {**LINK, "item": {"collection": "orders", "delete": "x", "data": {}}},
            "/item/data",
            "`delete` takes no `data`.",
        ),
    ],
)
@pytest.mark.few(6)
def test_a_wrong_declaration_is_refused_with_its_location(
    api: Api, declared: dict[str, Any], place: str, said: str
) -> None:
    reply = api.call("POST", "/v1/links:plan", {"links": {"shop": declared}})
    refusals = reply.json["refusals"] if reply.status == 200 else reply.json["errors"]
    assert said in {each["pointer"]: each["detail"] for each in refusals}.get(f"/links/shop{place}", ""), refusals


def test_names_and_tenants_are_checked(api: Api) -> None:
    assert "A link's name must have" in api.call("PUT", "/v1/links/Shop!", LINK).json["errors"][0]["detail"]
    api.put("/v1/links/shop", {**LINK, "tenant": "acme"})
    assert "cannot be changed" in places(api.call("PUT", "/v1/links/shop", LINK))["/tenant"]


@pytest.mark.slow
def test_only_keys_without_a_tenant_write_links(api: Api) -> None:
    api.put("/v1/links/theirs", {**LINK, "tenant": "acme"})
    api.put("/v1/links/ours", LINK)
    made = api.post("/v1/keys", {"name": "acme", "tenant": "acme", "scopes": ["links:read", "links:write"]})
    tenant = api.with_key(made["key"])
    assert [each["name"] for each in tenant.pages("/v1/links")] == ["theirs"]
    assert tenant.call("GET", "/v1/links/ours").status == 404
    assert tenant.call("PUT", "/v1/links/theirs", {**LINK, "tenant": "acme"}).status == 403
    assert tenant.call("POST", "/v1/links/theirs:test", {"event": {"type": "shop.x", "data": {}}}).status == 403
    reader = api.with_key(api.post("/v1/keys", {"name": "r", "scopes": ["links:read"]})["key"])
    assert reader.call("PUT", "/v1/links/ours", LINK).status == 403
    assert (
        api.with_key(api.post("/v1/keys", {"name": "n", "scopes": ["events:read"]})["key"])
        .call("GET", "/v1/links")
        .status
        == 403
    )


@pytest.mark.slow
def test_a_trial_shows_the_edit_and_changes_nothing(api: Api) -> None:
    api.put("/v1/links/shop", {**LINK, "filter": {"data": {"pieces": {"$gt": 0}}}})
    api.put("/v1/items/orders/a", {"title": "Chairs", "pieces": 1})
    event = {"type": "shop.order", "data": {"id": "a", "title": "Chairs", "pieces": 2}}
    tried = api.post("/v1/links/shop:test", {"event": event})
    assert (tried["wants"], tried["outcome"], tried["says"]) == (True, "ok", "Replaced orders/a.")
    assert tried["edit"] == {
        "collection": "orders",
        "edit": "put",
        "id": "a",
        "tenant": None,
        "data": {"title": "Chairs", "pieces": 2},
    }
    assert (tried["change"]["type"], tried["change"]["changed"]) == ("orders.updated", ["pieces"])
    assert api.get("/v1/items/orders/a")["pieces"] == 1
    unwanted = api.post("/v1/links/shop:test", {"event": {**event, "data": {"id": "b", "pieces": 0}}})
    assert (unwanted["wants"], unwanted["outcome"]) == (False, "item_invalid")
    assert "filter does not match" in unwanted["reason"]
    failing = api.post("/v1/links/shop:test", {"event": {**event, "data": {"pieces": 1}}})
    assert (failing["edit"], failing["outcome"]) == (None, "template_failed")
    stored = api.publish("shop.order", {"id": "z", "title": "Tables", "pieces": 1})
    assert api.post("/v1/links/shop:test", {"event_id": stored})["edit"]["id"] == "z"
    assert api.call("POST", "/v1/links/shop:test", {"event_id": "evt_none"}).status == 404


@pytest.mark.slow
def test_links_are_planned_and_applied_whole_or_not_at_all(api: Api) -> None:
    api.put("/v1/links/old", LINK)
    api.post("/v1/links/old:pause")
    api.publish("shop.order", {"id": "a", "title": "x"})
    wanted = {"links": {"shop": LINK, "more": {**LINK, "description": "d"}}}
    plan = api.post("/v1/links:plan", wanted)
    assert [each["says"] for each in plan["steps"]] == ["will create the link shop", "will create the link more"]
    assert (plan["stays"], plan["loses"], api.pages("/v1/links")[0]["name"]) == (["old"], None, "old")
    done = api.post("/v1/links:apply", {**wanted, "plan": plan["plan"]})
    assert done["applied"]
    assert api.call("POST", "/v1/links:apply", {**wanted, "plan": plan["plan"]}).json["code"] == "plan_changed"
    assert api.post("/v1/links:plan", wanted)["steps"] == []
    pruned = {**wanted, "prune": True}
    plan = api.post("/v1/links:plan", pruned)
    assert (plan["steps"][0]["says"], plan["loses"]) == (
        "will delete the link old and cancel 1 waiting delivery",
        "cancel 1 waiting delivery",
    )
    assert api.call("POST", "/v1/links:apply", pruned).json["code"] == "would_lose"
    api.post("/v1/links:apply", {**pruned, "drop_waiting": True})
    assert [each["name"] for each in api.pages("/v1/links")] == ["more", "shop"]
    wrong = {"links": {"new": LINK, "shop": {**LINK, "item": {**PUT, "collection": "nothing"}}}}
    assert places(api.call("POST", "/v1/links:apply", wrong)) == {
        "/links/shop/item/collection": "There is no collection nothing."
    }
    assert len(api.pages("/v1/links")) == 2


@pytest.mark.slow
def test_a_link_follows_the_name_of_its_collection_and_keeps_it(api: Api) -> None:
    api.put("/v1/links/shop", LINK)
    refused = api.call("DELETE", "/v1/collections/orders?drop_values=true")
    assert refused.json["detail"] == "The link shop edits items of orders. Delete the link first."
    api.post("/v1/collections:apply", {"collections": {"sales": {**ORDERS, "was": "orders"}}})
    assert api.get("/v1/links/shop")["item"]["collection"] == "sales"
    api.delete("/v1/links/shop")
    assert api.call("DELETE", "/v1/collections/sales").status == 204


@pytest.mark.slow
def test_a_file_drops_a_collection_together_with_the_links_that_edit_it(api: Api) -> None:
    api.put("/v1/links/shop", LINK)
    other = {**LINK, "item": {**PUT, "collection": "lines"}}
    api.put("/v1/collections/lines", ORDERS)
    api.put("/v1/links/moved", LINK)
    file = {"collections": {"lines": ORDERS}, "links": {"moved": other}, "prune": True}
    plan = api.post("/v1/collections:plan", file)
    assert plan["refusals"] == [] and [each["do"] for each in plan["links"]["steps"]] == ["change_link", "delete_link"]
    kept = api.call("POST", "/v1/collections:plan", {key: file[key] for key in ("collections", "prune")})
    assert [each["detail"] for each in kept.json["refusals"]] == [
        f"The link {name} edits items of orders. Delete the link first." for name in ("moved", "shop")
    ]
    api.post("/v1/collections:apply", {**file, "plan": plan["plan"], "links_plan": plan["links"]["plan"]})
    assert api.call("GET", "/v1/collections/orders").status == 404
    assert {each["name"]: each["item"]["collection"] for each in api.pages("/v1/links")} == {"moved": "lines"}


@pytest.mark.slow
def test_a_file_of_many_links_is_carried_out_in_few_statements(
    server: TestServer, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine hundred links took seconds of the one writer, since each was written and numbered alone."""
    ran: list[str] = []
    for name in ("one", "all", "run", "many", "query", "execute"):
        there = getattr(type(writer_of(server)._db), name)

        def counted(db: Db, statement: str, *given: Any, there: Any = there, **params: Any) -> Any:
            if db is writer_of(server)._db:
                ran.append(statement)
            return there(db, statement, *given, **params)

        monkeypatch.setattr(type(writer_of(server)._db), name, counted)
    read: list[int] = []
    read_all = declared_links.read

    def spied(*given: Any) -> Any:
        read.append(threading.get_ident())
        return read_all(*given)

    monkeypatch.setattr(links_module, "read", spied)
    for more in ({}, {"description": "changed"}):
        counts = []
        for count in (5, 60):
            links = {f"l{n}": {**LINK, **more} for n in range(count)}
            ran.clear()
            reply = api.call("POST", "/v1/links:apply", {"links": links})
            assert reply.status == 200 and len(reply.json["steps"]) == count - (0 if count == 5 else 5)
            counts.append(len(ran))
        # Fewer than one for each link more; what runs in the background may come in between.
        assert abs(counts[0] - counts[1]) < 40, ran
        if not more:
            assert server.server is not None
            numbers = [each.num for each in server.server.parts.catalog.now.links_by_name.values()]
            assert len(set(numbers)) == 60
    assert len(read) == 4 and writer_of(server)._thread.ident not in read
