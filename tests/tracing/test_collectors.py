"""A collector that is slow, away or full slows nothing down, and what it does not take is bounded and counted."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.tracing.collector import collecting
from tidings.rules.tracing.configured import Batching
from tidings.rules.tracing.context import Trace
from tidings.testing import TestServer, until
from tidings.tracing.spans import STOP_SECONDS, Spans, TraceSpan

SPAN = TraceSpan("x", "internal", Trace("a" * 32, "b" * 16), None, False, 0, 1, {})


def test_the_queue_is_bounded_while_the_collector_is_stuck() -> None:
    stuck, sent = threading.Event(), []

    def export(batch: list[TraceSpan]) -> str | None:
        stuck.wait(10)
        sent.extend(batch)
        return None

    spans = Spans(export, lambda: None, Batching(100, 10, 0.01))
    spans.start()
    for _ in range(1_000):
        if spans.has_room():
            spans.add(SPAN)
    assert 880 <= spans.counts["dropped"] <= 900
    stuck.set()
    spans.stop()
    assert len(sent) == spans.counts["sent"] == 1_000 - spans.counts["dropped"]


def test_spans_that_cannot_be_sent_are_counted_and_later_ones_arrive(caplog: pytest.LogCaptureFixture) -> None:
    answers: list[str | None] = ["connection refused", None]
    spans = Spans(lambda batch: answers.pop(0) if answers else None, lambda: None, Batching(100, 10, 0.01))
    spans.start()
    with caplog.at_level("INFO", "tidings.tracing"):
        spans.add(SPAN)
        until(lambda: spans.counts["failed"] == 1, "the first is lost")
        spans.add(SPAN)
        until(lambda: spans.counts["sent"] == 1, "the second arrives")
    spans.stop()
    assert "traces cannot be sent (connection refused); 1 spans were lost since the start" in caplog.text
    assert "traces are sent again" in caplog.text


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


@pytest.mark.slow
def test_a_missing_extra_is_one_sentence(tmp_path: Path) -> None:
    # An empty package of the same name, first on the path, is what an environment without the extra looks like.
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").write_text("")
    environ = {**os.environ, "PYTHONPATH": str(tmp_path), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    command = [sys.executable, "-m", "tidings", "serve", "--port", "0", "--data", str(tmp_path / "data")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "Install tidings[otel]" in done.stderr
