"""Trace contexts are read as W3C Trace Context says, and the environment's wishes as OpenTelemetry does."""

from __future__ import annotations

import random

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from tidings.rules.tracing.configured import (
    SAMPLERS,
    Batching,
    Collector,
    WrongTracing,
    asked_by,
    batching,
    collector,
    resource,
    sampler,
)
from tidings.rules.tracing.context import STATE_CHARS_KEPT, Trace, of_stored, read

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


def state(*lines: str) -> str:
    found = read([PARENT], lines)
    assert found is not None
    return found.state


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        (PARENT, 1),
        (f"00-{TRACE}-{SPAN}-00", 0),
        (f" {PARENT}\t", 1),
        (f"00-{TRACE}-{SPAN}-ff", 3),
        (f"cc-{TRACE}-{SPAN}-01", 1),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-brings", 1),
    ],
)
def test_a_valid_traceparent_is_read(text: str, flags: int) -> None:
    assert read([text], []) == Trace(TRACE, SPAN, flags)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        PARENT.upper(),
        f"{PARENT}-more",
        f"{PARENT}.",
        f"{PARENT}\n",
        f"ff-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"000-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01.what-the-future-brings",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}0-{SPAN}-01",
        f"00-{TRACE}-{SPAN[:-1]}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-0x",
        f"00_{TRACE}_{SPAN}_01",
        f"00-{'٠' * 32}-{SPAN}-01",
        "00-" + "a" * 1_000_000,
    ],
)
def test_a_malformed_traceparent_counts_as_none(text: str) -> None:
    assert read([text], ["foo=1"]) is None


def test_two_traceparents_count_as_none() -> None:
    assert read([PARENT, PARENT], []) is None and read([], ["foo=1"]) is None


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        (["foo=1,bar=2"], "foo=1,bar=2"),
        (["foo=1", "bar=2"], "foo=1,bar=2"),
        ([" foo=1 ,\tbar=2 ,, "], "foo=1,bar=2"),
        (["", "foo=1"], "foo=1"),
        (["1tenant@sys=a b"], "1tenant@sys=a b"),
        (["a-_*/0=!~"], "a-_*/0=!~"),
        (["foo=" + "v" * 256], "foo=" + "v" * 256),
        ([",".join(f"k{n}=1" for n in range(32))], ",".join(f"k{n}=1" for n in range(32))),
    ],
)
def test_a_valid_tracestate_is_kept(lines: list[str], kept: str) -> None:
    assert state(*lines) == kept


@pytest.mark.parametrize(
    "line",
    [
        "foo",
        "foo=",
        "=1",
        "foo =1",
        "FOO=1",
        "foo=1=2",
        "foo=a\x00b",
        "foo=ü",
        "foo@=1",
        "foo@1sys=1",
        "a@b@c=1",
        "1foo=1",
        "foo=1,foo=2",
        "k" * 257 + "=1",
        "foo=" + "v" * 257,
        "foo@" + "s" * 15 + "=1",
        ",".join(f"k{n}=1" for n in range(33)),
        "x=" + "1" * 100_000,
    ],
)
def test_a_malformed_tracestate_is_dropped_and_the_traceparent_kept(line: str) -> None:
    assert read([PARENT], [line]) == Trace(TRACE, SPAN)


def test_a_long_tracestate_loses_long_members_first_and_then_the_last() -> None:
    long, short = "long=" + "v" * 200, [f"k{n}={'v' * 90}" for n in range(6)]
    assert state(",".join([long, *short])) == ",".join(short[:5])
    assert state(f"{long},a=1") == f"{long},a=1"
    assert len(state(",".join(f"k{n}={'v' * 100}" for n in range(32)))) <= STATE_CHARS_KEPT


@pytest.mark.parametrize("kept", ["", "foo=1,bar=a b"])
def test_a_context_is_stored_and_read_back(kept: str) -> None:
    trace = Trace(TRACE, SPAN, 1, kept)
    assert of_stored(trace.stored) == trace and trace.parent == PARENT


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, None),
        ({"OTEL_SERVICE_NAME": "shop"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "OTEL_TRACES_EXPORTER"),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, None),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "True"}, None),
        ({"OTEL_TRACES_EXPORTER": "zipkin", "OTEL_SDK_DISABLED": "true"}, None),
    ],
)
def test_traces_are_on_if_the_environment_names_a_collector(environ: dict[str, str], name: str | None) -> None:
    assert asked_by(environ) == name


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER is 'zipkin'"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'"),
        ({"OTEL_PROPAGATORS": "b3"}, "OTEL_PROPAGATORS is 'b3'"),
        ({"OTEL_TRACES_SAMPLER": "sometimes"}, "OTEL_TRACES_SAMPLER is 'sometimes'"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "10%"}, "OTEL_TRACES_SAMPLER_ARG is '10%'"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT is 'localhost:4318'; it must"),
        ({"OTEL_EXPORTER_OTLP_COMPRESSION": "zstd"}, "OTEL_EXPORTER_OTLP_COMPRESSION is 'zstd'"),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "10s"}, "OTEL_EXPORTER_OTLP_TIMEOUT is '10s'"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "secret"}, "OTEL_EXPORTER_OTLP_HEADERS must list headers"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "0"}, "OTEL_BSP_MAX_QUEUE_SIZE is '0'"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "team"}, "OTEL_RESOURCE_ATTRIBUTES must list attributes"),
    ],
)
def test_what_tidings_does_not_do_is_refused_by_name(environ: dict[str, str], said: str) -> None:
    whole = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", **environ}
    with pytest.raises(WrongTracing, match=said):
        asked_by(whole)
        sampler(whole)
        resource(whole, "tidings", "1", "2")
        batching(whole)
        collector(whole)


def test_defaults_are_those_of_opentelemetry() -> None:
    assert batching({}) == Batching(2048, 512, 5.0)
    assert collector({}) == Collector("http://localhost:4318/v1/traces", {}, 10.0, False)


def test_a_collector_is_named_by_the_standard_variables() -> None:
    base = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://u:p@c.example/otlp/", "OTEL_EXPORTER_OTLP_TIMEOUT": "500"}
    more = {"OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20b, x=1", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}
    found = collector(base | more)
    assert found.url == "https://u:p@c.example/otlp/v1/traces" and found.shown == "https://c.example/otlp/v1/traces"
    assert (found.headers, found.timeout_seconds, found.is_packed) == ({"api-key": "a b", "x": "1"}, 0.5, True)
    own = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/x", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "none"}
    assert collector(base | more | own).url == "http://c/x" and not collector(base | more | own).is_packed


@pytest.mark.parametrize("share", ["", "0", "0.1", "0.5", "1"])
@pytest.mark.parametrize("name", ["", *SAMPLERS])
def test_traces_are_chosen_as_opentelemetry_chooses_them(
    name: str, share: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": share}
    for key, value in environ.items():
        # OpenTelemetry's own reading has no word for an empty variable.
        monkeypatch.setenv(key, value) if value else monkeypatch.delenv(key, raising=False)
    ours, theirs = sampler(environ), TracerProvider(shutdown_on_exit=False).sampler
    chance = random.Random(7)
    for flags in (None, 0, 1, 2, 3):
        for _ in range(20):
            trace = f"{chance.getrandbits(128):032x}"
            parent = None if flags is None else Trace(trace, SPAN, flags)
            remote = SpanContext(int(trace, 16), int(SPAN, 16), True, TraceFlags(flags or 0))
            context = None if parent is None else set_span_in_context(NonRecordingSpan(remote))
            decision = theirs.should_sample(context, int(trace, 16), "x").decision
            assert ours.samples(trace, parent) == (decision is Decision.RECORD_AND_SAMPLE), (trace, parent)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_SERVICE_NAME": "shop"},
        {"OTEL_RESOURCE_ATTRIBUTES": "team=a%20b, service.version=7 ,x=1=2,"},
        {"OTEL_RESOURCE_ATTRIBUTES": "service.name=shop", "OTEL_SERVICE_NAME": "bakery"},
        {"OTEL_RESOURCE_ATTRIBUTES": "service.name=shop"},
    ],
)
def test_who_sends_is_read_as_opentelemetry_reads_it(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME"):
        monkeypatch.delenv(key, raising=False)
    for key, value in environ.items():
        monkeypatch.setenv(key, value)
    ours, theirs = resource(environ, "tidings", "1", "2"), Resource.create({}).attributes
    said = {key: value for key, value in theirs.items() if not key.startswith("telemetry.sdk.")}
    if str(said["service.name"]).startswith("unknown_service"):
        said["service.name"] = "tidings"
    said["service.instance.id"] = "2"
    assert {key: value for key, value in ours.items() if key in said} == said
    assert set(ours) - set(said) == {"telemetry.sdk.language", "telemetry.sdk.name", "telemetry.sdk.version"} | (
        {"service.version"} - set(said)
    )
