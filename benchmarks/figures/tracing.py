"""Figures `tracing` and `tracing-all`: what OpenTelemetry traces cost, with a tenth of them sampled and with all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from benchmarks.context import Context
from benchmarks.paired import Pairs, paired_speeds
from benchmarks.server import running
from benchmarks.table import Row


def tracing(context: Context) -> list[Row]:
    """Two servers side by side, one of them traced; turn by turn."""
    rows = []
    for name, share in (("tracing", "0.1"), ("tracing-all", "1")):
        pairs, spans = _beside(context, share)
        note = f"{pairs.second:,.0f}/s traced, {pairs.first:,.0f}/s not; {spans}; the reference is without"
        rows.append(Row(name, pairs.percent, 100.0, fair=not pairs.missing, note=note, details=pairs.details()))
    return rows


def _beside(context: Context, share: str) -> tuple[Pairs, str]:
    without_folder, with_folder = context.new_folder(), context.new_folder()
    with _collector() as url:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": share,
        }
        with running(without_folder) as without, running(with_folder, environment=environment) as traced:
            without.register(context.sink, f"/ok/tracing/without/{share}")
            traced.register(context.sink, f"/ok/tracing/with/{share}")
            pairs = paired_speeds(context, without, traced)
            spans = _spans(traced.metrics())
    for folder in (without_folder, with_folder):
        context.throw_away(folder)
    return pairs, spans


def _spans(metrics: str) -> str:
    found = (line for line in metrics.splitlines() if line.startswith("tidings_trace_spans_total{"))
    counts = {line.split('"')[1]: float(line.split()[-1]) for line in found}
    return ", ".join(f"{count:,.0f} spans {name}" for name, count in counts.items())


@contextmanager
def _collector() -> Iterator[str]:
    """A collector that reads what it gets and keeps nothing."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
