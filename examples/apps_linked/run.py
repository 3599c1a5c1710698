"""Scenario 11, apps linked: an event in one app is an action in the next, whose answer is an action in a third.

Run `python examples/apps_linked/run.py`. It plays the CRM, the books (down at first) and the chat. It ends with 1 where
a step is missing, happens twice or out of order, or where the trail of the first event does not show them all.
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
SECRET = "agreed with the CRM"
JSON = {"Content-Type": "application/json"}
WON = {"kind": "deal.won", "deal": {"id": "d-7", "company": "Otto & Söhne", "cents": 119_000}}
LOST = {"kind": "deal.lost", "deal": {"id": "d-8", "company": "Nobody", "cents": 1}}
MESSAGE = "Invoice 2026-1 over 1190.00 EUR is out to Otto & Söhne."


class Books:
    """The second app: an invoice for each reference. It answers 503 at first, and what it takes twice counts once."""

    def __init__(self) -> None:
        self.invoices: dict[str, dict[str, Any]] = {}
        self.calls = 0

    def answer(self, request: Received) -> Reaction | int:
        """Make an invoice, or say why not."""
        self.calls += 1
        if request.headers.get("authorization") != "Bearer books-key":
            return 401
        if self.calls == 1:
            return 503
        wanted = request.json
        made = {"id": f"inv_{len(self.invoices) + 1}", "number": f"2026-{len(self.invoices) + 1}", **wanted}
        invoice = self.invoices.setdefault(request.headers["idempotency-key"], made)
        return Reaction(status=201, body=json.dumps(invoice).encode(), headers=JSON)


def tell(url: str, news: dict[str, Any]) -> int:
    """What the CRM does: POST its news, signed."""
    body = json.dumps(news).encode()
    signature = "sha256=" + hmac.new(SECRET.encode(), body, "sha256").hexdigest()
    request = urllib.request.Request(f"{url}/in/crm", body, {**JSON, "X-Hub-Signature": signature})
    with urllib.request.urlopen(request) as answer:
        return int(answer.status)


def show(trail: dict[str, Any]) -> list[str]:
    """The trail, a line for each event and each call; the types of its events and the names of the links, in order."""
    steps = []
    for event in trail["events"]:
        print(f"{event['type']} {event['subject']}")
        steps.append(event["type"])
        for delivery in event["deliveries"]:
            print(f"  {delivery['link']}: {delivery['state']} after {delivery['attempts']} attempts")
            steps.append(delivery["link"])
    return steps


def main() -> int:
    """Play it, and compare. The exit status."""
    books = Books()
    with Receiver() as books_http, Receiver() as chat:
        books_http.answer_by(books.answer)
        os.environ.update(BOOKS_URL=books_http.url("").rstrip("/"), BOOKS_KEY="books-key", CRM_SECRET=SECRET)
        os.environ["CHAT_URL"] = chat.url("").rstrip("/")
        with ProcessServer(config=CONFIG) as server, Client(server.url, server.api.key) as operator:
            answers = [tell(server.url, news) for news in (LOST, WON, WON)]
            chat.wait_for(1, 30)
            (first,) = operator.events(type="crm.deal", subject="d-7")
            settled = lambda: all(each["state"] == "delivered" for each in operator.deliveries())  # noqa: E731
            until(settled, "everything is done", 30)
            steps = show(operator.trail(first["id"]))
            texts = [each.json["text"] for each in chat.requests()]
    print(f"The chat reads: {texts}")
    well = (
        answers == [200, 200, 200]
        and steps == ["crm.deal", "invoice", "books.invoice.created", "tell-team"]
        and len(books.invoices) == 1
        and texts == [MESSAGE]
    )
    print("Three apps, each step once, and one trail shows them all." if well else "That is not what was asked for.")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
