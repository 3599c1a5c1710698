"""Scenario 8, supplier stock: an approved supplier says that there are more pieces, and the item is edited at once.

Run `python examples/supplier_stock/run.py`. It ends with 1 where an unapproved sender changes anything, or the supplier
does not.
"""

from __future__ import annotations

import hmac
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tidings.client import Client
from tidings.testing import ProcessServer, until

CONFIG = Path(__file__).parent / "tidings.yaml"
SECRET = "agreed on the phone"


def send(url: str, stock: dict[str, Any], secret: str) -> int:
    """What a supplier does: POST what it has, signed with the secret. The status of the answer."""
    body = json.dumps(stock).encode()
    signature = "sha256=" + hmac.new(secret.encode(), body, "sha256").hexdigest()
    headers = {"Content-Type": "application/json", "X-Hub-Signature": signature, "X-Hub-Signature-256": signature}
    request = urllib.request.Request(f"{url}/in/supplier", body, headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def main() -> int:
    """Play it, and compare. The exit status."""
    os.environ["SUPPLIER_SECRET"] = SECRET
    with ProcessServer(config=CONFIG) as server, Client(server.url, server.api.key) as operator:
        stock = operator.items("stock")
        stock.put("chair", {"name": "Chair", "pieces": 4})
        approved = send(server.url, {"sku": "chair", "pieces": 40}, SECRET)
        until(lambda: stock.get("chair")["pieces"] == 40, "the item is edited")
        print(f"The supplier has 40 chairs: {approved}. In stock: {stock.get('chair')['pieces']}")
        repeated = send(server.url, {"sku": "chair", "pieces": 40}, SECRET)
        impostor = send(server.url, {"sku": "chair", "pieces": 4_000}, "a guess")
        print(f"The same once more: {repeated}. Somebody else, with 4,000 chairs: {impostor}")
        wrong = send(server.url, {"sku": "chair", "pieces": -1}, SECRET)
        dead = until(lambda: list(operator.deliveries(state="dead")), "the edit is refused")
        reason = operator.delivery(dead[0]["id"])["attempts"][0]["reason"]
        print(f"The supplier mistypes: {wrong}. {reason}")
        [change] = list(operator.events(type="stock.updated"))
        cause = operator.event(change["cause"])
        print(f"Why are there 40? {change['type']} by {cause['type']}, {cause['data']}")
        well = (
            (approved, repeated, impostor, wrong) == (200, 200, 401, 200)
            and stock.get("chair")["pieces"] == 40
            and "/pieces" in reason
            and cause["data"] == {"sku": "chair", "pieces": 40}
        )
    print("Only the supplier changed the stock, once." if well else "That is not what was asked for.")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
