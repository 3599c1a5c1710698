"""A collector: a small HTTP server that takes spans as OTLP and keeps them, decoded."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tidings.testing.waiting import until


class Seen:
    """One span, as a collector shows it."""

    def __init__(self, span: Span, service: str) -> None:
        self.service, self.name, self.kind = (
            service,
            span.name,
            Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        )
        self.trace, self.id, self.parent = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
        self.state, self.error = span.trace_state, span.status.message if span.status.code == 2 else None
        self.attributes = _values(span.attributes)
        self.links = [(link.trace_id.hex(), link.span_id.hex()) for link in span.links]
        self.began, self.ended = span.start_time_unix_nano, span.end_time_unix_nano

    def __repr__(self) -> str:
        return f"{self.kind} {self.name} {self.attributes}"


def _values(pairs: object) -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    for pair in pairs:  # type: ignore[attr-defined]
        assert isinstance(pair, KeyValue)
        is_text = pair.value.WhichOneof("value") == "string_value"
        found[pair.key] = pair.value.string_value if is_text else pair.value.int_value
    return found


class Collector:
    """Keeps spans. `status`: what it answers; `slow`: waited for before it answers, if it is to be slow."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        self.resource: dict[str, str | int] = {}
        self.status = 200
        self.requests = 0
        self.slow: threading.Event | None = None
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.requests += 1
                body = self.rfile.read(int(self.headers["content-length"]))
                if collector.slow is not None:
                    collector.slow.wait(30)
                if self.path == "/v1/traces" and collector.status == 200:
                    collector._take(gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body)
                self.send_response(collector.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _take(self, body: bytes) -> None:
        for each in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resource = _values(each.resource.attributes)
            service = str(self.resource["service.name"])
            for scope in each.scope_spans:
                self.spans += [Seen(span, service) for span in scope.spans]

    def of(self, trace: str) -> list[Seen]:
        """The spans of a trace, in the order in which they began."""
        return sorted((span for span in self.spans if span.trace == trace), key=lambda span: (span.began, span.ended))

    def wait(self, fits: Callable[[Seen], bool], count: int = 1) -> list[Seen]:
        """The spans that fit, once there are this many."""
        until(lambda: sum(map(fits, list(self.spans))) >= count, "the spans arrive")
        return [span for span in self.spans if fits(span)]


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()
    try:
        yield collector
    finally:
        collector.close()
