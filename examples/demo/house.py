"""Who works with the API in the demo: the chef, who puts the menu out, the guests, who order, and the kitchen."""

from __future__ import annotations

import time
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

from tidings.client import Client
from tidings.client.calls import read

RESTAURANT = Path(__file__).parent.parent / "restaurant"
CONFIG = RESTAURANT / "tidings.yaml"
TABLES = 12
COOK_SECONDS = {"soup": 0.4, "starter": 0.6, "main": 1.2, "dessert": 0.8}

GUEST = [
    {"collection": "dishes", "questions": ["by_course"]},
    {"collection": "orders", "verbs": ["create", "get"], "write": ["dish", "table", "wish"]},
]
KITCHEN = [
    {"collection": "orders", "verbs": ["get", "edit"], "write": ["status"]},
    {"collection": "dishes", "verbs": ["get"]},
]


class Order(NamedTuple):
    """One order on its way. `since`: in seconds of `time.monotonic`."""

    id: str
    dish: str
    table: int
    since: float


def put_menu_out(chef: Client) -> dict[str, dict[str, Any]]:
    """Make the dishes items, from a file; what they are, by their ids."""
    chef.items("dishes").import_(RESTAURANT / "dishes.csv")
    return {dish["id"]: dish for dish in chef.items("dishes").list()}


def document(client: Client) -> list[tuple[str, str]]:
    """Each operation that a key may use, and what it does: the API's documentation, as this key is shown it."""
    paths = client.send(read("/v1/openapi.json"))["paths"]
    return [
        (f"{method.upper()} {path}", operation["summary"])
        for path, operations in paths.items()
        for method, operation in operations.items()
    ]


class Guests:
    """They ask the menu's questions, and order one dish after the other."""

    def __init__(self, client: Client) -> None:
        self._client = client
        courses = [
            list(client.items("dishes").ask("by_course", course=course, sort="created")) for course in COOK_SECONDS
        ]
        self.menu = {dishes[0]["course"]: [dish["name"] for dish in dishes] for dishes in courses}
        """The names of the dishes, by course, as the guests were told them."""
        longest = max(len(dishes) for dishes in courses)
        self._next = cycle(dishes[at] for at in range(longest) for dishes in courses if at < len(dishes))
        self.orders: list[Order] = []

    def order(self) -> Order:
        """One more order, of the next dish for the next table."""
        dish, table = next(self._next), len(self.orders) % TABLES + 1
        made = self._client.items("orders").create({"dish": dish["id"], "table": table})
        self.orders.append(Order(made["id"], dish["name"], table, time.monotonic()))
        return self.orders[-1]


class Kitchen:
    """Follows the feed of orders, cooks each for a while, and edits it to ready."""

    def __init__(self, client: Client, dishes: dict[str, dict[str, Any]]) -> None:
        self._client, self._dishes = client, dishes
        self._feed = client.follow(after="start", wait_seconds=0, type="orders.created")
        self._cooking: list[tuple[float, Order]] = []
        self.ready: dict[str, Order] = {}
        """What is ready, by the order's id; `since` is when that was said."""

    def look(self) -> list[Order]:
        """Take in new orders, and say about what is cooked that it is ready; those orders."""
        now = time.monotonic()
        events, _ = next(self._feed)
        for event in events:
            dish = self._dishes[event["data"]["dish"]]
            order = Order(event["subject"], dish["name"], event["data"]["table"], now)
            self._cooking.append((now + COOK_SECONDS[dish["course"]], order))
        done = [order for until, order in self._cooking if until <= now]
        self._cooking = [(until, order) for until, order in self._cooking if until > now]
        for order in done:
            self.ready[order.id] = order._replace(since=time.monotonic())
            self._client.items("orders").edit(order.id, {"status": "ready"})
        return [self.ready[order.id] for order in done]

    @property
    def cooking(self) -> int:
        """How many dishes are on the fire."""
        return len(self._cooking)
