"""The process that sends spans: nothing waits for it, it is started again if it ends, and it ends with its server."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tracing.collector import Collector as Seeing
from tests.tracing.collector import collecting
from tidings.model.moment import SystemClock
from tidings.rules.tracing.configured import Batching, Collector
from tidings.testing import ProcessServer, until
from tidings.tracing import spans as module
from tidings.tracing.process import Exporter
from tidings.tracing.records import STOP_SECONDS, CreationRecord, Orders, RequestRecord
from tidings.tracing.spans import Spans

TRACE = f"00-{'a' * 32}-{'b' * 16}-01"
RECORD = CreationRecord(TRACE, 1, "evt_1", None, "timer.due")
Begin = Callable[..., Spans]


class Begun:
    """Spans whose exporters are known."""

    def __init__(self, url: str, queue_max: int) -> None:
        orders = Orders(
            Collector(f"{url}/v1/traces", {}, 5.0, False),
            Batching(queue_max, 10, 0.01),
            {"service.name": "x"},
            "x",
            "1",
        )
        self.exporters: list[Exporter] = []

        def begin() -> Exporter:
            self.exporters.append(Exporter(orders))
            return self.exporters[-1]

        self.spans = Spans(begin, queue_max, SystemClock())
        self.spans.start()

    @property
    def pid(self) -> int:
        """Of the exporter that runs."""
        until(lambda: self.exporters, "an exporter is started")
        return self.exporters[-1].pid


@pytest.fixture
def seeing() -> Iterator[Seeing]:
    with collecting() as found:
        yield found


@pytest.fixture
def begun(seeing: Seeing, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begun]:
    monkeypatch.setattr(module, "RESTART_SECONDS", 0.05)
    found = Begun(seeing.url, 100)
    yield found
    found.spans.stop()


@pytest.mark.slow
def test_a_request_has_the_times_of_day(begun: Begun, seeing: Seeing) -> None:
    spans, before = begun.spans, time.time_ns()
    steady = time.perf_counter()
    answered = ("GET", "http", "1.1", "/x", None, "[::1]:1", "a:1", None, 200, None)
    spans.add(RequestRecord(TRACE, None, None, steady, steady + 0.005, *answered))
    [seen] = seeing.wait(lambda span: span.kind == "SERVER")
    assert abs(seen.began - before) < 1_000_000_000 and seen.ended - seen.began == pytest.approx(5_000_000, abs=1_000)
    assert seen.attributes["network.peer.address"] == "::1" and seen.attributes["server.address"] == "a"


@pytest.mark.slow
def test_half_a_surrogate_pair_spoils_nothing(begun: Begun, seeing: Seeing) -> None:
    begun.spans.add_all([RECORD, CreationRecord(TRACE, 1, "evt_\ud800", None, "timer.due")])
    seeing.wait(lambda span: True, 2)
    assert [span.attributes["messaging.message.id"] for span in seeing.spans] == ["evt_1", "evt_?"]


@pytest.mark.slow
def test_an_exporter_that_is_killed_is_started_again(
    begun: Begun, seeing: Seeing, caplog: pytest.LogCaptureFixture
) -> None:
    spans = begun.spans
    spans.add(RECORD)
    until(lambda: spans.counts["sent"] == 1, "the first arrives")
    seeing.status = 503
    spans.add_all([RECORD] * 3)
    until(lambda: seeing.requests > 1, "the exporter has them")
    os.kill(begun.pid, signal.SIGKILL)
    until(lambda: spans.counts["failed"] == 3, "what it had is counted as lost")
    seeing.status = 200
    until(lambda: len(begun.exporters) == 2, "another one is started")
    spans.add(RECORD)
    until(lambda: spans.counts == {"sent": 2, "failed": 3, "dropped": 0}, "the next one arrives")
    assert "the process that sends traces has ended by signal 9; it is started again. Spans lost: 3" in caplog.text


@pytest.mark.slow
def test_an_exporter_that_hangs_is_not_waited_for(begun: Begun, seeing: Seeing) -> None:
    spans = begun.spans
    spans.add(RECORD)
    until(lambda: spans.counts["sent"] == 1, "it works")
    os.kill(begun.pid, signal.SIGSTOP)
    # More than the socket to it holds.
    spans.add(CreationRecord(TRACE, 1, "x" * 1_000_000, None, "timer.due"))
    until(lambda: begun.exporters[0].given == 2, "it was given that")
    given = 2
    while spans.has_room:
        spans.add_all([RECORD] * 10)
        given += 10
    spans.drop()
    os.kill(begun.pid, signal.SIGCONT)
    until(lambda: sum(spans.counts.values()) == given + 1, "what it had, and what was waiting, is sent or counted")
    # A hundred wait here, and the exporter's own queue has as much room.
    assert spans.counts["sent"] >= 100 and spans.counts["failed"] == 0
    until(lambda: spans.has_room, "there is room again")


def test_a_stop_does_not_wait_for_an_exporter_that_hangs(seeing: Seeing) -> None:
    begun = Begun(seeing.url, 100)
    os.kill(begun.pid, signal.SIGSTOP)
    begun.spans.add(RECORD)
    began = time.monotonic()
    begun.spans.stop()
    assert time.monotonic() - began < STOP_SECONDS + 1
    assert not is_alive(begun.pid)


@pytest.mark.slow
def test_signals_for_the_whole_service_do_not_end_it_before_the_server(begun: Begun, seeing: Seeing) -> None:
    begun.spans.add(RECORD)
    seeing.wait(lambda span: True)
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(begun.pid, each)
    begun.spans.add(RECORD)
    begun.spans.stop()
    assert len(seeing.spans) == 2 and begun.spans.counts["sent"] == 2 and len(begun.exporters) == 1


def test_an_exporter_that_cannot_be_started_is_said_so(
    monkeypatch: pytest.MonkeyPatch, seeing: Seeing, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    begun = Begun(seeing.url, 10)
    until(lambda: "cannot be started" in caplog.text, "the log says so")
    for _ in range(20):
        if begun.spans.has_room:
            begun.spans.add(RECORD)
        else:
            begun.spans.drop()
    assert begun.spans.counts["dropped"] == 10
    begun.spans.stop()


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_what_was_recorded_arrives_after_the_server(how: str, seeing: Seeing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", seeing.url)
    with ProcessServer() as server:
        assert server.process is not None
        [exporter] = children(server.process.pid)
        assert b"TIDINGS_OPERATOR_KEY" not in Path(f"/proc/{exporter}/environ").read_bytes()
        server.api.publish("a.b")
        # By default, five seconds pass until few spans are sent.
        until(lambda: server.api.call("GET", "/healthz").status == 200, "it has taken the event")
        time.sleep(2 * module.COLLECT_SECONDS)
        assert not seeing.spans
        server.kill() if how == "killed" else server.stop()
        seeing.wait(lambda span: span.kind in ("SERVER", "CONSUMER"), 2)
        until(lambda: not is_alive(exporter), "the exporter has ended", STOP_SECONDS + 1)


def test_without_traces_there_is_no_process(seeing: Seeing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", seeing.url)
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with ProcessServer() as server:
        assert server.process is not None
        assert not children(server.process.pid)


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False
