"""The benchmark's collector counts the spans of a server, by the length of each."""

from __future__ import annotations

from benchmarks.collector import collecting, counted
from benchmarks.processes import ask
from tidings.rules.tracing.context import Trace
from tidings.tracing.exporter.otlp import Encoder, attribute, common, span

HERE = Trace("a" * 32, "b" * 16).stored


def request(service: str, spans: int) -> bytes:
    shared = [common("x", "internal", {"n": "y" * (n * n // 4)}) for n in range(spans)]
    each = [span(one, attribute("id", "z"), HERE, bytes(8), None, 0, 1) for one in shared]
    return Encoder({"telemetry.sdk.name": "x", "service.name": service}, "tidings", "1").encode(each)


def test_spans_are_counted() -> None:
    assert counted(request("shop", 300)) == ("shop", 300)
    with collecting() as collector:
        for service, spans in (("shop", 2), ("shop", 3), ("bakery", 1)):
            assert ask(collector.port, "POST", "/v1/traces", request(service, spans))[0] == 200
        assert collector.counts() == {"shop": 5, "bakery": 1}
