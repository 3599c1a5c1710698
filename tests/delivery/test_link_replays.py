"""Replays of links: edits that are made again, each item once, in the order of their events."""

from __future__ import annotations

from typing import Any

import pytest

from tests.delivery.test_item_links import PUT, attempted, ended, link
from tests.delivery.world import World
from tests.web.test_replays import LONG_AGO, done
from tidings.testing import until

pytestmark = pytest.mark.own_server

ORDERS = {"fields": {"total": "integer"}}
CREATE = {"collection": "orders", "create": True, "data": "{{ data }}"}


@pytest.fixture(autouse=True)
def orders(world: World) -> None:
    world.api.put("/v1/collections/orders", ORDERS)


def replayed(world: World, name: str, which: str = "all") -> dict[str, Any]:
    world.clock.advance(1)
    started = world.api.post("/v1/replays", {"link": name, "since": LONG_AGO, "which": which})
    assert (started["link"], started["endpoint_id"]) == (name, None)
    return done(world.api, started["id"])


@pytest.mark.slow
def test_edits_are_made_again_in_order(world: World) -> None:
    link(world, item=PUT)
    for number in (1, 2):
        ended(world, world.api.publish("shop.order", {"id": "o-1", "total": number}, subject="o-1"))
    world.api.delete("/v1/items/orders/o-1")
    world.clock.advance(1)
    dry = world.api.post("/v1/replays", {"link": "shop", "since": LONG_AGO, "which": "all", "dry_run": True})
    assert (dry["would_send"], dry["link"], dry["endpoint_id"]) == (2, "shop", None)
    assert replayed(world, "shop")["sent"] == 2
    until_idle(world, 4)
    assert world.api.get("/v1/items/orders/o-1")["total"] == 2
    assert [each["link"] for each in world.api.pages("/v1/replays", link="shop")] == ["shop"]


@pytest.mark.slow
def test_an_event_makes_one_item_however_often_it_is_replayed(world: World) -> None:
    link(world, item=CREATE)
    ended(world, world.api.publish("shop.order", {"total": 1}))
    for round in (2, 3):
        assert replayed(world, "shop")["sent"] == 1
        until_idle(world, round)
    assert len(world.api.pages("/v1/items/orders")) == 1


@pytest.mark.slow
def test_what_was_dead_is_edited_once_it_can_be(world: World) -> None:
    link(world, item={"collection": "orders", "put": "{{ data.id }}", "data": {"total": "{{ data.name }}"}})
    event = world.api.publish("shop.order", {"id": "o-9", "name": "five", "total": 5})
    assert ended(world, event)["state"] == "dead"
    link(world, item={"collection": "orders", "put": "{{ data.id }}", "data": {"total": "{{ data.total }}"}})
    assert replayed(world, "shop", "failed")["sent"] == 1
    attempted(world, event, 2)
    assert world.api.get("/v1/items/orders/o-9")["total"] == 5
    assert replayed(world, "shop", "failed")["sent"] == 0


def until_idle(world: World, deliveries: int) -> None:
    """Wait until this many deliveries through the link are made."""

    def made() -> bool:
        return len(world.api.pages("/v1/deliveries", link="shop", state="delivered")) == deliveries

    until(made, f"{deliveries} deliveries are made")


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, ("/endpoint_id", "incomplete")),
        ({"link": "shop", "endpoint_id": "ep_x"}, ("/link", "not_together")),
        ({"link": "none"}, ("/link", "not_found")),
        ({"link": "hourly", "which": "all"}, ("/which", "wrong_value")),
    ],
)
@pytest.mark.few(2)
def test_what_cannot_be_replayed_is_named(world: World, body: dict[str, Any], place: tuple[str, str]) -> None:
    link(world, item=PUT)
    world.api.put("/v1/links/hourly", {"when": {"every": "1h"}, "item": {**PUT, "put": "x", "data": {"total": 1}}})
    reply = world.api.call("POST", "/v1/replays", {"since": LONG_AGO, **body})
    (error,) = reply.json["errors"]
    assert reply.status == 422 and (error["pointer"], error["code"]) == place
    assert world.api.post("/v1/replays", {"link": "hourly", "since": LONG_AGO, "dry_run": True})["would_send"] == 0
    listed = world.api.call("GET", "/v1/replays", link="none")
    assert listed.status == 422 and listed.json["errors"][0]["code"] == "not_found"


def test_a_paused_link_is_resumed_first_and_a_tenant_replays_its_own(world: World) -> None:
    link(world, item=PUT)
    world.api.post("/v1/links/shop:pause", {"reason": "Stocktaking."})
    reply = world.api.call("POST", "/v1/replays", {"link": "shop", "since": LONG_AGO})
    assert reply.status == 409 and "The link shop is paused: Stocktaking. Resume it first." in reply.json["detail"]
    key = world.api.post("/v1/keys", {"name": "x", "scopes": ["replays:write"], "tenant": "acme"})["key"]
    theirs = world.api.with_key(key).call("POST", "/v1/replays", {"link": "shop", "since": LONG_AGO})
    assert theirs.status == 422 and theirs.json["errors"][0]["code"] == "not_found"
