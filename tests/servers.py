"""Servers that the tests of a file share: to start one takes longer than most tests, on PostgreSQL ten times as long.

After each test, what it declared is deleted, so that nothing is sent any more and every name is free. Its events and
deliveries stay: a test asks for those of its own endpoints and links, or of its own events. A test that asks for
everything there is, or leaves a server that others cannot use, is marked `own_server`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.postgres_server import PostgresServer
from tidings.model.moment import Micros, from_text
from tidings.testing import Api, FakeClock, TestServer

Running = tuple[TestServer, FakeClock]
MADE = {"endpoints": "id", "connections": "name", "collections": "name", "event-types": "name"}
"""What tests make besides links, in the order in which it can be deleted, and what it is called by."""

LASTING = ("/v1/deliveries", "/v1/events")
"""Lists of what cannot be deleted."""


class Servers:
    """The server that the tests of a file share on one engine, and others for tests that need their own."""

    def __init__(
        self, postgres: PostgresServer | None, factory: pytest.TempPathFactory, clock: Callable[[], FakeClock]
    ) -> None:
        self._postgres, self._factory, self._clock = postgres, factory, clock
        self._stack = ExitStack()
        self._shared: Running | None = None

    def shared(self) -> Running:
        """The shared one."""
        if self._shared is None:
            self._shared = self._stack.enter_context(self.own())
        return self._shared

    @contextmanager
    def own(self) -> Iterator[Running]:
        """One with a folder and a database that nobody else has."""
        clock, folder = self._clock(), self._factory.mktemp("server") / "tidings"
        with ExitStack() as stack:
            made = None if self._postgres is None else stack.enter_context(self._postgres.database(migrated=True))
            yield stack.enter_context(TestServer(folder, clock=clock, database=made)), clock

    def close(self) -> None:
        """Stop the shared one; who asks then gets another."""
        self._shared = None
        self._stack.close()

    @contextmanager
    def one(self, *, own: bool) -> Iterator[Running]:
        """The one for a test."""
        if own:
            with self.own() as found:
                yield found
            return
        server, clock = self.shared()
        clock.advance(1)
        yield server, clock
        try:
            emptied(server.api)
        except Exception:
            # It failed in the middle of something; the others shall not fail of that.
            self.close()
            raise


def emptied(api: Api) -> None:
    """Delete what a test has made."""
    for link in api.pages("/v1/links"):
        at = f"/v1/links/{link['name']}"
        # A link of the same name would continue with what this one has read.
        if link["emit"] is not None:
            api.post(f"{at}:pause")
            for run in api.pages("/v1/deliveries", link=link["name"], state="waiting"):
                api.post(f"/v1/deliveries/{run['id']}:cancel")
            api.post(f"{at}:reset", {"mirror": True})
        if link["keep"] is not None:
            api.post(f"{at}:reset", {"kept": True})
        api.delete(at)
    for kind, ident in MADE.items():
        for each in api.pages(f"/v1/{kind}"):
            api.delete(f"/v1/{kind}/{each[ident]}{'?drop_values=true' if kind == 'collections' else ''}")


class OwnLists(Api):
    """Leaves out of lists what is older than a test: what others before it published, and their deliveries."""

    def __init__(self, url: str, key: str | None, since: Micros) -> None:
        super().__init__(url, key)
        self._since = since

    def pages(self, path: str, **query: Any) -> list[Any]:
        """What of a list was created since then."""
        found = super().pages(path, **query)
        return [each for each in found if path not in LASTING or from_text(each["created"]) >= self._since]
