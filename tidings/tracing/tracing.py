"""What is traced: requests, the events that they make, routing, and attempts; and how contexts pass between them.

Whether a trace is sampled is decided once, where it enters. An event keeps the context of the request that made it, so
its attempts are part of that trace however late they are. An unsampled trace of our own is not kept at all.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import force_setattr

from tidings.model.event import Event
from tidings.model.moment import Clock
from tidings.route.route import Router
from tidings.rules.tracing.context import FLAG, SAMPLED, SAMPLED_FLAGS, TRACE_ID, Trace
from tidings.rules.tracing.sampling import ALL, Sampler
from tidings.store.base import Db
from tidings.store.writer import Writer
from tidings.tracing.records import CreationRecord, RoutingRecord
from tidings.tracing.spans import Spans

IDS_AT_ONCE = 256


class Entered(msgspec.Struct, frozen=True, gc=False):
    """A trace that another system knows, as it entered with a request."""

    here: str
    """The request's own span, in the form that an event keeps (`Trace.stored`)."""
    parent: Trace | None = None
    """The other system's span, if it is the parent of this one."""
    link: Trace | None = None
    """The other system's span, if this one is only linked to it."""


class Tracing:
    """Belongs to one server; `enter` and `open` to its event loop, the rest to the writer's thread."""

    def __init__(self, spans: Spans, sampler: Sampler, clock: Clock) -> None:
        self.spans, self._sampler, self._clock = spans, sampler, clock
        self._samples_all = sampler.below >= ALL
        self.open: dict[str, str] = {}
        """By the id of an open request, the trace that its events keep."""
        self._failures = 0

    def attach(self, writer: Writer, router: Router) -> None:
        """See what is written and routed; before the first request."""
        router.traced = []
        writer.wait(self._stamp_in)
        self._failures = writer.failures
        writer.on_commit(lambda: self._committed(writer, router))

    def begin(self) -> str | None:
        """A new trace's first span, as an event keeps it; None if it is not sampled."""
        try:
            here = _contexts.pop()
        except IndexError:
            here = _made(_contexts, _new_contexts)
        return here if self._samples_all or self._sampler.samples(here[TRACE_ID], None) else None

    def enter(self, given: Trace, *, is_trusted: bool) -> Entered | None:
        """The trace of a request that arrived with a context; None if it is not sampled and nobody else knows it.

        `given`: that context. It is continued if it is trusted; otherwise it is only linked.
        """
        if not is_trusted:
            begun = self.begin()
            return None if begun is None else Entered(begun, None, given)
        sampled = SAMPLED if self._sampler.samples(given.trace_id, given) else 0
        here = Trace(given.trace_id, new_span(), given.flags & ~SAMPLED | sampled, given.state)
        return Entered(here.stored, given)

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
                    force_setattr(event, "trace", trace)

    def _stamp_in(self, db: Db) -> None:
        db.stamp = self.stamp

    def _made(self, event: Event) -> str | None:
        """A trace that begins with an event: a time at which a link is due, or something about an endpoint."""
        here = self.begin()
        if here is not None:
            self.spans.add_all([CreationRecord(here, self._clock.now(), event.id, event.tenant, event.type)])
        return here

    def _committed(self, writer: Writer, router: Router) -> None:
        """A group was written, or it failed, in which case its rider will route the same events again."""
        routed, router.traced = router.traced, []
        failures, self._failures = self._failures, writer.failures
        if not routed or failures != writer.failures:
            return
        now = self._clock.now()
        self.spans.add_all(
            [
                RoutingRecord(trace, created, now, ident, tenant, kind, count)
                for (_, ident, tenant, kind, _, _, created, trace), count in routed
                if trace[FLAG] in SAMPLED_FLAGS
            ]
        )


_ids: list[str] = []
"""Ids made in advance, because making many at once takes a fraction of the time."""
_contexts: list[str] = []


def new_span() -> str:
    """A new span's id. May be called from any thread."""
    try:
        return _ids.pop()
    except IndexError:
        return _made(_ids, lambda: _random(8))


def _made(those: list[str], make: Callable[[], list[str]]) -> str:
    """One of those, after more were made; other threads may take some at the same time."""
    found = make()
    those.extend(found[1:])
    return found[0]


def _new_contexts() -> list[str]:
    """New traces with their first spans, sampled."""
    return [f"00-{trace}-{span}-01" for trace, span in zip(_random(16), _random(8), strict=True)]


def _random(size: int) -> list[str]:
    """Several ids of this size, in bytes."""
    return random.randbytes(size * IDS_AT_ONCE).hex(" ", size).split()  # noqa: S311 -- no secret
