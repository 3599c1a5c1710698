"""Links with the action `item`: events edit items of our own collections, in order, exactly once, as the API would."""

from __future__ import annotations

from typing import Any

import pytest

from tests.delivery.world import World
from tests.robust.stalls import UnknownCommits
from tidings.model.event import HOPS_MAX
from tidings.testing import until

ORDERS = {
    "fields": {
        "title": {"type": "string", "required": True, "max": 20},
        "pieces": "integer",
        "price": {"type": "decimal", "scale": 2},
        "sku": {"type": "string", "unique": True},
    }
}
PUT = {"collection": "orders", "put": "{{ data.id }}", "data": "{{ data }}"}


@pytest.fixture(autouse=True)
def orders(world: World) -> None:
    world.api.put("/v1/collections/orders", ORDERS)


def link(world: World, name: str = "shop", event: Any = "shop.*", **parts: Any) -> dict[str, Any]:
    found: dict[str, Any] = world.api.put(f"/v1/links/{name}", {"when": {"event": event}, **parts})
    return found


def ended(world: World, event: str, name: str = "shop") -> dict[str, Any]:
    """The delivery of an event through a link, once it has ended."""

    def look() -> dict[str, Any] | None:
        for each in world.api.pages("/v1/deliveries", event=event, link=name):
            if each["state"] in ("delivered", "dead", "cancelled"):
                found: dict[str, Any] = world.api.get(f"/v1/deliveries/{each['id']}")
                return found
        return None

    found = until(look, f"{event} ends")
    assert found is not None
    return found


def attempted(world: World, event: str, count: int = 1) -> dict[str, Any]:
    """The delivery of an event, once this many attempts are written down."""

    def look() -> dict[str, Any] | None:
        for each in world.api.pages("/v1/deliveries", event=event):
            found: dict[str, Any] = world.api.get(f"/v1/deliveries/{each['id']}")
            if len(found["attempts"]) >= count:
                return found
        return None

    found = until(look, f"{event} is attempted {count} times")
    assert found is not None
    return found


def item(world: World, ident: str, **query: Any) -> dict[str, Any]:
    found: dict[str, Any] = world.api.get(f"/v1/items/orders/{ident}", **query)
    return found


def changes(world: World) -> list[dict[str, Any]]:
    return list(reversed(world.own_lists.pages("/v1/events", type="orders.*")))


# --- what an edit does ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_event_creates_and_then_replaces_an_item(world: World) -> None:
    made = link(world, item=PUT)
    first = world.api.publish("shop.order.created", {"id": 17, "title": "Chairs", "pieces": 2, "price": "12.10"})
    done = ended(world, first)
    assert (done["state"], done["link"], done["endpoint_id"]) == ("delivered", "shop", None)
    second = world.api.publish("shop.order.updated", {"id": 17, "title": "Chairs", "pieces": 3})
    ended(world, second)
    third = world.api.publish("shop.order.updated", {"id": 17, "title": "Chairs", "pieces": 3})
    assert (
        ended(world, third)["attempts"][0]["reason"] == "Nothing changed, because orders/17 already has these values."
    )
    found = item(world, "17")
    assert (found["title"], found["pieces"], found["price"], found["revision"]) == ("Chairs", 3, None, 2)
    told = changes(world)
    assert [(each["type"], each["cause"], each["hops"]) for each in told] == [
        ("orders.created", first, 1),
        ("orders.updated", second, 1),
    ]
    assert {each["actor"] for each in told} == {made["id"]}
    (attempt,) = done["attempts"]
    assert (attempt["outcome"], attempt["status"], attempt["reason"]) == ("ok", None, "Created orders/17.")
    assert (attempt["edit"], attempt["request_headers"]) == ({"edit": "put", "collection": "orders", "id": "17"}, None)
    assert told[0]["id"] in attempt["answer"]


@pytest.mark.slow
def test_patch_changes_what_the_event_has_and_delete_deletes(world: World) -> None:
    world.api.put("/v1/items/orders/a", {"title": "Chairs", "pieces": 1, "price": "1.50"})
    data = {"pieces": "{{ data.stock }}", "price": "{{ data.price }}"}
    link(world, "stock", "stock", item={"collection": "orders", "patch": "{{ subject }}", "data": data})
    link(world, "gone", "gone", item={"collection": "orders", "delete": "{{ subject }}"})
    ended(world, world.api.publish("stock", {"stock": 40}, subject="a"), "stock")
    assert (item(world, "a")["pieces"], item(world, "a")["price"]) == (40, "1.50")
    ended(world, world.api.publish("stock", {"stock": None}, subject="a"), "stock")
    assert item(world, "a")["pieces"] is None
    first, second = (world.api.publish("gone", subject="a") for _ in range(2))
    assert ended(world, first, "gone")["attempts"][0]["reason"] == "Deleted orders/a."
    assert ended(world, second, "gone")["attempts"][0]["reason"] == "There was no item orders/a to delete."
    assert world.api.call("GET", "/v1/items/orders/a").status == 404


@pytest.mark.slow
def test_an_event_makes_one_item_however_often_it_is_sent(world: World) -> None:
    link(world, item={"collection": "orders", "create": True, "data": {"title": "{{ data.title }}"}})
    event = world.api.publish("shop.order", {"title": "Chairs"})
    done = ended(world, event)
    world.api.post(f"/v1/deliveries/{done['id']}:retry")
    again = until(lambda: len(found := attempted(world, event, 2)["attempts"]) == 2 and found, "it is tried again")
    assert again and again[1]["outcome"] == "ok"
    assert "this event created it earlier" in again[1]["reason"]
    (made,) = world.api.pages("/v1/items/orders")
    assert made["title"] == "Chairs"
    assert len(changes(world)) == 1


def test_money_keeps_its_value(world: World) -> None:
    link(
        world,
        item={"collection": "orders", "put": "{{ data.id }}", "data": {"title": "x", "price": "{{ data.p | string }}"}},
    )
    raw = b'{"type": "shop.order", "data": {"id": "a", "p": 12345678901234567.89}}'
    event = world.api.call("POST", "/v1/events", raw).json["id"]
    assert ended(world, event)["state"] == "delivered"
    assert item(world, "a")["price"] == "12345678901234567.89"


# --- what fails -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_item_that_the_collection_refuses_is_dead_with_the_location(world: World) -> None:
    link(world, item=PUT)
    world.api.put("/v1/items/orders/b", {"title": "Tables", "sku": "T"})
    for data, outcome, said in (
        ({"id": "a", "title": "x" * 30, "pieces": "7"}, "item_invalid", "/title: "),
        ({"id": "a", "title": "x", "colour": "red"}, "item_invalid", "There is no field 'colour'"),
        ({"id": "a", "title": "x", "sku": "T"}, "item_conflict", "/sku: Another item already has this sku."),
        ({"id": "a b", "title": "x"}, "item_invalid", "An id must consist of 1 to 64 letters"),
        ({"title": "x"}, "template_failed", "/item/put failed: the event has no value for the id."),
    ):
        done = ended(world, world.api.publish("shop.order", data))
        (attempt,) = done["attempts"]
        assert (done["state"], attempt["outcome"]) == ("dead", outcome)
        assert said in attempt["reason"], attempt["reason"]
    assert world.api.call("GET", "/v1/items/orders/a").status == 404
    assert len(changes(world)) == 1, "the one of the API"
    assert world.api.get("/v1/links/shop")["state"] == "enabled"


@pytest.mark.slow
def test_an_edit_waits_in_order_for_a_missing_item(world: World) -> None:
    edit = {"collection": "orders", "patch": "{{ subject }}", "data": {"pieces": "{{ data.n }}"}}
    link(world, item=edit, retry_delays_seconds=[0, 5, 5])
    world.api.put("/v1/items/orders/b", {"title": "b"})
    first = world.api.publish("shop.stock", {"n": 1}, subject="a")
    missing = attempted(world, first)
    assert (missing["state"], missing["attempts"][0]["outcome"]) == ("waiting", "item_missing")
    second = world.api.publish("shop.stock", {"n": 2}, subject="a")
    other = world.api.publish("shop.stock", {"n": 3}, subject="b")
    assert ended(world, other)["state"] == "delivered", "another subject does not wait"
    world.api.put("/v1/items/orders/a", {"title": "a"})
    until(lambda: (world.clock.advance(5), item(world, "a")["pieces"] == 2)[1], "both are made")
    assert ended(world, first)["state"] == ended(world, second)["state"] == "delivered"
    assert [each["changed"] for each in changes(world) if each["subject"] == "a"][1:] == [["pieces"], ["pieces"]]


@pytest.mark.slow
def test_an_edit_waits_for_a_collection_that_is_gone(world: World) -> None:
    link(world, item=PUT, retry_delays_seconds=[0, 5, 5])
    assert world.server.server is not None
    catalog, writer = world.server.server.parts.catalog, world.server.server.writer
    kept = catalog.now.collections["orders"]
    # The API refuses that while a link edits its items; a plan that raced with the link's would not.
    writer.wait(lambda db: catalog.drop_collections(db, ["orders"]))
    event = world.api.publish("shop.order", {"id": "a", "title": "a"})
    (attempt,) = attempted(world, event)["attempts"]
    assert (attempt["outcome"], attempt["reason"]) == ("collection_missing", "There is no collection orders.")
    writer.wait(lambda db: catalog.put_collections(db, [kept]))
    until(lambda: (world.clock.advance(5), ended(world, event)["state"] == "delivered")[1], "it is made", 20)


@pytest.mark.slow
def test_a_template_chooses_the_lines(world: World) -> None:
    edit = {"collection": "orders", "patch": "{{ data.id }}", "data": {"pieces": "{{ data.n }}"}}
    link(world, item=edit, order="{{ data.id }}", retry_delays_seconds=[0, 5, 5])
    first = world.api.publish("shop.stock", {"id": "a", "n": 1}, subject="x")
    attempted(world, first)
    second = world.api.publish("shop.stock", {"id": "a", "n": 2}, subject="y")
    held = until(lambda: (d := world.api.pages("/v1/deliveries", event=second)) and d[0]["due"] is None and d, "held")
    assert held and held[0]["attempts"] == 0
    world.api.put("/v1/items/orders/a", {"title": "a"})
    until(lambda: (world.clock.advance(5), item(world, "a")["pieces"] == 2)[1], "both are made")


@pytest.mark.slow
def test_an_edit_of_the_link_fixes_waiting_deliveries(world: World) -> None:
    link(world, item={"collection": "orders", "patch": "{{ data.ident }}-", "data": {"pieces": 1}})
    world.api.put("/v1/items/orders/a", {"title": "a"})
    event = world.api.publish("shop.stock", {"ident": "a"})
    attempted(world, event)
    link(world, item={"collection": "orders", "patch": "{{ data.ident }}", "data": {"pieces": 1}})
    assert ended(world, event)["state"] == "delivered"


@pytest.mark.slow
@pytest.mark.own_server
def test_a_link_that_triggers_itself_stops(world: World) -> None:
    edit = {"collection": "orders", "patch": "{{ subject }}", "data": {"pieces": "{{ data.pieces + 1 }}"}}
    link(world, event=["orders.updated"], item=edit)
    world.api.put("/v1/items/orders/a", {"title": "a", "pieces": 0})
    world.api.patch("/v1/items/orders/a", {"pieces": 1})
    dead = until(lambda: world.api.pages("/v1/deliveries", state="dead"), "it ends")
    (attempt,) = world.api.get(f"/v1/deliveries/{dead[0]['id']}")["attempts"]
    assert attempt["outcome"] == "loop"
    assert (
        attempt["reason"]
        == "8 links in a row led to this event, so no further link acts on it. Does a link trigger itself?"
    )
    assert item(world, "a")["pieces"] == 1 + HOPS_MAX
    assert [each["hops"] for each in changes(world)] == [0, 0, *range(1, HOPS_MAX + 1)]


# --- whose items ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_event_of_a_tenant_edits_items_of_that_tenant_only(world: World) -> None:
    link(world, "every", tenant="*", item=PUT)
    world.api.put("/v1/items/orders/a?tenant=acme", {"title": "acme's"})
    world.api.put("/v1/items/orders/a", {"title": "nobody's"})
    event = world.api.publish("shop.order", {"id": "a", "title": "new"}, tenant="other")
    assert ended(world, event, "every")["state"] == "delivered"
    titles = {each["tenant"]: each["title"] for each in world.api.pages("/v1/items/orders")}
    assert titles == {"acme": "acme's", None: "nobody's", "other": "new"}
    patch = {"collection": "orders", "patch": "{{ data.id }}", "data": {"title": "taken"}}
    link(world, "acme", "patch", tenant="acme", item=patch)
    theirs = world.api.publish("patch", {"id": "a"}, tenant="acme")
    none = world.api.publish("patch", {"id": "a"}, tenant="third")
    ended(world, theirs, "acme")
    assert world.api.get(f"/v1/events/{none}")["deliveries"] == []
    assert item(world, "a", tenant="acme")["title"] == "taken"


# --- once -------------------------------------------------------------------------------------------------------------


@pytest.mark.own_server
@pytest.mark.parametrize("lost", [1, 2, 3])
@pytest.mark.few(1)
def test_an_edit_happens_once_even_if_commits_are_not_answered(world: World, lost: int) -> None:
    link(world, item={"collection": "orders", "patch": "{{ subject }}", "data": {"pieces": "{{ data.n }}"}})
    world.api.put("/v1/items/orders/a", {"title": "a"})
    event = world.api.publish("shop.warm", {"n": 0}, subject="a")
    ended(world, event)
    world.api.post("/v1/links/shop:pause")
    event = world.api.publish("shop.stock", {"n": 5}, subject="a")
    world.api.post("/v1/links/shop:resume")
    commits = UnknownCommits(world.server)
    commits.lose(lost)
    until(lambda: (world.clock.advance(1), item(world, "a")["pieces"] == 5)[1], "it is edited", 20)
    until(lambda: (world.clock.advance(1), ended(world, event)["state"] == "delivered")[1], "it is written down", 20)
    assert [each["outcome"] for each in ended(world, event)["attempts"]] == ["ok"]
    assert len([each for each in changes(world) if each["cause"] == event]) == 1


# --- steering ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_pausing_keeps_and_deleting_cancels_waiting_deliveries(world: World) -> None:
    link(world, item=PUT)
    world.api.post("/v1/links/shop:pause", {"reason": "cleaning"})
    event = world.api.publish("shop.order", {"id": "a", "title": "a"})
    shown = world.api.get("/v1/links/shop", counts="true")
    assert (shown["state"], shown["reason"], shown["waiting"]) == ("paused", "cleaning", 1)
    assert world.api.post("/v1/links/shop:resume")["waiting"] == 1
    assert ended(world, event)["state"] == "delivered"
    world.api.post("/v1/links/shop:pause")
    dropped = world.api.publish("shop.order", {"id": "b", "title": "b"})
    world.api.delete("/v1/links/shop")
    assert ended(world, dropped)["state"] == "cancelled"
    assert world.api.pages("/v1/links") == []
    link(world, item=PUT)
    again = world.api.publish("shop.order", {"id": "c", "title": "c"})
    assert ended(world, again)["state"] == "delivered", "the name is free again"


@pytest.mark.slow
def test_an_event_says_why_it_did_not_go_to_a_link(world: World) -> None:
    link(world, item=PUT, filter={"data": {"total": {"$gt": 5}}})
    small = world.api.publish("shop.order", {"id": "a", "total": 3})
    other = world.api.publish("other", {})
    said = [world.api.get(f"/v1/events/{event}")["not_matched"] for event in (small, other)]
    assert [(each["link"], each["endpoint"]) for (each,) in said] == [("shop", None)] * 2
    assert "The filter does not match" in said[0][0]["reason"]
    assert said[1][0]["reason"] == "The selected types are shop.*, but the event's type is other."


@pytest.mark.slow
def test_webhooks_continue_alongside_links(world: World) -> None:
    link(world, item=PUT)
    endpoint = world.register(events=["orders.created"])
    world.api.publish("shop.order", {"id": "a", "title": "a"})
    body = world.receiver.wait_for(1)[0].json
    assert (body["type"], body["data"]["id"]) == ("orders.created", "a")
    assert world.api.pages("/v1/deliveries", endpoint=endpoint)
