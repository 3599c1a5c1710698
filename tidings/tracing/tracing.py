"""What is traced: requests, the events that they make, routing, and attempts; and how contexts pass between them.

A trace's sampling is decided once, where it enters. An event keeps the context of the request that made it, so its
attempts are part of that trace however late they are. An unsampled trace that nobody sent us is not kept at all.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol

import msgspec

from tidings.model.event import Event
from tidings.model.moment import Clock, Micros
from tidings.route.route import Router
from tidings.rules.tracing.context import SAMPLED, Trace, of_stored
from tidings.store.base import Db
from tidings.store.writer import Writer
from tidings.tracing.spans import Attributes, Spans, TraceSpan

SYSTEM = "tidings"
TENANT = "tidings.tenant"


class Sampling(Protocol):
    """What decides whether a trace is recorded."""

    def samples(self, trace_id: str, parent: Trace | None, name: str, attributes: Attributes) -> bool:
        """Whether it is. `parent`: another system's span, if that is trusted to decide."""


class Entered(msgspec.Struct, frozen=True):
    """A trace as it entered: by a request, or with an event that no request made."""

    here: Trace
    parent: Trace | None
    """Another system's span, which this one continues."""
    link: Trace | None = None
    """Another system's span, which is only named."""


class Tracing:
    """Belongs to one server; `enter` and `open` to its event loop, the rest to the writer's thread."""

    def __init__(self, spans: Spans, sampling: Sampling, clock: Clock) -> None:
        self.spans, self._sampling, self._clock = spans, sampling, clock
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

    def enter(self, given: Trace | None, *, is_trusted: bool, name: str, attributes: Attributes) -> Entered | None:
        """The trace of what begins now; None if it is not sampled and nobody else knows it.

        `given`: the context that came with it. It is continued if it is trusted; otherwise it is only linked.
        """
        parent = given if is_trusted else None
        trace_id = f"{random.getrandbits(128) or 1:032x}" if parent is None else parent.trace_id
        sampled = self._sampling.samples(trace_id, parent, name, attributes)
        if parent is None:
            return Entered(Trace(trace_id, new_span()), None, given) if sampled else None
        flags = parent.flags & ~SAMPLED | (SAMPLED if sampled else 0)
        return Entered(Trace(trace_id, new_span(), flags, parent.state), parent)

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
        attributes = about(event.type, event.id, event.tenant, "create", "create")
        name = f"create {event.type}"
        entered = self.enter(None, is_trusted=False, name=name, attributes=attributes)
        if entered is None:
            return None
        if not self.spans.has_room():
            return entered.here.stored
        now = self.now()
        self.spans.add(TraceSpan(name, "producer", entered.here, None, False, now, now, attributes))
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
                attributes = about(kind, ident, tenant, "route", "process")
                attributes["tidings.deliveries"] = count
                here = within(parent)
                self.spans.add(
                    TraceSpan(f"route {kind}", "consumer", here, parent.span_id, False, created, now, attributes)
                )


def new_span() -> str:
    """A new span's id."""
    return f"{random.getrandbits(64) or 1:016x}"


def within(parent: Trace) -> Trace:
    """A new span in a trace."""
    return Trace(parent.trace_id, new_span(), parent.flags, parent.state)


def about(kind: str, ident: str, tenant: str | None, word: str, what: str) -> Attributes:
    """What says which event a span is about. `word`: what we call the operation; `what`: the conventions' type."""
    found: Attributes = {
        "messaging.system": SYSTEM,
        "messaging.operation.name": word,
        "messaging.operation.type": what,
        "messaging.destination.name": kind,
        "messaging.message.id": ident,
    }
    if tenant is not None:
        found[TENANT] = tenant
    return found
