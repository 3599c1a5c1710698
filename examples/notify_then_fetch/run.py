"""Scenario 6, notify then fetch: a webhook only says that an order has changed; the order is fetched and copied.

Run `python examples/notify_then_fetch/run.py`. It ends with 1 where the copy differs, or a repeated webhook changes it.
"""

from __future__ import annotations

import hmac
import json
import os
import sys
import urllib.request
from pathlib import Path
from typing import Any

from tidings.client import Client
from tidings.testing import ProcessServer, Reaction, Received, Receiver, until

CONFIG = Path(__file__).parent / "tidings.yaml"
SECRET = "agreed on the phone"
ORDERS: dict[str, dict[str, Any]] = {}


def shop(request: Received) -> Reaction:
    """The shop's API: one order, for those who have the key."""
    if request.headers.get("authorization") != "Bearer shop-key":
        return Reaction(status=401)
    order = ORDERS.get(request.path.rpartition("/")[2])
    if order is None:
        return Reaction(status=404)
    return Reaction(status=200, body=json.dumps(order).encode(), headers={"Content-Type": "application/json"})


def ping(url: str, order: str, number: int) -> int:
    """What the shop does when an order changes: a signed webhook with its id, and nothing else."""
    body = json.dumps({"order_id": order, "number": number}).encode()
    signature = "sha256=" + hmac.new(SECRET.encode(), body, "sha256").hexdigest()
    headers = {"Content-Type": "application/json", "X-Hub-Signature": signature, "X-Hub-Signature-256": signature}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/in/shop", body, headers)) as answer:
        return int(answer.status)


def main() -> int:
    """Play it, and compare. The exit status."""
    with Receiver() as api:
        api.answer_by(shop)
        os.environ.update(SHOP_URL=api.url("").rstrip("/"), SHOP_KEY="shop-key", SHOP_SECRET=SECRET)
        with ProcessServer(config=CONFIG) as server, Client(server.url, server.api.key) as operator:
            ORDERS["o-1"] = {"id": "o-1", "title": "Two chairs", "state": "paid"}
            ping(server.url, "o-1", 1)
            until(lambda: list(operator.items("orders").list()), "the order is copied")
            ping(server.url, "o-1", 2)
            ORDERS["o-1"]["state"] = "shipped"
            ping(server.url, "o-1", 3)
            until(lambda: operator.items("orders").get("o-1")["state"] == "shipped", "it is copied again")
            del ORDERS["o-1"]
            ping(server.url, "o-1", 4)
            until(lambda: not list(operator.items("orders").list()), "it is gone")
            kinds = [each["type"] for each in reversed(list(operator.events(type="shop.order.*")))]
            print(f"Four webhooks, and what differed:\n  {', '.join(kinds)}")
            first = list(operator.events(type="shop.pinged"))[-1]["id"]
            trail = [each["type"] for each in operator.trail(first)["events"]]
            print(f"From the first webhook to the last edit:\n  {', '.join(trail)}")
    well = kinds == ["shop.order.created", "shop.order.updated", "shop.order.deleted"]
    well = well and trail == ["shop.pinged", "shop.order.created", "orders.created"]
    print("The copy followed the shop." if well else "That is not what was asked for.")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
