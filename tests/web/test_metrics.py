"""`/metrics` as Prometheus reads it."""

from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.web.test_events import Reader
from tidings.testing import Api, Receiver, TestServer, until


def samples(api: Api) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    text = api.call("GET", "/metrics").body.decode()
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


@pytest.mark.slow
def test_durations_are_histograms(server: TestServer, api: Api) -> None:
    with Receiver() as receiver:
        api.post("/v1/endpoints", {"url": receiver.url("/timed"), "events": ["timed.*"]})
        for number in range(3):
            api.publish("timed.a", {"n": number})
        receiver.wait_for(3)
        found = until(
            lambda: (each := samples(api)) and each["tidings_publish_to_delivery_seconds_count"][()] >= 3 and each,
            "all three are counted",
        )
    delivered = (("outcome", "ok"),)
    assert found["tidings_attempt_duration_seconds_count"][delivered] >= 3
    publish = (("operation", "publish_event"),)
    assert found["tidings_request_duration_seconds_count"][publish] >= 3
    assert 0 < found["tidings_request_duration_seconds_sum"][publish] < 60
    for name, all_ in found.items():
        if name.endswith("_seconds_bucket"):
            by_series: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
            for labels, value in all_.items():
                rest = tuple(pair for pair in labels if pair[0] != "le")
                by_series.setdefault(rest, []).append((float(dict(labels)["le"]), value))
            for series in by_series.values():
                counts = [value for _, value in sorted(series)]
                assert counts == sorted(counts) and sorted(series)[-1][0] == float("inf")


def test_long_polls_and_streams_are_not_timed(server: TestServer, api: Api) -> None:
    api.get("/v1/event-types")
    reader = Reader(server, "/v1/events/stream")
    reader.close()
    api.get("/v1/events", after="end", wait=1)
    operations = {dict(labels)["operation"] for labels in samples(api)["tidings_request_duration_seconds_count"]}
    assert "stream_events" not in operations


def test_each_metric_has_a_help_and_a_name_by_the_conventions(api: Api) -> None:
    text = api.call("GET", "/metrics").body.decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    helps = dict(re.findall(r"^# HELP (\S+) (.+)$", text, re.MULTILINE))
    ours = {name: kind for name, kind in kinds.items() if name.startswith("tidings_")}
    assert ours and set(ours) <= set(helps)
    for name, kind in ours.items():
        assert name.endswith("_total") == (kind == "counter"), name
        assert not name.endswith(("_ms", "_milliseconds", "_minutes")), name
        assert kind != "histogram" or name.endswith("_seconds"), name
