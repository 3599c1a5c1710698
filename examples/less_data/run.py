"""Scenario `less_data`: receivers that want only some events, only some fields, ten a second, or a hundred at a time.

`python examples/less_data/run.py` starts its own server in a temp folder. It ends with 1 where a receiver gets
more than it asked for, or less.
"""

from __future__ import annotations

import sys
from datetime import datetime

from tidings.client import Client, verify
from tidings.testing import ProcessServer, Received, Receiver, until

ORDERS = 250
FAST = 25
"""This many events go to the receiver that wants ten a second."""


def order(number: int) -> dict[str, object]:
    """One order as the shop knows it; its customer is nobody's business."""
    return {"number": number, "total": number * 10, "customer": {"name": f"c{number}", "card": "4242"}}


def filtered(client: Client, receiver: Receiver) -> None:
    """Only some events: by type, and by what is in them."""
    endpoint = client.create_endpoint(
        receiver.url("/dear"), events=["orders.paid"], filter={"data": {"total": {"$gte": 2000}}}
    )
    publish(client, "orders.paid")
    publish(client, "orders.seen")
    wanted = [number for number in range(ORDERS) if number * 10 >= 2000]
    found = [webhook.json["data"]["number"] for webhook in receiver.wait_for(len(wanted), 30, "/dear")]
    assert sorted(found) == wanted, found
    print(f"filter   of {2 * ORDERS} events {len(found)} came: orders.paid of 2000 and more")
    client.delete_endpoint(endpoint["id"])


def chosen_fields(client: Client, receiver: Receiver) -> None:
    """Only some fields: what is not chosen never leaves the server."""
    endpoint = client.create_endpoint(receiver.url("/slim"), events=["orders.one"], fields=["number", "customer.name"])
    client.publish("orders.one", order(7))
    [webhook] = receiver.wait_for(1, path="/slim")
    assert webhook.json["data"] == {"number": 7, "customer": {"name": "c7"}}, webhook.json
    assert b"4242" not in webhook.body
    print(f"fields   {webhook.json['data']}")
    client.delete_endpoint(endpoint["id"])


def rated(client: Client, receiver: Receiver) -> None:
    """Not more than ten a second; the rest waits its turn, nothing is dropped."""
    endpoint = client.create_endpoint(receiver.url("/calm"), events=["orders.fast"], rate=10)
    publish(client, "orders.fast", FAST)
    webhooks = receiver.wait_for(FAST, 30, "/calm")
    until(
        lambda: len(list(client.deliveries(endpoint=endpoint["id"], state="delivered"))) == FAST,
        "every delivery is written down",
    )
    left = sorted(
        datetime.fromisoformat(client.delivery(delivery["id"])["attempts"][0]["at"]).timestamp()
        for delivery in client.deliveries(endpoint=endpoint["id"])
    )
    most = max(sum(at <= other < at + 0.999 for other in left) for at in left)
    assert most <= 10, left
    print(f"rate     {FAST} events took {webhooks[-1].at - webhooks[0].at:.1f} s; the most in any second: {most}")
    client.delete_endpoint(endpoint["id"])


def batched(client: Client, receiver: Receiver) -> None:
    """A hundred at a time, in one signed POST."""
    endpoint = client.create_endpoint(
        receiver.url("/bulk"), events=["orders.many"], batch={"max_events": 100, "max_ms": 1000}
    )
    secret = client.endpoint_secret(endpoint["id"])["secret"]
    publish(client, "orders.many")
    webhooks = receiver.wait_for(3, 30, "/bulk")
    until(lambda: numbers(receiver.requests("/bulk")) == list(range(ORDERS)), "every order comes, in order")
    for webhook in webhooks:
        verify(webhook.headers, webhook.body, secret)
    sizes = [len(webhook.json["data"]) for webhook in webhooks]
    assert sizes == [100, 100, 50], sizes
    print(f"batch    {ORDERS} events came in {len(webhooks)} signed requests: {sizes}")
    client.delete_endpoint(endpoint["id"])


def publish(client: Client, kind: str, count: int = ORDERS) -> None:
    """This many orders as events of one type."""
    client.publish_batch([{"type": kind, "data": order(number)} for number in range(count)])


def numbers(webhooks: list[Received]) -> list[int]:
    """The orders' numbers in some batches."""
    return [one["data"]["number"] for webhook in webhooks for one in webhook.json["data"]]


def main() -> int:
    """Play all four. The exit status."""
    with ProcessServer() as server, Receiver() as receiver, Client(server.url, server.api.key) as client:
        try:
            for part in (filtered, chosen_fields, rated, batched):
                part(client, receiver)
        except AssertionError as wrong:
            print(f"That is not what was asked for: {wrong}", file=sys.stderr)
            return 1
    print("Each receiver got exactly what it asked for.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
