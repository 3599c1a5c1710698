"""Whether the environment asks for traces, by OpenTelemetry's standard variables."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from tidings.model.digits import is_digits

EXPORTER, PROTOCOLS = "OTEL_TRACES_EXPORTER", ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROPAGATORS, DISABLED = "OTEL_PROPAGATORS", "OTEL_SDK_DISABLED"
PROTOCOL, DEFAULT_ENDPOINT = "http/protobuf", "http://localhost:4318"
SAMPLER, SAMPLER_SHARE, BATCH = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
SAMPLERS = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)
NUMBER_MAX = 1_000_000
NOT_INSTALLED = (
    "{name} asks for traces, but OpenTelemetry is not installed. Install tidings[otel], or set OTEL_SDK_DISABLED=true."
)


class WrongTracing(Exception):
    """A variable asks for something that Tidings does not do; the text is a sentence for people."""


class Batching(msgspec.Struct, frozen=True):
    """How spans are collected on their way to the collector."""

    queue_max: int
    batch_max: int
    delay_seconds: float


def asked_by(environ: Mapping[str, str]) -> str | None:
    """The variable that asks for traces; None: they are off. Raises WrongTracing."""
    if environ.get(DISABLED, "").strip().lower() == "true":
        return None
    exporter = environ.get(EXPORTER, "").strip()
    name = EXPORTER if exporter else next((name for name in ENDPOINTS if environ.get(name, "").strip()), None)
    if name is None or exporter == "none":
        return None
    if exporter not in ("", "otlp"):
        raise WrongTracing(f"{EXPORTER} is {exporter!r}; Tidings exports traces as otlp only.")
    for each in PROTOCOLS:
        if protocol := environ.get(each, "").strip():
            if protocol != PROTOCOL:
                raise WrongTracing(f"{each} is {protocol!r}; Tidings exports traces as {PROTOCOL} only.")
            break
    if propagators := environ.get(PROPAGATORS, "").strip():
        names = {each.strip() for each in propagators.split(",")}
        if "tracecontext" not in names or names - {"tracecontext", "baggage"}:
            raise WrongTracing(f"{PROPAGATORS} is {propagators!r}; Tidings reads and sends tracecontext only.")
    return name


def collector(environ: Mapping[str, str]) -> str:
    """Where spans are sent, for people: without credentials."""
    whole, base = (environ.get(name, "").strip() for name in ENDPOINTS)
    parts = urlsplit(whole or (base or DEFAULT_ENDPOINT).rstrip("/") + "/v1/traces")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def check_sampler(environ: Mapping[str, str]) -> None:
    """Raise WrongTracing if the sampler is unknown, or its share is not a number from 0 to 1."""
    name = environ.get(SAMPLER, "").strip().lower()
    if name and name not in SAMPLERS:
        raise WrongTracing(f"{SAMPLER} is {name!r}; the samplers are {', '.join(SAMPLERS)}.")
    if name.endswith("ratio") and (share := environ.get(SAMPLER_SHARE, "").strip()):
        try:
            is_share = 0 <= float(share) <= 1
        except ValueError:
            is_share = False
        if not is_share:
            raise WrongTracing(f"{SAMPLER_SHARE} is {share!r}; it must be a number from 0 to 1, such as 0.1.")


def batching(environ: Mapping[str, str]) -> Batching:
    """How spans are collected. Raises WrongTracing."""
    queue, batch = _number(environ, "OTEL_BSP_MAX_QUEUE_SIZE", 2048), _number(environ, BATCH, 512)
    return Batching(queue, min(batch, queue), _number(environ, "OTEL_BSP_SCHEDULE_DELAY", 5000) / 1000)


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "").strip()
    if not text:
        return default
    if not (is_digits(text) and 0 < int(text) <= NUMBER_MAX):
        raise WrongTracing(f"{name} is {text!r}; it must be a whole number from 1 to {NUMBER_MAX:,}.")
    return int(text)
