"""Scenario 23, the restaurant: the menu is the API's documentation, an order a request, and the dish comes to the door.

Run `python examples/restaurant/run.py`. `make demo` plays the same with real GitHub webhooks, three doors and a live
table. It ends with 1 where the dish does not arrive, or not as it was ordered.
"""

from __future__ import annotations

import sys

from standardwebhooks import Webhook

from tidings.client import Client
from tidings.client.calls import read
from tidings.testing import ProcessServer, Received, Receiver

DISH = {"table": 7, "dish": "pumpkin soup"}


def menu(guest: Client) -> list[str]:
    """What this key may do, as the API documents itself to it. The same is drawn at `/docs`."""
    paths = guest.send(read("/v1/openapi.json"))["paths"]
    return [f"{method.upper()} {path}" for path, operations in paths.items() for method in operations]


def main() -> int:
    """Play it, and compare. The exit status."""
    with ProcessServer() as server, Client(server.url, server.api.key) as chef:
        key = chef.create_key("a guest", ["events:write"])["key"]
        secret = ""

        def check(request: Received) -> None:
            Webhook(secret).verify(request.body, dict(request.headers))

        with Receiver(check) as door, Client(server.url, key) as guest:
            endpoint = chef.create_endpoint(door.url("/door"), events=["dishes.*"])
            secret = chef.endpoint_secret(endpoint["id"])["secret"]

            full, own = menu(chef), menu(guest)
            print(f"The menu:  the chef's key sees {len(full)} operations, the guest's {len(own)}: {', '.join(own)}")
            event = guest.publish("dishes.ready", DISH, subject="table-7")
            print(f"The order: POST /v1/events is answered with {event['id']}; it is on disk.")
            [request] = door.wait_for(1)
            print(f"The door:  {request.json['type']} {request.json['data']}, webhook-id {request.id}")

            genuine = not door.refused
            print(f"The signature is {'right' if genuine else 'WRONG'}, says the library standardwebhooks.")
            well = genuine and request.id == event["id"] and request.json["data"] == DISH
            shown = "POST /v1/events" in own and len(own) < len(full) and not any("keys" in each for each in own)
    print("The dish arrived as it was ordered." if well and shown else "That is not what was ordered.")
    return 0 if well and shown else 1


if __name__ == "__main__":
    sys.exit(main())
