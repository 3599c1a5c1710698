"""Scenario 21, ride app: one request creates a ride, and four other services do their part of it.

Run `python examples/ride_app/run.py`. Maps, SMS, payment and mail are called through connections, each with its own
credentials and in its own form, and get only what they need. Payment is down at first, and is tried again alone. It
ends with 1 where a service gets something else, or too often.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from tidings.client import Client
from tidings.testing import ProcessServer, Received, Receiver, until

CONFIG = Path(__file__).parent / "tidings.yaml"
LINKS = {"maps": "plan-route", "sms": "tell-rider", "payment": "reserve-amount", "mail": "send-receipt"}
DOWN_FOR = 2
"""This many tries find payment down."""

APP = [{"collection": "rides", "verbs": ["create", "get"]}]
RIDE = {
    "start": "Alexanderplatz",
    "goal": "Tegel",
    "phone": "+4930123456",
    "mail": "anna@example.com",
    "card": "card_anna",
    "cents": 2350,
}
SECRETS = {"MAPS_KEY": "maps-4f1c", "SMS_TOKEN": "sms-token", "PAYMENT_KEY": "pay-77aa", "MAIL_KEY": "mail-0b2e"}


def show(values: dict[str, Any]) -> None:
    """One value a line."""
    for name, value in values.items():
        print(f"    {name}: {value}")


def maps(request: Received) -> tuple[str, Any]:
    """What the maps service reads of a request: the credentials and the content."""
    assert request.method == "PUT" and request.path.startswith("/routes/itm_")
    return request.headers.get("x-maps-key", ""), request.json


def sms(request: Received) -> tuple[str, Any]:
    """The same of the SMS provider."""
    assert (request.method, request.path) == ("POST", "/2010-04-01/Accounts/AC1/Messages.json")
    return request.headers.get("authorization", ""), dict(parse_qsl(request.body.decode()))


def payment(request: Received) -> tuple[str, Any]:
    """The same of the payment provider; a charge has a key, so that it happens once."""
    assert (request.method, request.path) == ("POST", "/v1/charges")
    assert request.headers["idempotency-key"].startswith("ride-itm_")
    return request.headers.get("authorization", ""), dict(parse_qsl(request.body.decode()))


def mail(request: Received) -> tuple[str, Any]:
    """The same of the mail provider."""
    assert (request.method, request.path) == ("POST", "/email")
    return request.headers.get("x-server-token", ""), request.json


class Service:
    """One of the four, played by its own server."""

    def __init__(self, name: str, read: Callable[[Received], tuple[str, Any]], credentials: str, status: int) -> None:
        self.name, self._read, self._credentials, self._status = name, read, credentials, status
        self.http = Receiver()
        self.http.answer_by(self._answer)
        self.down_for = 0
        self.tries = 0
        self.got: list[Any] = []

    @property
    def base(self) -> str:
        """Its URL."""
        return self.http.url("").rstrip("/")

    def _answer(self, request: Received) -> int:
        self.tries += 1
        try:
            credentials, content = self._read(request)
        except (AssertionError, KeyError, ValueError):
            return 400
        if credentials != self._credentials:
            return 401
        if self.tries <= self.down_for:
            return 503
        self.got.append(content)
        return self._status


def services() -> list[Service]:
    """The four, with the credentials that each wants to see and the status it answers with."""
    return [
        Service("maps", maps, "maps-4f1c", 200),
        Service("sms", sms, "Basic QUMxOnNtcy10b2tlbg==", 201),
        Service("payment", payment, "Bearer pay-77aa", 200),
        Service("mail", mail, "mail-0b2e", 200),
    ]


WANTED = {
    "maps": {"from": "Alexanderplatz", "to": "Tegel"},
    "sms": {"To": "+4930123456", "From": "+15557654321", "Body": "Your ride starts at Alexanderplatz."},
    "payment": {"amount": "2350", "currency": "eur", "source": "card_anna", "capture": "false"},
    "mail": {
        "From": "hello@rides.example",
        "To": "anna@example.com",
        "Subject": "Your ride to Tegel",
        "TextBody": "It costs 23.50 EUR at most.",
    },
}


def play(operator: Client, app: Client, called: list[Service]) -> bool:
    """One ride. Whether everybody did exactly its part."""
    ride = app.items("rides").create(RIDE)
    print("POST /v1/items/rides")
    show(RIDE)
    print(f"  201 {ride['id']}; the four have it to do.\n")
    until(lambda: len(list(operator.deliveries(state="delivered"))) == len(LINKS), "each service has done it", 30)
    for service in called:
        print(f"{service.name} was called {'once' if service.tries == 1 else f'{service.tries} times'}:")
        show(service.got[-1])
    print("\nWhat Tidings says about it, GET /v1/deliveries:")
    attempts = {}
    for name, link in LINKS.items():
        (delivery,) = operator.deliveries(link=link)
        attempts[name] = [each["outcome"] for each in operator.delivery(delivery["id"])["attempts"]]
        print(f"  {name:<8} {delivery['state']}  {attempts[name]}")
    tries = {name: ["bad_status"] * DOWN_FOR + ["ok"] if name == "payment" else ["ok"] for name in LINKS}
    got = {service.name: service.got for service in called}
    return attempts == tries and got == {name: [content] for name, content in WANTED.items()}


def main() -> int:
    """Play it, and compare. The exit status."""
    with contextlib.ExitStack() as stack:
        called = services()
        for service in called:
            stack.enter_context(service.http)
            os.environ[f"{service.name.upper()}_URL"] = service.base
        called[2].down_for = DOWN_FOR
        os.environ.update(SECRETS)
        server = stack.enter_context(ProcessServer(config=CONFIG))
        operator = stack.enter_context(Client(server.url, server.api.key))
        app_key = operator.create_key("the app", [], permits=APP)["key"]
        with Client(server.url, app_key) as app:
            well = play(operator, app, called)
    print("Four calls, four credentials, and one retried alone." if well else "That is not what was asked for.")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
