"""The only file that knows OpenTelemetry's package: its sampler and resource, as its standard variables set them.

Spans are made without its tracer, which keeps the present span in a variable of the thread: our stages treat many
events in one go, and what they know of a trace is stored with each event. They are encoded and sent without its
exporter, which takes ten times as long (`otlp.py`).
"""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from tidings import __version__
from tidings.rules.tracing.context import Trace

NAME = "tidings"


class OpenTelemetry:
    """What samples traces, and names who sends them."""

    def __init__(self) -> None:
        found = Resource.create({})
        if str(found.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
            found = found.merge(Resource({SERVICE_NAME: NAME}))
        if SERVICE_VERSION not in found.attributes:
            found = found.merge(Resource({SERVICE_VERSION: __version__}))
        self._resource = found
        self._sampler = TracerProvider(resource=found, shutdown_on_exit=False).sampler

    @property
    def resource(self) -> dict[str, str | int]:
        """Who sends the spans."""
        found = self._resource.attributes.items()
        return {key: value if isinstance(value, str | int) else str(value) for key, value in found}

    @property
    def sentence(self) -> str:
        """Who it is and how it samples, for the log."""
        return f"as {self._resource.attributes[SERVICE_NAME]!s}, sampler {self._sampler.get_description()}"

    def samples(self, trace_id: str, parent: Trace | None, name: str, attributes: dict[str, Any]) -> bool:
        """Whether the trace is recorded; decided once, where it enters. `parent`: another system's span."""
        context = None if parent is None else set_span_in_context(NonRecordingSpan(_remote(parent)))
        result = self._sampler.should_sample(context, int(trace_id, 16), name, SpanKind.SERVER, attributes)
        return result.decision is Decision.RECORD_AND_SAMPLE


def _remote(trace: Trace) -> SpanContext:
    state = TraceState.from_header([trace.state]) if trace.state else None
    return SpanContext(int(trace.trace_id, 16), int(trace.span_id, 16), True, TraceFlags(trace.flags), state)
