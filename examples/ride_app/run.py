"""Scenario 21, ride app: one request creates a ride, and four other services do their part of it.

Run `python examples/ride_app/run.py`. Maps, SMS, payment and mail each get the ride with their own credentials, signed
with their own secret, and only the fields that they need. Payment is down at first, and is tried again alone. It ends
with 1 where a service gets something else, or too often.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tidings.client import Client
from tidings.testing import ProcessServer, Received, Receiver, until

sys.path.append(str(Path(__file__).parents[1]))
from independent import Webhook

CONFIG = Path(__file__).parent / "tidings.yaml"
SERVICES: dict[str, dict[str, Any]] = {
    "maps": {"headers": {"X-Maps-Key": "maps-4f1c"}, "fields": ["id", "start", "goal"]},
    "sms": {"headers": {"Authorization": "Basic cmlkZXM6c21z"}, "fields": ["id", "phone", "start"]},
    "payment": {"headers": {"Authorization": "Bearer pay-77aa"}, "fields": ["id", "card", "cents"]},
    "mail": {"headers": {"X-Api-Key": "mail-0b2e"}, "fields": ["id", "mail", "goal", "cents"]},
}
"""What each service wants to be shown, and what it needs to know."""
RETRY_DELAYS_SECONDS = [0, 0.5, 1, 2]
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


class Service:
    """One of the four, played by its own server: it lets in only who has its credentials and its secret."""

    def __init__(self, name: str) -> None:
        self.name, self._options = name, SERVICES[name]
        self._secret = ""
        self.receiver = Receiver(self._check)

    def connect(self, operator: Client) -> None:
        """Make it an endpoint for new rides."""
        made = operator.create_endpoint(
            self.receiver.url(f"/{self.name}"),
            events=["rides.created"],
            retry_delays_seconds=RETRY_DELAYS_SECONDS,
            **self._options,
        )
        self._secret = operator.endpoint_secret(made["id"])["secret"]

    def got(self) -> list[str]:
        """The ids of the rides that came, one for each try."""
        return [request.json["data"]["id"] for request in self.receiver.requests()]

    def is_right(self, ride: str, tries: int) -> bool:
        """Whether it got this ride so often, and nothing that it must not see."""
        shown = {name for request in self.receiver.requests() for name in request.json["data"]}
        return self.got() == [ride] * tries and not self.receiver.refused and shown == set(self._options["fields"])

    def _check(self, request: Received) -> None:
        for header, value in self._options["headers"].items():
            assert request.headers.get(header.lower()) == value, f"{header} is not ours"
        Webhook(self._secret).verify(request.body, dict(request.headers))


def play(operator: Client, app: Client, services: dict[str, Service]) -> bool:
    """One ride. Whether everybody did exactly its part."""
    services["payment"].receiver.answer(*[503] * DOWN_FOR, 204)
    ride = app.items("rides").create(RIDE)
    print(f"POST /v1/items/rides {RIDE}\n  201 {ride['id']}; the four have it to do.\n")
    until(
        lambda: len(list(operator.deliveries(state="delivered"))) == len(services),
        "each service has taken it",
    )
    for service in services.values():
        last = service.receiver.requests()[-1]
        print(f"{service.name:<8} got it {len(service.got())} times: {last.json['data']}")
    print("\nWhat Tidings tells of it, GET /v1/deliveries:")
    urls = {endpoint["id"]: endpoint["url"] for endpoint in operator.endpoints()}
    for delivery in operator.deliveries(sort="created"):
        outcomes = [each["outcome"] for each in operator.delivery(delivery["id"])["attempts"]]
        print(f"  {urls[delivery['endpoint_id']].rpartition('/')[2]:<8} {delivery['state']}  {outcomes}")
    tries = {name: DOWN_FOR + 1 if name == "payment" else 1 for name in services}
    return all(service.is_right(ride["id"], tries[name]) for name, service in services.items())


def main() -> int:
    """Play it, and compare. The exit status."""
    with ProcessServer(config=CONFIG) as server, Client(server.url, server.api.key) as operator:
        app_key = operator.create_key("the app", [], permits=APP)["key"]
        services = {name: Service(name) for name in SERVICES}
        try:
            for service in services.values():
                service.receiver.start()
                service.connect(operator)
            with Client(server.url, app_key) as app:
                well = play(operator, app, services)
        finally:
            for service in services.values():
                service.receiver.stop()
    print("Four calls, four credentials, and one retried alone." if well else "That is not what was asked for.")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
