"""A collector that is slow, away or full slows nothing down, and what it does not take is bounded and counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.tracing.collector import collecting
from tidings.net.collector import CollectorConnection, NotSent
from tidings.rules.tracing.configured import Batching, Collector
from tidings.rules.tracing.context import Trace
from tidings.testing import TestServer, until
from tidings.tracing.exporter.otlp import Encoder, attribute, common, span
from tidings.tracing.exporter.span_queue import SpanQueue
from tidings.tracing.records import STOP_SECONDS, Report

HERE = Trace("a" * 32, "b" * 16)
SPAN = span(common("x", "internal", {}), b"", HERE.stored, bytes(8), None, 0, 1)


class Reports(list[Report]):
    """What was reported."""

    def __call__(self, report: Report) -> None:
        self.append(report)

    @property
    def last(self) -> Report:
        return self[-1] if self else Report()


def test_the_queue_is_bounded_while_the_collector_is_stuck() -> None:
    stuck, reports = threading.Event(), Reports()
    sent: list[bytes] = []

    def export(batch: Sequence[bytes]) -> NotSent | None:
        stuck.wait(10)
        sent.extend(batch)
        return None

    sending = SpanQueue(export, reports, Batching(100, 10, 0.01))
    sending.start()
    for _ in range(100):
        sending.add([SPAN] * 10)
    assert reports[0].is_full, "the server is told that there is no room, so that it records no more"
    stuck.set()
    sending.stop(10)
    last = reports.last
    assert 880 <= last.dropped <= 900 and not last.is_full
    assert len(sent) == last.sent == 1_000 - last.dropped


def test_spans_that_a_collector_refuses_are_counted_and_later_ones_arrive() -> None:
    answers = [NotSent("it answered 400", is_final=True)]
    reports = Reports()
    sending = SpanQueue(lambda batch: answers.pop() if answers else None, reports, Batching(100, 10, 0.01))
    sending.start()
    sending.add([SPAN])
    until(lambda: reports.last == Report(0, 1, 0, 0, False, "it answered 400"), "the first is lost")
    sending.add([SPAN])
    until(lambda: reports.last == Report(1, 1, 0, 0, False, None), "the second arrives")
    sending.stop(10)


def test_a_mistake_of_ours_loses_a_batch_and_no_more() -> None:
    reports, broken = Reports(), [True]

    def export(batch: Sequence[bytes]) -> NotSent | None:
        if broken:
            raise RuntimeError(broken.pop())
        return None

    sending = SpanQueue(export, reports, Batching(100, 10, 0.01))
    sending.add([SPAN])
    sending.start()
    until(lambda: reports.last.failed == 1, "it is counted")
    assert reports.last.wrong == "RuntimeError: True"
    sending.add([SPAN])
    until(lambda: reports.last.sent == 1, "the next one arrives")
    sending.stop(10)


def test_spans_wait_for_a_collector_that_is_away_or_busy() -> None:
    with collecting() as collector:
        with collecting() as closed:
            pass
        collector.status = 503
        where = [
            CollectorConnection(Collector(f"{each.url}/v1/traces", {}, 5.0, False)) for each in (closed, collector)
        ]
        encoder, now, reports = Encoder({"service.name": "shop"}, "tidings", "1"), [where[0]], Reports()
        sending = SpanQueue(lambda batch: now[0].post(encoder.encode(batch)), reports, Batching(20, 10, 0.01))
        sending.add([SPAN] * 15)
        sending.start()
        until(lambda: reports.last.wrong == f"{closed.url}/v1/traces: Connection refused", "it says which is away")
        now[0] = where[1]
        until(lambda: collector.requests > 1, "it is asked again while it is busy")
        assert (reports.last.sent, reports.last.failed, reports.last.waiting) == (0, 0, 15)
        sending.add([SPAN] * 10)
        collector.status = 200
        until(lambda: reports.last == Report(20, 0, 5, 0, False, None), "all that fits arrives")
        sending.stop(10)
        assert len(collector.spans) == 20


def test_spans_are_encoded_as_the_official_package_reads_them() -> None:
    other = Trace("c" * 32, "d" * 16, 0, "x=1")
    here = Trace("a" * 32, "b" * 16, 1, "shop=42")
    attributes: dict[str, str | int] = {"n": 300, "zero": 0, "big": 2**40, "text": "ü" * 300, "odd": "\ud800", "": ""}
    shared, own = common("POST ü", "client", attributes), attribute("id", "ü" * 70) + attribute("path", "/\ud800")
    ids = (here.stored, bytes.fromhex(here.span_id), "e" * 16)
    whole = span(shared, own, *ids, 5, 1_000_000, is_remote=True, links=(other.stored,), error="why")
    body = Encoder({"service.name": "shop", "n": "1"}, "tidings", "1").encode([whole, SPAN])
    [found] = ExportTraceServiceRequest.FromString(body).resource_spans
    [scope] = found.scope_spans
    assert (scope.scope.name, scope.scope.version, len(found.resource.attributes)) == ("tidings", "1", 2)
    first, second = scope.spans
    assert (first.trace_id.hex(), first.span_id.hex(), first.parent_span_id.hex()) == ("a" * 32, "b" * 16, "e" * 16)
    assert (first.trace_state, first.name, first.kind, first.flags) == ("shop=42", "POST ü", 3, 0x301)
    assert (first.start_time_unix_nano, first.end_time_unix_nano) == (5_000, 1_000_000_000)
    assert (first.status.code, first.status.message) == (2, "why") and not second.status.code
    values = {each.key: each.value.string_value or each.value.int_value for each in first.attributes}
    its_own: dict[str, str | int] = {"id": "ü" * 70, "path": "/?"}
    assert values == {"n": 300, "zero": 0, "big": 2**40, "text": "ü" * 300, "odd": "?", "": 0} | its_own
    [link] = first.links
    assert (link.trace_id.hex(), link.span_id.hex(), link.trace_state, link.flags) == ("c" * 32, "d" * 16, "x=1", 0x300)
    assert not second.parent_span_id and second.flags == 0x101


def test_a_span_does_not_end_before_it_begins() -> None:
    body = Encoder({}, "tidings", "1").encode(
        [span(common("x", "internal", {}), b"", HERE.stored, bytes(8), None, 9, 1)]
    )
    [found] = ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans[0].spans
    assert (found.start_time_unix_nano, found.end_time_unix_nano) == (9_000, 9_000)


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_connection_that_the_collector_closed_is_opened_again(compression: str) -> None:
    with collecting() as collector:
        where = Collector(f"{collector.url}/v1/traces", {"api-key": "x"}, 5.0, compression == "gzip")
        connection = CollectorConnection(where)
        encoder = Encoder({"service.name": "shop"}, "tidings", "1")
        # This collector speaks HTTP/1.0: it closes after each answer.
        assert [connection.post(encoder.encode([SPAN])) for _ in range(2)] == [None, None]
        assert len(collector.spans) == 2
        collector.status = 400
        assert "answered 400" in str(connection.post(encoder.encode([SPAN])))
        connection.close()
    assert connection.post(b"") is not None


@pytest.mark.slow
@pytest.mark.parametrize("how", ["away", "silent", "failing"])
def test_an_unreachable_collector_stops_nothing(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        if how == "away":
            collector.close()
        collector.slow = threading.Event() if how == "silent" else None
        collector.status = 503 if how == "failing" else 200
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
        server = TestServer().start()
        for _ in range(50):
            server.api.publish("a.b")
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < STOP_SECONDS + 5
        if collector.slow is not None:
            collector.slow.set()
