"""The only file that knows OpenTelemetry: its sampler, resource and exporter, as its standard variables set them.

Spans are made without its tracer, which keeps the present span in a variable of the thread: our stages treat many
events in one go, and what they know of a trace is stored with each event.
"""

from __future__ import annotations

import logging
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from tidings import __version__
from tidings.rules.tracing.context import Trace
from tidings.tracing.spans import TraceSpan

NAME = "tidings"
_LOGGER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
_KINDS = {each.name.lower(): each for each in SpanKind}
_UNSET = Status(StatusCode.UNSET)


class OpenTelemetry:
    """What samples traces, and sends spans to the collector."""

    def __init__(self) -> None:
        found = Resource.create({})
        if str(found.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
            found = found.merge(Resource({SERVICE_NAME: NAME}))
        if SERVICE_VERSION not in found.attributes:
            found = found.merge(Resource({SERVICE_VERSION: __version__}))
        self._resource = found
        self._sampler = TracerProvider(resource=found, shutdown_on_exit=False).sampler
        self._scope = InstrumentationScope(NAME, __version__)
        self._said = _LastMessage()
        logger = logging.getLogger(_LOGGER)
        # Our own log says once a minute what it would say for each batch.
        logger.propagate = False
        logger.handlers = [self._said]
        self._exporter = OTLPSpanExporter()

    @property
    def sentence(self) -> str:
        """Who it is and how it samples, for the log."""
        return f"as {self._resource.attributes[SERVICE_NAME]!s}, sampler {self._sampler.get_description()}"

    def samples(self, trace_id: str, parent: Trace | None, name: str, attributes: dict[str, Any]) -> bool:
        """Whether the trace is recorded; decided once, where it enters. `parent`: another system's span."""
        context = None if parent is None else set_span_in_context(NonRecordingSpan(_context(parent, remote=True)))
        result = self._sampler.should_sample(context, int(trace_id, 16), name, SpanKind.SERVER, attributes)
        return result.decision is Decision.RECORD_AND_SAMPLE

    def export(self, spans: list[TraceSpan]) -> str | None:
        """Send spans; returns why that failed, or None."""
        self._said.text = ""
        try:
            if self._exporter.export([self._readable(span) for span in spans]) is SpanExportResult.SUCCESS:
                return None
        except Exception as wrong:
            return f"{type(wrong).__name__}: {wrong}"
        return self._said.text or "the collector does not take them"

    def close(self) -> None:
        """End what it has open."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def _readable(self, span: TraceSpan) -> ReadableSpan:
        parent = None
        if span.parent is not None:
            parent = _context(Trace(span.here.trace_id, span.parent, span.here.flags), remote=span.is_remote)
        return ReadableSpan(
            span.name,
            _context(span.here),
            parent,
            self._resource,
            span.attributes,
            links=[Link(_context(each, remote=True)) for each in span.links],
            kind=_KINDS[span.kind],
            status=_UNSET if span.error is None else Status(StatusCode.ERROR, span.error),
            start_time=span.began * 1000,
            end_time=max(span.ended, span.began) * 1000,
            instrumentation_scope=self._scope,
        )


class _LastMessage(logging.Handler):
    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


def _context(trace: Trace, *, remote: bool = False) -> SpanContext:
    state = TraceState.from_header([trace.state]) if trace.state else None
    return SpanContext(int(trace.trace_id, 16), int(trace.span_id, 16), remote, TraceFlags(trace.flags), state)
