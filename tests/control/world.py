"""The store with a writer and a router, and no network: what tests of the control stage need."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tidings.control.endpoints.body import NewEndpoint
from tidings.control.endpoints.cancelling import Cancelling
from tidings.control.endpoints.edit import EndpointEdits
from tidings.control.replaying import Replaying
from tidings.model.event import Event
from tidings.model.ids import new_id
from tidings.model.link import Endpoint
from tidings.net.names import Addresses, Names, Problem
from tidings.route.route import Router
from tidings.rules.deliver.lifecycle import UNDELIVERED
from tidings.rules.network import address
from tidings.store.catalog import Catalog
from tidings.store.engines.opening import open_engine
from tidings.store.log import lists
from tidings.store.log.events import Publication
from tidings.store.log.lists import DeliveryQuery, DeliveryRow
from tidings.store.readers import Readers
from tidings.store.seal import Sealer
from tidings.store.writer import Writer
from tidings.testing import FakeClock

T = TypeVar("T")
ATTEMPT_COLUMNS = ("delivery", "n", "at", "outcome", "state", "duration_ms", "ended_link")


class NothingFlies:
    """In place of the deliver stage: nothing is in flight, and what is cancelled is written down at once."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.noticed: list[int] = []

    def lane(self, link: int) -> None:
        return None

    def notice(self, link: int) -> None:
        self.noticed.append(link)

    async def cancel(self, numbers: list[int]) -> list[bool]:
        for number in numbers:
            await asyncio.to_thread(self.world.attempt, number, "cancelled", "cancelled")
        return [True] * len(numbers)


class World:
    """One store. Its clock stands still until it is moved."""

    def __init__(self, folder: Path, url: str, networks: str = "127.0.0.0/8") -> None:
        self.clock = FakeClock()
        self.engine = open_engine(url, folder)
        self.catalog = Catalog(Sealer(b"k" * 32))
        self.writer = Writer(self.engine, self.clock)
        self.readers = Readers(self.engine)
        self.deliver = NothingFlies(self)
        self.names = Names()
        self.edits = EndpointEdits(self.catalog, self.clock, address.parse_networks(networks), self.names)
        self.cancelling = Cancelling(self.catalog, self.writer, self.clock, self.deliver)
        self.writer.before_replies(self.catalog.refresh)
        self.writer.start(Router(self.catalog, self.clock).step)
        self.writer.wait(self.catalog.load)

    def close(self) -> None:
        self.names.close()
        self.writer.close()
        self.readers.close()
        self.engine.close()

    def run(self, made: Coroutine[Any, Any, T]) -> T:
        return asyncio.run(made)

    def with_names(self, names: dict[str, list[str] | Problem], most_per_tenant: int = 0) -> EndpointEdits:
        """Edits for which these names, and no others, lead somewhere."""

        def source(name: str, answer: Callable[[Addresses, Problem | None], None]) -> None:
            found = names[name]
            answer([], found) if isinstance(found, str) else answer([(each, 60) for each in found], None)

        opened = address.parse_networks("127.0.0.0/8")
        return EndpointEdits(self.catalog, self.clock, opened, Names(source), most_per_tenant=most_per_tenant)

    def replays(self) -> Replaying:
        return Replaying(self.writer, self.catalog, self.clock, self.deliver.notice)

    def endpoint(self, url: str = "http://127.0.0.1:9/", **form: Any) -> Endpoint:
        """A new endpoint."""
        job = self.run(self.edits.create(NewEndpoint(url=url, **form), operator=True))
        return self.writer.wait(job)

    def now(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint as it is now."""
        return self.catalog.now.links[endpoint.num]

    def publish(self, kind: str = "a.b", count: int = 1, **more: Any) -> list[str]:
        """Publish events; by the time of the answer they are routed. Their ids."""
        now = self.clock.now()
        made = tuple(Event(id=new_id("evt", now), type=kind, time=now, **{"data": "{}", **more}) for _ in range(count))
        asyncio.run(self.writer.call(Publication(made)))
        self.writer.wait(lambda db: None)
        return [event.id for event in made]

    def attempt(self, number: int, state: str, outcome: str = "bad_status", due: int | None = None) -> None:
        """Write down an attempt; with `due` the delivery waits for the next one."""

        def write(db: Any) -> None:
            n = db.one("last_attempt_number", delivery=number)[0] + 1
            now = self.clock.now()
            _, link, event, *_ = db.one("delivery_of", delivery=number)
            ended_link = link if state in UNDELIVERED else None
            db.insert("attempt", ATTEMPT_COLUMNS, [(number, n, now, outcome, state, 1, ended_link)])
            if due is None:
                db.run("waiting_drop", delivery=number)
                return
            row = {"delivery": number, "link": link, "event": event, "due": due, "n": n}
            db.many("waiting_put", [{**row, "earlier": 0, "first": now, "created": now, "subject": None, "held": 0}])

        self.writer.wait(write)

    def list(self, **query: Any) -> list[DeliveryRow]:
        """Every delivery of a query, page after page."""
        found: list[DeliveryRow] = []
        is_up = query.get("oldest_first", False)
        cursor: int | None = -1 if is_up else lists.ABOVE_ALL
        while cursor is not None:
            asked = DeliveryQuery(**{"limit": 7, **query, "after" if is_up else "before": cursor})
            rows, cursor = self.readers.run(lambda db: lists.deliveries(db, self.catalog.now, asked))
            found += rows
        return found

    def states(self, endpoint: Endpoint) -> dict[str, int]:
        """How many deliveries of an endpoint are in each state."""
        counts: dict[str, int] = {}
        for row in self.list(links=frozenset([endpoint.num])):
            counts[row.state] = counts.get(row.state, 0) + 1
        return counts

    def count(self, table: str) -> int:
        """How many rows a table has."""
        rows = self.readers.run(lambda db: db.query(f"SELECT COUNT(*) FROM {table}", {}))
        return int(rows[0][0])


@contextmanager
def opened(folder: Path, url: str) -> Iterator[World]:
    world = World(folder, url)
    try:
        yield world
    finally:
        world.close()
