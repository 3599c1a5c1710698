"""Figures `tracing-off`, `tracing` and `tracing-all`: what OpenTelemetry traces cost, beside a server without any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from benchmarks.collector import collecting
from benchmarks.context import Context
from benchmarks.hold import Held, Shape, one_run, whole_rate
from benchmarks.numbers import median
from benchmarks.server import Server, running
from benchmarks.table import Row

TURN_SECONDS = 10
ROUNDS = 5
SAMPLED = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio"}
WAYS: dict[str, dict[str, str]] = {
    "none": {},
    "tracing-off": {"OTEL_SDK_DISABLED": "true"},
    "tracing": {**SAMPLED, "OTEL_TRACES_SAMPLER_ARG": "0.1"},
    "tracing-all": {**SAMPLED, "OTEL_TRACES_SAMPLER_ARG": "1"},
}


def tracing(context: Context) -> list[Row]:
    """Four servers side by side, turn by turn, in an order that changes; the first round is not counted."""
    with ExitStack() as opened:
        collector = opened.enter_context(collecting())
        servers = {name: opened.enter_context(_server(context, name, collector.url)) for name in WAYS}
        seconds = 3 if context.quick else TURN_SECONDS
        rounds = []
        for number in range(2 if context.quick else ROUNDS + 1):
            order = list(WAYS) if number % 2 else list(reversed(WAYS))
            held = {name: one_run(context, servers[name], Shape(), seconds) for name in order}
            context.say(f"turn {number}: " + ", ".join(f"{name} {_said(held[name])}" for name in WAYS))
            rounds.append(held)
        counts = {name: _spans(server.metrics()) for name, server in servers.items()}
        for server in servers.values():
            server.stop()
        arrived = collector.counts()
    return [_row(name, rounds[1:], counts[name], arrived.get(name, 0)) for name in WAYS if name != "none"]


@contextmanager
def _server(context: Context, name: str, url: str) -> Iterator[Server]:
    folder = context.new_folder()
    traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_SERVICE_NAME": name}
    environment = {**traced, **WAYS[name]} if WAYS[name] else {}
    with running(folder, environment=environment) as server:
        server.register(context.sink, f"/ok/{name}")
        yield server
    context.throw_away(folder)


def _row(name: str, rounds: Sequence[Mapping[str, Held]], spans: Mapping[str, int], arrived: int) -> Row:
    speeds = {each: [whole_rate(held[each]) for held in rounds] for each in ("none", name)}
    us = {each: [held[each].server_us for held in rounds] for each in ("none", name)}
    percent = median([100 * b / a for a, b in zip(speeds["none"], speeds[name], strict=True)])
    said = "".join(f"; {count:,} spans {result}" for result, count in spans.items())
    if spans:
        said += f", {arrived:,} arrived"
    note = (
        f"{median(speeds[name]):,.0f}/s, and {median(speeds['none']):,.0f}/s without; {median(us[name]):,.0f} and "
        f"{median(us['none']):,.0f} us of the processor for each delivery{said}; the reference is without"
    )
    is_missed = arrived < spans.get("sent", 0)
    fair = not (is_missed or any(held[each].missing for held in rounds for each in ("none", name)))
    return Row(name, percent, 100.0, fair=fair, note=note, details={"per_second": speeds, "us": us})


def _said(held: Held) -> str:
    missing = f", {held.missing:,} missing" if held.missing else ""
    return f"{whole_rate(held):,.0f}/s ({held.server_us:,.0f} us{missing})"


def _spans(metrics: str) -> dict[str, int]:
    found = (line for line in metrics.splitlines() if line.startswith("tidings_trace_spans_total{"))
    return {line.split('"')[1]: int(float(line.split()[-1])) for line in found}
