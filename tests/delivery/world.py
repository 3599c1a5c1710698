"""What most tests of deliveries need: a server, a clock, a receiver, and short ways to ask about an event."""

from __future__ import annotations

from typing import Any

from tests.servers import OwnLists
from tidings.model import moment
from tidings.model.moment import SECOND
from tidings.testing import Api, FakeClock, Received, Receiver, TestServer, until

ENDED = ("delivered", "dead", "cancelled", "replaced")


class World:
    """One server with a clock that stands still until `advance`, and one receiver."""

    def __init__(self, server: TestServer, clock: FakeClock, receiver: Receiver) -> None:
        self.server, self.clock, self.receiver = server, clock, receiver
        self._since = clock.now()

    @property
    def api(self) -> Api:
        """The server's API, called as the operator."""
        return self.server.api

    @property
    def own_lists(self) -> Api:
        """The API whose lists of events and deliveries begin with this test."""
        return OwnLists(self.server.url, self.server.api.key, self._since)

    def register(self, path: str = "/", **options: Any) -> str:
        """Register a path of the receiver; the endpoint's id."""
        endpoint: str = self.api.post("/v1/endpoints", {"url": self.receiver.url(path), **options})["id"]
        return endpoint

    def secret(self, endpoint: str) -> str:
        """The endpoint's present signing secret."""
        secret: str = self.api.get(f"/v1/endpoints/{endpoint}/secret")["secret"]
        return secret

    def endpoint(self, endpoint: str) -> dict[str, Any]:
        """The endpoint as the API shows it."""
        found: dict[str, Any] = self.api.get(f"/v1/endpoints/{endpoint}")
        return found

    def wait_for_state(self, endpoint: str, state: str) -> dict[str, Any]:
        """The endpoint, once it is in a state: enabled, paused or disabled."""

        def look() -> dict[str, Any] | None:
            found = self.endpoint(endpoint)
            return found if found["state"] == state else None

        found = until(look, f"{endpoint} is {state}")
        assert found is not None
        return found

    def deliveries(self, **query: Any) -> list[dict[str, Any]]:
        """Deliveries, oldest first, each with its attempts."""
        listed = self.api.pages("/v1/deliveries", **query)
        return [self.api.get(f"/v1/deliveries/{each['id']}") for each in reversed(listed)]

    def delivery(self, event: str, endpoint: str) -> dict[str, Any]:
        """The one delivery of an event to an endpoint, once it is there."""
        found = until(lambda: self.deliveries(event=event, endpoint=endpoint), f"{event} is routed to {endpoint}")
        assert len(found) == 1, found
        return found[0]

    def after_attempts(self, event: str, endpoint: str, count: int) -> dict[str, Any]:
        """The delivery, once this many attempts are written down."""

        def look() -> dict[str, Any] | None:
            found = self.delivery(event, endpoint)
            return found if len(found["attempts"]) >= count else None

        found = until(look, f"attempt {count} of {event} is written down")
        assert len(found["attempts"]) == count, found
        return found

    def ended(self, event: str, endpoint: str) -> dict[str, Any]:
        """The delivery, once it is delivered, dead or cancelled."""

        def look() -> dict[str, Any] | None:
            found = self.delivery(event, endpoint)
            return found if found["state"] in ENDED else None

        found = until(look, f"{event} ends at {endpoint}")
        assert found is not None
        return found

    def delivered(self, events: list[str], endpoint: str) -> None:
        """Wait until all these events are delivered."""

        def look() -> bool:
            found = self.api.pages("/v1/deliveries", endpoint=endpoint, state="delivered", limit=1000)
            return {each["event_id"] for each in found} >= set(events)

        until(look, f"{len(events)} events are delivered to {endpoint}", 20)

    def seconds_until(self, text: str) -> float:
        """How far a moment that the API tells lies ahead."""
        return (moment.from_text(text) - self.clock.now()) / SECOND

    def nothing_more(self, count: int, path: str | None = None) -> list[Received]:
        """What the receiver has, which is `count` requests, also after a test event to another path came through."""
        self.receiver.answer(204, path="/mark")
        mark = self.register("/mark", events=["mark"])
        marks = len(self.receiver.requests("/mark"))
        self.api.post(f"/v1/endpoints/{mark}:test")
        self.receiver.wait_for(marks + 1, path="/mark")
        self.api.delete(f"/v1/endpoints/{mark}")
        found = [each for each in self.receiver.requests(path) if each.path != "/mark"]
        assert len(found) == count, [(each.path, each.body[:200]) for each in found]
        return found
