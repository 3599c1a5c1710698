"""Short ways to declare connections and calls, and to ask what happened to an event."""

from __future__ import annotations

from typing import Any

from tests.servers import OwnLists
from tidings.testing import Api, FakeClock, Receiver, TestServer, until

ENDED = ("delivered", "dead", "cancelled", "replaced")


class Calls:
    """One server, and one peer that its links call."""

    def __init__(self, server: TestServer, clock: FakeClock, peer: Receiver) -> None:
        self.server, self.clock, self.peer = server, clock, peer
        self.since = clock.now()
        """When it was made: what is older is of other tests."""

    @property
    def api(self) -> Api:
        """The server's API, called as the operator; its lists of events and deliveries begin with this test."""
        return OwnLists(self.server.url, self.server.api.key, since=self.since)

    def connection(self, name: str = "shop", **parts: Any) -> dict[str, Any]:
        """Declare a connection to the peer."""
        found: dict[str, Any] = self.api.put(f"/v1/connections/{name}", {"base": self.peer.url("/api"), **parts})
        return found

    def link(self, name: str = "push", event: Any = "order.*", call: Any = None, **parts: Any) -> dict[str, Any]:
        """Declare a link that calls."""
        declared = {"when": {"event": event}, "call": call, **parts}
        found: dict[str, Any] = self.api.put(f"/v1/links/{name}", declared)
        return found

    def delivery(self, event: str, name: str = "push", attempts: int = 1) -> dict[str, Any]:
        """The delivery of an event, once this many attempts are written down."""

        def look() -> dict[str, Any] | None:
            for each in self.api.pages("/v1/deliveries", event=event, link=name):
                found: dict[str, Any] = self.api.get(f"/v1/deliveries/{each['id']}")
                if len(found["attempts"]) >= attempts:
                    return found
            return None

        found = until(look, f"{event} is attempted {attempts} times by {name}")
        assert found is not None
        return found

    def ended(self, event: str, name: str = "push") -> dict[str, Any]:
        """The delivery of an event, once it has ended."""

        def look() -> dict[str, Any] | None:
            found = self.delivery(event, name)
            return found if found["state"] in ENDED else None

        found = until(look, f"{event} ends at {name}")
        assert found is not None
        return found
