"""The doors of the demo: receivers that check every webhook, where it is installed by a library of others."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from independent import Webhook

from tidings.client import Client
from tidings.testing import Reaction, Received, Receiver

TYPE = "orders.ready"


class Arrival(NamedTuple):
    """One event at one door."""

    event: str
    order: str
    at: float
    """In seconds of `time.monotonic`."""


class Door:
    """One receiver and its endpoint. `slow_seconds`: how long each answer takes."""

    def __init__(self, name: str, slow_seconds: float = 0.0) -> None:
        self.name = name
        self.state = "slow" if slow_seconds else "open"
        self.receiver = Receiver(self._check)
        self.receiver.answer(Reaction(delay_seconds=slow_seconds))
        self.endpoint = ""
        self._webhook: Webhook | None = None

    def register(self, client: Client, **options: Any) -> None:
        """Make this door's URL an endpoint, and take the secret that its webhooks are signed with."""
        made = client.create_endpoint(self.receiver.url(f"/{self.name}"), events=[TYPE], **options)
        self.endpoint = made["id"]
        self._webhook = Webhook(client.endpoint_secret(self.endpoint)["secret"])

    def close(self) -> None:
        """Nobody answers here any more."""
        self.receiver.down()
        self.state = "down"

    def open(self) -> None:
        """Answer again."""
        self.receiver.up()
        self.state = "open"

    def arrivals(self) -> dict[str, Arrival]:
        """The first genuine arrival of each event, by the event's id."""
        forged = {id(request) for request in self.refused()}
        found: dict[str, Arrival] = {}
        for request in self.receiver.requests():
            if id(request) not in forged and request.id not in found:
                found[request.id] = Arrival(request.id, request.json["data"]["id"], request.at)
        return found

    def refused(self) -> list[Received]:
        """The requests whose signature the library did not accept."""
        return [request for request, _ in self.receiver.refused]

    @property
    def repeats(self) -> int:
        """How many requests brought an event that was here already."""
        counted = Counter(request.id for request in self.receiver.requests())
        return sum(count - 1 for count in counted.values())

    def _check(self, request: Received) -> None:
        assert self._webhook is not None, "nothing is sent before the endpoint is registered"
        self._webhook.verify(request.body, dict(request.headers))
