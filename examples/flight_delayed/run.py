"""Scenario 14, flight delayed: a polled flight list shows a delay, a second list a payment; an SMS goes to each phone.

Run `python examples/flight_delayed/run.py`. It plays the airport and an SMS provider that is as strict as Twilio: the
form, HTTP Basic, numbers in E.164, 201, and 429 now and then. It ends with 1 where a phone gets no SMS, or too many.
"""

from __future__ import annotations

import base64
import json
import os
import re
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from tidings.client import Client
from tidings.testing import ProcessServer, Reaction, Received, Receiver, until

CONFIG = Path(__file__).parent / "tidings.yaml"
SID, TOKEN = "AC" + "0" * 32, "twilio-token"
JSON = {"Content-Type": "application/json"}
E164 = re.compile(r"\+[1-9][0-9]{7,14}")
PAGE = 2
ANN, BOB, EVE = "+4930123456", "+4930123457", "+15551234567"


class Airport:
    """Today's flights, in pages, and what customers have paid."""

    def __init__(self) -> None:
        self.flights: list[dict[str, Any]] = [
            {"no": "LH 7", "status": "on time", "eta": "18:10", "gate": "A1", "phones": [ANN, BOB]},
            {"no": "LH 8", "status": "on time", "eta": "18:20", "gate": "A2", "phones": [EVE]},
            {"no": "LH 9", "status": "delayed", "eta": "19:00", "gate": "A3", "phones": [BOB]},
        ]
        self.payments: list[dict[str, Any]] = []

    def answer(self, request: Received) -> Reaction | int:
        """One page of flights, or all payments."""
        if request.headers.get("x-api-key") != "airport-key":
            return 401
        url = urlsplit(request.path)
        if url.path == "/payments":
            return Reaction(status=200, body=json.dumps({"payments": self.payments}).encode(), headers=JSON)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        first = (int(query["page"]) - 1) * PAGE
        flights = [{**flight, "date": query["date"]} for flight in self.flights[first : first + PAGE]]
        return Reaction(status=200, body=json.dumps({"flights": flights}).encode(), headers=JSON)


class Twilio:
    """The provider's API for messages: what it does not document, it refuses. Each fourth request is one too many."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.statuses: Counter[int] = Counter()

    def answer(self, request: Received) -> Reaction:
        """Send a message, or say why not."""
        status, said = self._answer(request)
        self.statuses[status] += 1
        more = {"Retry-After": "1"} if status == 429 else {}
        return Reaction(status=status, body=json.dumps(said).encode(), headers={**JSON, **more})

    def _answer(self, request: Received) -> tuple[int, dict[str, Any]]:
        code = base64.b64encode(f"{SID}:{TOKEN}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {code}":
            return 401, {"code": 20003, "message": "Authenticate"}
        if (request.method, request.path) != ("POST", f"/2010-04-01/Accounts/{SID}/Messages.json"):
            return 404, {"code": 20404, "message": f"The requested resource {request.path} was not found"}
        if request.headers.get("content-type") != "application/x-www-form-urlencoded":
            return 415, {"code": 20415, "message": "Unsupported Media Type"}
        if sum(self.statuses.values()) % 4 == 3:
            return 429, {"code": 20429, "message": "Too Many Requests"}
        form = dict(parse_qsl(request.body.decode(), strict_parsing=True))
        if set(form) != {"To", "From", "Body"} or not all(E164.fullmatch(form[name]) for name in ("To", "From")):
            return 400, {"code": 21211, "message": f"Invalid 'To' Phone Number: {form.get('To')}"}
        if not 1 <= len(form["Body"]) <= 1600:
            return 400, {"code": 21602, "message": "Message body is required"}
        self.sent.append((form["To"], form["Body"]))
        return 201, {"sid": f"SM{len(self.sent):032}", "status": "queued"}


def runs(server: ProcessServer, link: str) -> bool:
    """Let a link run now; whether it does, as its last run may not have ended."""
    return server.api.call("POST", f"/v1/links/{link}:run").status == 202


def look(server: ProcessServer) -> None:
    """Two minutes have passed: both lists are read, and everything that follows is done."""
    for link in ("flights", "payments"):
        until(partial(runs, server, link), f"{link} runs", 30)
    until(lambda: not server.api.pages("/v1/deliveries", state="waiting"), "every SMS is sent", 30)


def play(server: ProcessServer, airport: Airport, twilio: Twilio) -> list[list[tuple[str, str]]]:
    """A day at the airport; the messages of each look."""
    first, second, third = airport.flights
    found = [seen(server, twilio)]  # LH 9 was late before we knew it
    first.update(status="delayed", eta="18:40")
    found.append(seen(server, twilio))
    first.update(gate="B7")
    second.update(eta="18:25")
    found.append(seen(server, twilio))
    first.update(eta="19:05")
    found.append(seen(server, twilio))
    first.update(status="landed")
    airport.payments.append({"id": "p1", "phone": EVE, "cents": 25_000})
    found.append(seen(server, twilio))
    third.update(eta="19:30", phones=[BOB, "no number", EVE])
    found.append(seen(server, twilio))
    for number, messages in enumerate(found, 1):
        print(f"{number}. " + ("\n   ".join(f"{phone}: {text}" for phone, text in messages) or "no SMS"))
    return found


def seen(server: ProcessServer, twilio: Twilio) -> list[tuple[str, str]]:
    """The messages that follow from a look at both lists."""
    before = len(twilio.sent)
    look(server)
    return sorted(twilio.sent[before:])


def main() -> int:
    """Play it, and compare. The exit status."""
    airport, twilio = Airport(), Twilio()
    with Receiver() as airport_http, Receiver() as twilio_http:
        airport_http.answer_by(airport.answer)
        twilio_http.answer_by(twilio.answer)
        os.environ.update(AIRPORT_URL=airport_http.url("").rstrip("/"), AIRPORT_KEY="airport-key")
        os.environ.update(TWILIO_URL=twilio_http.url("").rstrip("/"), TWILIO_SID=SID, TWILIO_TOKEN=TOKEN)
        with ProcessServer(config=CONFIG) as server, Client(server.url, server.api.key) as operator:
            found = play(server, airport, twilio)
            (dead,) = operator.deliveries(state="dead")
            attempt = operator.delivery(dead["id"])["attempts"][-1]
    print(f"One phone number was not valid: {attempt['status']}\n   {attempt['answer']}")
    late = "Flight LH 7 is late. New time: "
    wanted = [
        [],
        [(ANN, f"{late}18:40"), (BOB, f"{late}18:40")],
        [],
        [(ANN, f"{late}19:05"), (BOB, f"{late}19:05")],
        [(EVE, "You got paid 250.00 EUR.")],
        [(EVE, "Flight LH 9 is late. New time: 19:30"), (BOB, "Flight LH 9 is late. New time: 19:30")],
    ]
    well = found == [sorted(each) for each in wanted] and set(twilio.statuses) <= {201, 400, 429}
    print("One SMS for each phone, and only for what changed." if well else "That is not what was asked for.")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
