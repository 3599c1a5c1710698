"""What is traced: requests, the events that they make, routing, and attempts; and how contexts pass between them.

A trace's sampling is decided once, where it enters. An event keeps the context of the request that made it, so its
attempts are part of that trace however late they are. An unsampled trace that nobody sent us is not kept at all.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from tidings.model.event import Event
from tidings.model.moment import Clock, Micros
from tidings.route.route import Router
from tidings.rules.tracing.context import SAMPLED, Trace, of_stored
from tidings.rules.tracing.sampling import Sampler
from tidings.store.base import Db
from tidings.store.writer import Writer
from tidings.tracing.otlp import Attributes, attribute, common, span
from tidings.tracing.spans import Spans

SYSTEM = "tidings"
TENANT, MESSAGE = "tidings.tenant", "messaging.message.id"


class Entered(msgspec.Struct, frozen=True):
    """A trace as it entered: by a request, or with an event that no request made."""

    here: Trace
    parent: Trace | None
    """Another system's span, which this one continues."""
    link: Trace | None = None
    """Another system's span, which is only named."""


class Tracing:
    """Belongs to one server; `enter` and `open` to its event loop, the rest to the writer's thread."""

    def __init__(self, spans: Spans, sampler: Sampler, clock: Clock) -> None:
        self.spans, self._sampler, self._clock = spans, sampler, clock
        self.open: dict[str, str] = {}
        """By the ids of open requests, what their events keep."""
        self._failures = 0

    def attach(self, writer: Writer, router: Router) -> None:
        """See what is written and routed; before the first request."""
        router.traced = []
        writer.wait(self._stamp_in)
        self._failures = writer.failures
        writer.on_commit(lambda: self._committed(writer, router))

    def now(self) -> Micros:
        """The time of day."""
        return self._clock.now()

    def enter(self, given: Trace | None, *, is_trusted: bool) -> Entered | None:
        """The trace of what begins now; None if it is not sampled and nobody else knows it.

        `given`: the context that came with it. It is continued if it is trusted; otherwise it is only linked.
        """
        parent = given if is_trusted else None
        if parent is None:
            trace_id = f"{random.getrandbits(128) or 1:032x}"
            return Entered(Trace(trace_id, new_span()), None, given) if self._sampler.samples(trace_id, None) else None
        sampled = SAMPLED if self._sampler.samples(parent.trace_id, parent) else 0
        return Entered(Trace(parent.trace_id, new_span(), parent.flags & ~SAMPLED | sampled, parent.state), parent)

    def stamp(self, events: Sequence[Event]) -> None:
        """Set the traces of new events: that of their request; what no request made begins a trace."""
        open_requests = self.open
        for event in events:
            if event.trace is None:
                trace = None
                if event.request_id is not None:
                    trace = open_requests.get(event.request_id)
                elif not event.hops:
                    trace = self._made(event)
                if trace is not None:
                    msgspec.structs.force_setattr(event, "trace", trace)

    def _stamp_in(self, db: Db) -> None:
        db.stamp = self.stamp

    def _made(self, event: Event) -> str | None:
        """A trace that begins with an event: a time at which a link is due, or something about an endpoint."""
        entered = self.enter(None, is_trusted=False)
        if entered is None:
            return None
        if self.spans.has_room():
            now, attributes = self.now(), about(event.type, event.tenant, "create", "create")
            shared = common(f"create {event.type}", "producer", attributes)
            self.spans.add(span(shared, attribute(MESSAGE, event.id), entered.here, None, now, now))
        return entered.here.stored

    def _committed(self, writer: Writer, router: Router) -> None:
        """A group was written, or not: then its rider will route the same events again."""
        routed, router.traced = router.traced, []
        failures, self._failures = self._failures, writer.failures
        if not routed or failures != writer.failures:
            return
        now = self.now()
        for (_, ident, tenant, kind, _, _, created, trace), count in routed:
            parent = of_stored(trace)
            if parent.is_sampled and self.spans.has_room():
                shared, own = _routing(kind, tenant, count), attribute(MESSAGE, ident)
                self.spans.add(span(shared, own, within(parent), parent.span_id, created, now))


def new_span() -> str:
    """A new span's id."""
    return f"{random.getrandbits(64) or 1:016x}"


def within(parent: Trace) -> Trace:
    """A new span in a trace."""
    return Trace(parent.trace_id, new_span(), parent.flags, parent.state)


@lru_cache(maxsize=1_000)
def _routing(kind: str, tenant: str | None, deliveries: int) -> bytes:
    attributes = about(kind, tenant, "route", "process") | {"tidings.deliveries": deliveries}
    return common(f"route {kind}", "consumer", attributes)


def about(kind: str, tenant: str | None, word: str, what: str) -> Attributes:
    """What says what a span's event is. `word`: what we call the operation; `what`: the conventions' type of it."""
    found: Attributes = {
        "messaging.system": SYSTEM,
        "messaging.operation.name": word,
        "messaging.operation.type": what,
        "messaging.destination.name": kind,
    }
    if tenant is not None:
        found[TENANT] = tenant
    return found
