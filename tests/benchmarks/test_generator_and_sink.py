"""The benchmark's generator and sink count truly: against one another, without a server between them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook

from benchmarks.generator import Load
from benchmarks.mark import event_template
from benchmarks.numbers import backlog, median, percentiles
from benchmarks.processes import SinkProcess, ask, end, run_load

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(scope="module")
def sink() -> Iterator[SinkProcess]:
    process = SinkProcess()
    yield process
    end(process.process)


@pytest.mark.slow
def test_every_request_is_counted_once(sink: SinkProcess) -> None:
    load = Load(port=sink.port, path="/ok/a", run=sink.new_run(), seconds=10, count=2_000, connections=8)
    report = run_load(load)
    stats = sink.stats()["paths"]["/ok/a"]
    assert (report["accepted"], report["refused"], report["unanswered"]) == (2_000, {}, 0)
    assert (stats["arrived"], stats["distinct"], sink.count()) == (2_000, 2_000, 2_000)
    assert set(sink.times("/ok/a")[:2_000]) == {1}
    assert sum(report["seconds"].values()) == sum(stats["seconds"].values()) == 2_000


@pytest.mark.slow
def test_a_batch_counts_each_of_its_events(sink: SinkProcess) -> None:
    load = Load(port=sink.port, path="/ok/b", run=sink.new_run(), seconds=10, count=1_000, batch=100, connections=2)
    assert run_load(load)["accepted"] == 1_000
    assert sink.stats()["paths"]["/ok/b"]["distinct"] == 1_000


def test_duplicates_and_late_arrivals_are_noticed(sink: SinkProcess) -> None:
    run = sink.new_run()
    for number in (5, 5, 7):
        ask(sink.port, "POST", "/ok/c", event_template("t", run) % (number, 1))
    ask(sink.port, "POST", "/ok/c", event_template("t", run - 1) % (6, 1))
    times, first = sink.times("/ok/c"), sink.first("/ok/c")
    assert (times[5], times[6], times[7]) == (2, 0, 1)
    assert first[7] > first[5] > 0
    assert sink.stats()["strays"] == 1


def test_paths_answer_as_they_ask_to(sink: SinkProcess) -> None:
    assert ask(sink.port, "POST", "/ok/d", b"{}")[0] == 200
    assert ask(sink.port, "POST", "/error/d", b"{}")[0] == 500
    assert ask(sink.port, "POST", "/slow/20/d", b"{}")[0] == 200


@pytest.mark.slow
def test_a_planned_rate_is_kept(sink: SinkProcess) -> None:
    load = Load(port=sink.port, path="/ok/e", run=sink.new_run(), seconds=20, rate=200, count=101, connections=8)
    began = time.monotonic_ns()
    assert run_load(load)["sent"] == 101
    first = sink.first("/ok/e")
    # None before its time; how late one may be is the machine's affair.
    assert all(came - began >= number * 5_000_000 for number, came in enumerate(first[:101]))
    assert first[100] - first[0] < 5_000_000_000
    assert sink.stats()["paths"]["/ok/e"]["latency_ms"]["p50"] < 5_000


@pytest.mark.parametrize(("secret", "good", "bad"), [(SECRET, 1, 0), ("whsec_" + "A" * 32, 0, 1)])
def test_signatures_are_verified(sink: SinkProcess, secret: str, good: int, bad: int) -> None:
    sink.new_run()
    sink.know("/ok/f", secret)
    now, body = datetime.now(UTC), '{"type":"t"}'
    signature = Webhook(SECRET).sign("evt_1", now, body)
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
    ask(sink.port, "POST", "/ok/f", body.encode(), headers=headers)
    stats = sink.stats()
    assert (stats["verified"], stats["unverified"]) == (good, bad)


def test_percentiles_and_medians_of_numbers() -> None:
    assert percentiles(range(1, 102))["p50"] == 51
    assert percentiles([]) == {}
    assert (median([3, 1, 2]), median([1, 2])) == (2, 1.5)
    assert backlog({10: 5, 11: 5, 12: 5}, {10: 3, 11: 5, 12: 7, 13: 0}) == [2, 2, 0]
    assert backlog({10: 1}, {10: 60}, per_event=100) == [40]
