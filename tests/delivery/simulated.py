"""The deliver stage with a simulated network and clock: hours of delivery in a second, and the same ones every time.

Lanes, rules and the store are the real ones. Only what takes time is simulated: a response arrives when the clock says
so, and the clock moves on whenever the stage would sleep.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from tidings.deliver.stage import Deliver
from tidings.model.event import Event
from tidings.model.link import AnyLink, Endpoint, Pacing, Sealed, Secret, Webhook
from tidings.model.moment import SECOND, Micros
from tidings.net.http import HttpRequest, Reply, TransportFailure
from tidings.route.route import Router
from tidings.store.catalog import Catalog
from tidings.store.engines.opening import open_engine
from tidings.store.jobs import run_of
from tidings.store.log.events import Publication, append
from tidings.store.seal import Sealer
from tidings.testing import FakeClock

NETWORK_SECONDS = 0.002
HANGS = 10_000.0
START: Micros = 1_800_000_000 * SECOND


class Answer(msgspec.Struct, frozen=True):
    """What the receiver does with a request: a status (None: it closes the connection), after some time."""

    status: int | None = 204
    after: float = NETWORK_SECONDS
    retry_after: float | None = None


Receives = Callable[[list[dict[str, Any]], float], Answer]
"""From the data of a request's events, and the seconds since the start, to what is answered."""


class Simulated:
    """One endpoint, its stage, and a receiver."""

    def __init__(self, folder: Path, receives: Receives, database: str | None = None, **pacing: Any) -> None:
        self.clock = FakeClock(START)
        self.log: list[tuple[float, list[dict[str, Any]], int | None]] = []
        """Every request: when it left, the data of its events, and the status."""
        self.arrived: dict[int, float] = {}
        """By an event's `g`: how many seconds after it was published it was accepted."""
        self._receives = receives
        self._engine = open_engine(database or "sqlite:test.db", folder)
        self._db = self._engine.writer()
        self._catalog = Catalog(Sealer(b"k" * 32))
        self._router = Router(self._catalog, self.clock)
        self._coming: list[tuple[Micros, int, Callable[[], None]]] = []
        self._count = 0
        self._published: dict[int, float] = {}
        self._until = START
        self._catalog.load(self._db)
        what = Webhook(url="http://receiver/", sealed=Sealed(secrets=(Secret(text="whsec_" + "A" * 32, created=0),)))
        self._write(lambda db: self._catalog.put_link(db, self._endpoint(what, pacing)))
        self.stage = self._stage()

    def close(self) -> None:
        """Close the store."""
        self.stage._db.close()
        self._db.close()
        self._engine.close()

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return (self.clock.now() - START) / SECOND

    def publish(self, *data: dict[str, Any]) -> None:
        """Publish events in one call; `subject` may be part of the data."""
        now = self.clock.now()
        made = []
        for each in data:
            self._count += 1
            if "g" in each:
                self._published[each["g"]] = self.now
            made.append(
                Event(
                    id=f"evt_{self._count}",
                    type="step",
                    time=now,
                    tenant=None,
                    subject=each.get("subject"),
                    data=json.dumps(each),
                )
            )
        self._write(lambda db: append(db, [Publication(tuple(made), ids_given=False)], now))
        self.stage.committed()

    def at(self, seconds: float, do: Callable[[], None]) -> None:
        """Do something later."""
        self._later(seconds, do)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.clock.now() + round(seconds * SECOND)
        self._until = end
        while self.clock.now() < end:
            self.stage._turn()

    def restart(self) -> None:
        """Kill the stage, and start it again at once: what was in flight is sent again."""
        self.stage._db.close()
        self._coming.clear()
        self.stage = self._stage()
        self.stage.committed()

    def pause_and_resume(self) -> None:
        """As a person does it."""
        for mode in ("paused", "enabled"):
            link = next(iter(self._catalog.now.links.values()))
            changed = msgspec.structs.replace(link, mode=mode, revision=link.revision + 1)
            self._write(partial(self._put, changed))
            if mode == "enabled":
                self.stage.resume(link.num)
            self.run(0.05)

    def edit(self, **members: Any) -> None:
        """Change members of what is sent, as a person does it."""
        link = next(iter(self._catalog.now.links.values()))
        what = msgspec.structs.replace(link.what, **members)
        self._write(partial(self._put, msgspec.structs.replace(link, what=what, revision=link.revision + 1)))

    def _put(self, link: AnyLink, db: Any) -> None:
        self._catalog.put_link(db, link)

    def late(self, good: int) -> float | None:
        """How late a good event arrived; None if it has not."""
        return self.arrived.get(good)

    # --- what the stage uses of an HttpClient -------------------------------------------------------------------------

    def send(self, request: HttpRequest, done: Callable[[Reply], None]) -> None:
        found = json.loads(request.body)
        events = found["data"] if isinstance(found.get("data"), list) else [found]
        data = [event["data"] for event in events]
        answer = self._receives(data, self.now)
        left = self.now
        self.log.append((left, data, answer.status))
        lines = [f"HTTP/1.1 {answer.status} x".encode()]
        if answer.retry_after is not None:
            lines.append(f"Retry-After: {answer.retry_after:g}".encode())
        after, failure = answer.after, None
        if after > request.timeout_seconds:
            after, failure = request.timeout_seconds, TransportFailure("timeout", "No answer.")
        elif answer.status is None:
            failure = TransportFailure("answer", "It closed the connection.")
        status = None if failure else answer.status

        def arrive() -> None:
            if status is not None and status < 300:
                for each in data:
                    if "g" in each:
                        self.arrived.setdefault(each["g"], self.now - self._published[each["g"]])
            done(Reply(status, lines if status else [], b"", round(after * 1000), failure))

        self._later(after, arrive)

    def poll(self, seconds: float) -> None:
        until = min(self.clock.now() + round(seconds * SECOND), self._until)
        if self._coming and self._coming[0][0] <= until:
            self.clock.advance(max(0, self._coming[0][0] - self.clock.now()) / SECOND)
            while self._coming and self._coming[0][0] <= self.clock.now():
                heapq.heappop(self._coming)[2]()
        else:
            self.clock.advance((until - self.clock.now()) / SECOND)

    def wake(self) -> None:
        """Nothing sleeps."""

    # --- what the stage uses of a Writer ------------------------------------------------------------------------------

    appended: ClassVar[list[Event]] = []
    deliveries: ClassVar[list[Any]] = []
    """Events that need not be read back: none here."""

    def submit(self, job: Callable[[Any], Any], reply: Callable[[Any, Exception | None], None]) -> None:
        reply(self._write(run_of(job)), None)

    def _write(self, job: Callable[[Any], Any]) -> Any:
        self._db.begin()
        result = job(self._db)
        self._router.step(self._db)
        self._db.commit()
        self._catalog.refresh(self._db)
        return result

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._coming, (self.clock.now() + round(seconds * SECOND), self._count, do))

    def _endpoint(self, what: Any, pacing: dict[str, Any]) -> Endpoint:
        return Endpoint(num=1, id="ep_1", tenant=None, pacing=Pacing(**pacing), what=what)

    def _stage(self) -> Deliver:
        network: Any = self
        no_edits: Any = None
        stage = Deliver(
            self._engine, network, self._catalog, self.clock, lambda: network, no_edits, "test", lambda: 0.5
        )
        stage.start(in_thread=False)
        return stage
