"""Scenario 2, card payment: a shop charges a card and is answered at once; a week later it hears of a reversal.

Run `python examples/card_payment/run.py`. The server is a real process whose clock is moved by a week. It ends with 1
where an answer is not what it should be, or where the shop's URL does not get exactly the one `charge.reversed`.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tidings.client import Client, Invalid
from tidings.testing import ProcessServer, Received, Receiver

sys.path.append(str(Path(__file__).parents[1]))
from independent import CHECKED_BY, Webhook

CONFIG = Path(__file__).parent / "tidings.yaml"
WEEK_SECONDS = 7 * 24 * 3600

SHOP = [
    {"collection": "charge", "verbs": ["create", "get"], "write": ["card", "amount", "currency", "order"]},
    # A card that the shop's key does not see is one that it cannot charge.
    {"collection": "card", "verbs": ["get"], "read": ["last4"], "rows": {"state": "good"}},
]
BANK = [{"collection": "charge", "verbs": ["get", "edit"], "write": ["status", "reason"]}]


def pay(shop: Client) -> tuple[str, list[bool]]:
    """Charge cards, the right way and some wrong ones. The id of the charge, and whether each answer was right."""
    charges = shop.items("charge")
    order = {"card": "card_anna", "amount": 4200, "currency": "EUR", "order": "A-1001"}
    charge = charges.create(order, idempotency_key="order-A-1001")
    print(f"POST /v1/items/charge {order}\n  201 {charge['status']}: {charge['id']}")
    again = charges.create(order, idempotency_key="order-A-1001")
    print(f"The same again, with the same Idempotency-Key\n  201 {again['id']}: nobody pays twice")
    well = [charge["status"] == "succeeded", again == charge]
    wrong = {
        "no_such_item": {**order, "card": "card_bert", "order": "A-1002"},
        "too_large": {**order, "amount": 99_000_000, "order": "A-1003"},
    }
    for code, body in wrong.items():
        try:
            charges.create(body)
            well.append(False)
        except Invalid as refused:
            [place] = refused.errors
            print(f"POST /v1/items/charge {body}")
            print(f"  {refused.status} {place['code']} at {place['pointer']}: {place['detail']}")
            well.append(place["code"] == code)
    return str(charge["id"]), well


def is_genuine(webhook: Received, secret: str) -> bool:
    """Whether the library signs the same text the same way. Its own check would say: this is from next week."""
    signed_at = datetime.fromtimestamp(webhook.timestamp, UTC)
    signature: str = Webhook(secret).sign(webhook.id, signed_at, webhook.body.decode())
    return signature == webhook.headers["webhook-signature"]


def days_between(first: str, last: str) -> float:
    """How many days lie between two times."""
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds() / 86_400


def main() -> int:
    """Play it, and compare. The exit status."""
    with (
        ProcessServer(config=CONFIG, movable_clock=True) as server,
        Client(server.url, server.api.key) as operator,
        Receiver() as receiver,
    ):
        operator.items("card").put("card_anna", {"last4": "4242"})
        operator.items("card").put("card_bert", {"last4": "0002", "state": "blocked"})
        shop_key = operator.create_key("the shop", ["endpoints:read", "endpoints:write"], permits=SHOP)["key"]
        bank_key = operator.create_key("the bank", [], permits=BANK)["key"]

        with Client(server.url, shop_key) as shop, Client(server.url, bank_key) as bank:
            endpoint = shop.create_endpoint(receiver.url("/payments"), events=["charge.reversed"])
            secret = shop.endpoint_secret(endpoint["id"])["secret"]
            charge, well = pay(shop)

            print(f"\nA week passes; it is {server.advance(WEEK_SECONDS)} now.")
            bank.items("charge").edit(charge, {"status": "reversed", "reason": "fraudulent"})
            print("The bank: PATCH, status is reversed. The shop has not asked for anything.")
            [webhook] = receiver.wait_for(1)

        told: dict[str, Any] = webhook.json
        print(f"The shop's URL: {told['type']}\n  {told['data']}\n  changed: {told['changed']}")
        genuine = is_genuine(webhook, secret)
        print(f"The signature is {'right' if genuine else 'WRONG'}, says {CHECKED_BY}.")
        item = told["data"]
        well += [
            genuine,
            told["type"] == "charge.reversed",
            (item["id"], item["status"], item["reason"], item["amount"]) == (charge, "reversed", "fraudulent", 4200),
            told["previous"]["status"] == "succeeded" and told["changed"] == ["status", "reason"],
            days_between(item["created"], item["updated"]) >= 7,
            len(receiver.requests()) == len(list(operator.deliveries())) == 1,
        ]
    print("The shop was answered at once, and told a week later." if all(well) else f"That is not right: {well}")
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
