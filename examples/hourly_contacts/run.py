"""Scenario 3, contacts: those of a CRM are copied into the books of another system every hour, new ones and changes.

Run `python examples/hourly_contacts/run.py`, or the same with `--soap`. It plays both systems, kills the server while
it copies, and lets the books refuse calls. It ends with 1 where the books differ from the CRM at the end, or reading
all again changes them.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tidings.client import Client
from tidings.model.moment import to_text
from tidings.testing import ProcessServer, Reaction, Received, Receiver, until

sys.path.append(str(Path(__file__).parents[1]))
import soap_contacts as soap

FOLDER = Path(__file__).parent
JSON = {"Content-Type": "application/json"}
CONTACTS, PAGE, KILLS = 60, 10, 5


class Crm:
    """A CRM: contacts with the time of their last change, in pages, with deleted ones among them."""

    def __init__(self) -> None:
        self.contacts: dict[str, dict[str, Any]] = {}
        self.lock, self.chance, self.count = threading.Lock(), random.Random(3), 0

    def write(self, number: int, **values: Any) -> None:
        """Create, change or delete a contact; the CRM counts whole seconds."""
        with self.lock:
            now = to_text(time.time_ns() // 1_000_000_000 * 1_000_000)
            self.contacts[str(number)] = {"id": str(number), "deleted": False, **values, "changed": now}

    def change(self) -> None:
        """Somebody works with it."""
        self.count += 1
        number = self.chance.randrange(CONTACTS)
        name = {"name": f"Contact {number}, version {self.count}", "email": f"c{number}@example.com"}
        self.write(number, **name, deleted=self.chance.random() < 0.1)

    def answer(self, request: Received) -> Reaction:
        """A page, and where the next one is."""
        if request.headers.get("authorization") != "Bearer crm-key":
            return Reaction(status=401)
        is_soap = "soapaction" in request.headers
        query = {name: values[0] for name, values in parse_qs(urlsplit(request.path).query).items()}
        since, after = soap.listing(request) if is_soap else (query.get("since", ""), int(query.get("after", "0")))
        with self.lock:
            found = sorted((each for each in self.contacts.values() if each["changed"] >= since), key=_order)
        if is_soap:
            return soap.listed(found[after : after + PAGE], after + PAGE < len(found))
        following = f'</contacts?since={since}&after={after + PAGE}>; rel="next"'
        more = {"Link": following} if after + PAGE < len(found) else {}
        return Reaction(status=200, body=json.dumps(found[after : after + PAGE]).encode(), headers={**JSON, **more})

    def alive(self) -> dict[str, str]:
        """The names of the contacts that are not deleted."""
        with self.lock:
            return {f"CRM-{key}": each["name"] for key, each in self.contacts.items() if not each["deleted"]}


class Books:
    """The other system: customers by the key in the URL. It refuses every fortieth call."""

    def __init__(self) -> None:
        self.customers: dict[str, str] = {}
        self.calls = 0

    def answer(self, request: Received) -> Reaction | int:
        """Take a customer, or close one."""
        self.calls += 1
        if self.calls % 40 == 0:
            return Reaction(status=429, headers={"Retry-After": "1"})
        is_soap = "soapaction" in request.headers
        if is_soap:
            key, name, closed = soap.customer(request)
        else:
            key, name, closed = request.path.rpartition("/")[2], request.json["name"], request.json["closed"]
        if closed:
            self.customers.pop(key, None)
        else:
            self.customers[key] = name
        return soap.put() if is_soap else 200


def _order(contact: dict[str, Any]) -> tuple[str, str]:
    return contact["changed"], contact["id"]


def main(*options: str) -> int:
    """Play it, and compare. The exit status."""
    config = FOLDER / ("soap.yaml" if "--soap" in options else "tidings.yaml")
    crm, books = Crm(), Books()
    for number in range(CONTACTS):
        crm.write(number, name=f"Contact {number}", email=f"c{number}@example.com")
    with Receiver() as crm_http, Receiver() as books_http:
        crm_http.answer_by(crm.answer)
        books_http.answer_by(books.answer)
        os.environ.update(CRM_URL=crm_http.url("").rstrip("/"), CRM_KEY="crm-key")
        os.environ.update(BOOKS_URL=books_http.url("").rstrip("/"), BOOKS_KEY="books-key")
        with ProcessServer(config=config) as server, Client(server.url, server.api.key) as operator:
            for _ in range(KILLS):
                for _ in range(20):
                    crm.change()
                    time.sleep(0.01)
                server.kill()
                server.start()
                # An hour has passed.
                until(lambda: server.api.call("POST", "/v1/links/crm-contacts:run").status == 202, "it runs", 30)
            waiting = {"link": "crm-contacts", "state": "waiting"}
            until(lambda: not server.api.pages("/v1/deliveries", **waiting), "it has read", 30)
            event = operator.links.run("crm-contacts")["id"]
            until(lambda: books.customers == crm.alive(), "the books equal the CRM", 60)
            until(lambda: server.api.pages("/v1/deliveries", event=event, state="delivered"), "the run has ended", 30)
            changes = len(server.api.pages("/v1/events", type="crm.contact.*"))
            kept = f"{len(books.customers)} contacts are in the books"
            print(f"{kept}, after {KILLS} kills: {changes} changes, {books.calls} calls.")
            operator.links.reset("crm-contacts")
            before = books.calls
            event = operator.links.run("crm-contacts")["id"]
            until(lambda: server.api.pages("/v1/deliveries", event=event, state="delivered"), "it reads all again", 30)
            found = operator.trail(event)["events"][0]["deliveries"][0]["reason"]
            print(f"Read again from the beginning:\n  {found} {books.calls - before} calls.")
            well = books.customers == crm.alive() and books.calls == before
    print("The books equal the CRM." if well else "That is not what was asked for.")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
