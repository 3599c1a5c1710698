"""Scenario 12, failed subscription: a payment provider says that a payment failed, and the customer gets one mail.

Run `python examples/failed_subscription/run.py`. The provider repeats its webhook, as such providers do, and an
impostor tries to send one. It ends with 1 where a mail is missing, or one too many is sent.
"""

from __future__ import annotations

import hmac
import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tidings.testing import ProcessServer, until

sys.path.append(str(Path(__file__).parents[1]))
from mail_server import Mailbox

CONFIG = Path(__file__).parent / "tidings.yaml"
SECRET = "whsec_example"
INVOICE = {
    "id": "in_1",
    "object": "invoice",
    "amount_due": 1990,
    "currency": "eur",
    "attempt_count": 1,
    "customer_email": "ada@example.com",
    "hosted_invoice_url": "https://invoice.example.com/in_1",
}


def send(url: str, ident: str, invoice: dict[str, Any], secret: str = SECRET) -> int:
    """What the provider does: POST an event, signed with the secret. The status of the answer."""
    event = {"id": ident, "object": "event", "type": "invoice.payment_failed", "data": {"object": invoice}}
    body, stamp = json.dumps(event).encode(), int(time.time())
    signature = hmac.new(secret.encode(), f"{stamp}.".encode() + body, "sha256").hexdigest()
    headers = {"Content-Type": "application/json", "Stripe-Signature": f"t={stamp},v1={signature}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{url}/in/stripe", body, headers)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def main() -> int:
    """Play it, and compare. The exit status."""
    with Mailbox() as mailbox:
        os.environ |= {"MAIL_SERVER": mailbox.url, "STRIPE_SECRET": SECRET}
        with ProcessServer(config=CONFIG) as server:
            first = send(server.url, "evt_1", INVOICE)
            repeated = send(server.url, "evt_1", INVOICE)
            again = send(server.url, "evt_2", INVOICE)
            impostor = send(server.url, "evt_3", {**INVOICE, "customer_email": "eve@example.com"}, "a guess")
            second = send(server.url, "evt_4", {**INVOICE, "attempt_count": 2})
            nothing = send(server.url, "evt_5", {**INVOICE, "id": "in_2", "amount_due": 0})
            until(lambda: len(mailbox.mails) == 2, "both mails arrive", 20)
            until(lambda: not server.api.pages("/v1/deliveries", state="waiting"), "everything has ended", 20)
            ended = [each["last"]["outcome"] for each in server.api.pages("/v1/deliveries", link="dunning")]
    print(
        f"Failed: {first}, repeated: {repeated}, under another id: {again}, forged: {impostor},\n"
        f"failed again: {second}, nothing due: {nothing}"
    )
    for mail in mailbox.mails:
        print(f"{mail['To']}: {mail['Subject']}")
    well = (
        (first, repeated, again, impostor, second, nothing) == (200, 200, 200, 401, 200, 200)
        and len(mailbox.mails) == 2
        and all(mail["Subject"] == "Your payment of 19.90 EUR failed" for mail in mailbox.mails)
        and sorted(ended) == ["ok", "ok", "skipped"]
    )
    print("One mail for each failed try, however often it was reported." if well else "That is wrong.")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
