"""Scenario 23, the restaurant: the menu is the API's documentation, an order a request, and the dish comes to the door.

Run `python examples/restaurant/run.py`. `make demo` plays a whole evening of it, with a live table. It ends with 1
where the dish does not arrive, or not as it was ordered, or where a guest may do what is not on the menu.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tidings.client import Client, Forbidden
from tidings.client.calls import read
from tidings.testing import ProcessServer, Received, Receiver

sys.path.append(str(Path(__file__).parents[1]))
from independent import CHECKED_BY, Webhook

FOLDER = Path(__file__).parent
GUEST = [
    {"collection": "dishes", "questions": ["by_course"]},
    {"collection": "orders", "verbs": ["create", "get"], "write": ["dish", "table", "wish"]},
]
KITCHEN = [{"collection": "orders", "verbs": ["get", "edit"], "write": ["status"]}]
MENU = [
    "GET /v1/items/dishes:by_course",
    "POST /v1/items/orders",
    "POST /v1/items/orders:batch",
    "POST /v1/items/orders:import",
    "GET /v1/items/orders/{id}",
]


def menu(client: Client) -> list[str]:
    """What a key may do, as the API documents itself to it. The same is drawn at `/docs`."""
    paths = client.send(read("/v1/openapi.json"))["paths"]
    return [
        f"{method.upper()} {path}" for path, operations in paths.items() for method in operations if "/items/" in path
    ]


def order(guest: Client) -> dict[str, object]:
    """Read the menu, choose a soup, order it, and try to have it at once."""
    soups = list(guest.items("dishes").ask("by_course", course="soup", sort="created"))
    print(f"The soups: {', '.join(soup['name'] for soup in soups)}")
    [soup] = [each for each in soups if each["name"] == "Pumpkin soup"]
    ordered = guest.items("orders").create({"dish": soup["id"], "table": 7, "wish": "without cream"})
    print(f"The order: POST /v1/items/orders is answered with {ordered['id']}: {ordered['status']}")
    try:
        guest.items("orders").edit(ordered["id"], {"status": "ready"})
    except Forbidden as refused:
        print(f"A guest who says that it is ready: {refused.status} {refused.code}")
        return dict(ordered)
    raise AssertionError("the guest was let into the kitchen")


def main() -> int:
    """Play it, and compare. The exit status."""
    with (
        ProcessServer(config=FOLDER / "tidings.yaml") as server,
        Client(server.url, server.api.key) as chef,
    ):
        chef.items("dishes").import_(FOLDER / "dishes.csv")
        guest_key = chef.create_key("a guest", [], permits=GUEST)["key"]
        kitchen_key = chef.create_key("the kitchen", ["events:read"], permits=KITCHEN)["key"]
        secret = ""

        def check(request: Received) -> None:
            Webhook(secret).verify(request.body, dict(request.headers))

        with (
            Receiver(check) as door,
            Client(server.url, guest_key) as guest,
            Client(server.url, kitchen_key) as kitchen,
        ):
            endpoint = chef.create_endpoint(door.url("/door"), events=["orders.ready"])
            secret = chef.endpoint_secret(endpoint["id"])["secret"]
            full, own = menu(chef), menu(guest)
            print(f"The menu: the chef's key sees {len(full)} operations on items, the guest's {len(own)}:")
            print("".join(f"  {line}\n" for line in own), end="")
            ordered = order(guest)

            [created], _ = next(kitchen.follow(after="start", type="orders.created", wait_seconds=5))
            kitchen.items("orders").edit(created["subject"], {"status": "ready"})
            print(f"The kitchen reads {created['type']} in its feed, cooks, and edits {created['subject']} to ready.")
            [request] = door.wait_for(1)
            dish = request.json["data"]
            print(f"The door: {request.json['type']}, {dish['dish']} for table {dish['table']}, {dish['wish']}")

            genuine = not door.refused
            print(f"The signature is {'right' if genuine else 'WRONG'}, says {CHECKED_BY}.")
            well = (
                genuine
                and sorted(own) == sorted(MENU)
                and dish["status"] == "ready"
                and [dish[name] for name in ("id", "dish", "wish")] == [ordered[n] for n in ("id", "dish", "wish")]
                and len(door.requests()) == 1
            )
    print("The dish arrived as it was ordered." if well else "That is not what was ordered.")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
