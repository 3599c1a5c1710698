"""Figures `tracing-off`, `tracing` and `tracing-all`: what OpenTelemetry traces cost, beside servers without any.

The speed of a machine that is shared with others may swing by a third within a minute. So turns are short, and each is
compared with the same round only: with the mean of two servers without traces. How those two differ from one another
is what the figure cannot tell apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from benchmarks.collector import collecting
from benchmarks.context import Context
from benchmarks.hold import Held, Shape, one_run, whole_rate
from benchmarks.numbers import median
from benchmarks.server import Server, running
from benchmarks.table import Row

TURN_SECONDS = 2
ROUNDS = 25
"""A multiple of the number of servers, so that each is measured in each place of the order equally often."""
SAMPLED = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio"}
WAYS: dict[str, dict[str, str]] = {
    "none": {},
    "control": {},
    "tracing-off": {"OTEL_SDK_DISABLED": "true"},
    "tracing": {**SAMPLED, "OTEL_TRACES_SAMPLER_ARG": "0.1"},
    "tracing-all": {**SAMPLED, "OTEL_TRACES_SAMPLER_ARG": "1"},
}
WITHOUT = ("none", "control")
UNLIKE_PERCENT_MAX = 5
"""If those two differ by more, in the median, other programs were so busy that the figure says nothing."""

Round = Mapping[str, Held]


def tracing(context: Context) -> list[Row]:
    """Five servers side by side, turn by turn, in an order that changes; the first round is not counted."""
    with ExitStack() as opened:
        collector = opened.enter_context(collecting())
        servers = {name: opened.enter_context(_server(context, name, collector.url)) for name in WAYS}
        rounds = []
        for number in range(2 if context.quick else ROUNDS + 1):
            held = {name: one_run(context, servers[name], Shape(), TURN_SECONDS) for name in order(number)}
            context.say(f"turn {number}: " + ", ".join(f"{name} {_said(held[name])}" for name in WAYS))
            rounds.append(held)
        counts = {name: _spans(server.metrics()) for name, server in servers.items()}
        for server in servers.values():
            server.stop()
        arrived = collector.counts()
    return [_row(name, rounds[1:], counts[name], arrived.get(name, 0)) for name in WAYS if name not in WITHOUT]


def order(number: int) -> list[str]:
    """The servers in the order of a round: in any five rounds, each has each place, and others before it."""
    names = list(WAYS)
    # One from the beginning, one from the end, and so on; each round begins one further.
    at = [place // 2 if place % 2 == 0 else -(place + 1) // 2 for place in range(len(names))]
    found = [names[(each + number) % len(names)] for each in at]
    return found[::-1] if number // len(names) % 2 else found


@contextmanager
def _server(context: Context, name: str, url: str) -> Iterator[Server]:
    folder = context.new_folder()
    traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_SERVICE_NAME": name}
    environment = {**traced, **WAYS[name]} if WAYS[name] else {}
    with running(folder, environment=environment) as server:
        server.register(context.sink, f"/ok/{name}")
        yield server
    context.throw_away(folder)


def _row(name: str, rounds: Sequence[Round], spans: Mapping[str, int], arrived: int) -> Row:
    percents = sorted(100 * whole_rate(held[name]) / _without(held) for held in rounds)
    control = sorted(100 * whole_rate(held["control"]) / whole_rate(held["none"]) for held in rounds)
    speeds = {each: [whole_rate(held[each]) for held in rounds] for each in WAYS}
    us = {each: [held[each].server_us for held in rounds] for each in WAYS}
    said = "".join(f"; {count:,} spans {result}" for result, count in spans.items())
    if spans:
        said += f", {arrived:,} arrived"
    note = (
        f"{_spread(percents)}; two without traces, against one another: {median(control):.1f} %, {_spread(control)}; "
        f"{median(speeds[name]):,.0f}/s, and {median(speeds['none']):,.0f}/s without; {median(us[name]):,.0f} and "
        f"{median(us['none']):,.0f} us of the processor for each delivery{said}"
    )
    is_missed = arrived < spans.get("sent", 0)
    is_noise = abs(median(control) - 100) > UNLIKE_PERCENT_MAX
    fair = not (is_missed or is_noise or any(held[each].missing for held in rounds for each in (*WITHOUT, name)))
    details = {"per_second": speeds, "us": us, "percents": percents, "control": control}
    return Row(name, median(percents), 100.0, fair=fair, note=note, details=details)


def _without(held: Round) -> float:
    return sum(whole_rate(held[name]) for name in WITHOUT) / len(WITHOUT)


def _spread(ordered: Sequence[float]) -> str:
    """The middle half, and all."""
    last = len(ordered) - 1
    low, high = ordered[round(last / 4)], ordered[round(last * 3 / 4)]
    return f"half of {len(ordered)} turns {low:.0f} to {high:.0f} %, all {ordered[0]:.0f} to {ordered[-1]:.0f} %"


def _said(held: Held) -> str:
    missing = f", {held.missing:,} missing" if held.missing else ""
    return f"{whole_rate(held):,.0f}/s ({held.server_us:,.0f} us{missing})"


def _spans(metrics: str) -> dict[str, int]:
    found = (line for line in metrics.splitlines() if line.startswith("tidings_trace_spans_total{"))
    return {line.split('"')[1]: int(float(line.split()[-1])) for line in found}
