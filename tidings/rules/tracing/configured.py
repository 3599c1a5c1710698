"""Whether the environment enables traces, by OpenTelemetry's standard variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import msgspec

from tidings.model.digits import is_digits
from tidings.rules.tracing.sampling import ALL, Sampler

EXPORTER, PROTOCOLS = "OTEL_TRACES_EXPORTER", ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROPAGATORS, DISABLED = "OTEL_PROPAGATORS", "OTEL_SDK_DISABLED"
PROTOCOL, DEFAULT_ENDPOINT = "http/protobuf", "http://localhost:4318"
ABOUT, SAMPLER, SAMPLER_SHARE, BATCH = (
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
)
SAMPLERS = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)
NUMBER_MAX = 1_000_000
TIMEOUT_MILLIS = 10_000
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class WrongTracing(Exception):
    """A variable requests something that Tidings does not support; the text is a sentence for people."""


class Batching(msgspec.Struct, frozen=True):
    """How spans are collected on their way to the collector."""

    queue_max: int
    batch_max: int
    delay_seconds: float


class Collector(msgspec.Struct, frozen=True):
    """Where spans are sent, and how."""

    url: str
    headers: dict[str, str]
    timeout_seconds: float
    is_packed: bool
    """Whether requests are compressed with gzip."""
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None

    @property
    def shown(self) -> str:
        """Its URL without credentials, for people."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def asked_by(environ: Mapping[str, str]) -> str | None:
    """The variable that enables traces; None if they are off. Raises WrongTracing."""
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


def collector(environ: Mapping[str, str]) -> Collector:
    """Where spans are sent. Raises WrongTracing."""
    name, url = _of(environ, "ENDPOINT")
    url = given = url or DEFAULT_ENDPOINT
    if name != ENDPOINTS[0]:
        url = url.rstrip("/") + "/v1/traces"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise WrongTracing(f"{name} is {given!r}; it must be a URL, such as {DEFAULT_ENDPOINT}.")
    name, compression = _of(environ, "COMPRESSION")
    if compression not in ("", "none", "gzip"):
        raise WrongTracing(f"{name} is {compression!r}; it must be none or gzip.")
    name, timeout = _of(environ, "TIMEOUT")
    millis = _number({name: timeout}, name, TIMEOUT_MILLIS)
    files = [_of(environ, each)[1] or None for each in ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY")]
    return Collector(url, _headers(*_of(environ, "HEADERS")), millis / 1000, compression == "gzip", *files)


def _of(environ: Mapping[str, str], what: str) -> tuple[str, str]:
    """The variable that sets this for traces, or else for all signals, and its value."""
    for name in (f"OTEL_EXPORTER_OTLP_TRACES_{what}", f"OTEL_EXPORTER_OTLP_{what}"):
        if text := environ.get(name, "").strip():
            return name, text
    return f"OTEL_EXPORTER_OTLP_{what}", ""


def _headers(name: str, text: str) -> dict[str, str]:
    found = {}
    for each in filter(None, map(str.strip, text.split(","))):
        key, equals, value = each.partition("=")
        header, content = key.strip(), unquote(value.strip())
        if not equals or not HEADER.fullmatch(header) or not (content.isascii() and content.isprintable()):
            raise WrongTracing(f"{name} must list headers, such as api-key=secret, separated by commas.")
        found[header] = content
    return found


def sampler(environ: Mapping[str, str]) -> Sampler:
    """The sampler that chooses the traces to record. Raises WrongTracing."""
    name = environ.get(SAMPLER, "").strip().lower() or SAMPLERS[3]
    if name not in SAMPLERS:
        raise WrongTracing(f"{SAMPLER} is {name!r}; the samplers are {', '.join(SAMPLERS)}.")
    share = 0.0 if name.endswith("always_off") else 1.0
    if name.endswith("ratio") and (text := environ.get(SAMPLER_SHARE, "").strip()):
        try:
            share = float(text)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            raise WrongTracing(f"{SAMPLER_SHARE} is {text!r}; it must be a number from 0 to 1, such as 0.1.")
    return Sampler(round(share * ALL), name.startswith("parentbased"))


def resource(environ: Mapping[str, str], name: str, version: str, instance: str) -> dict[str, str]:
    """Who sends the spans. Raises WrongTracing.

    `name`, `version` and `instance`, which differs for each process: the defaults, which the environment can override.
    """
    found = {"telemetry.sdk.language": "python", "telemetry.sdk.name": name, "telemetry.sdk.version": version}
    found |= {"service.name": name, "service.version": version, "service.instance.id": instance}
    for each in filter(None, map(str.strip, environ.get(ABOUT, "").split(","))):
        key, equals, value = each.partition("=")
        if not equals or not key.strip():
            raise WrongTracing(f"{ABOUT} must list attributes, such as team=billing, separated by commas.")
        found[key.strip()] = unquote(value.strip())
    if service := environ.get("OTEL_SERVICE_NAME", "").strip():
        found["service.name"] = service
    return found


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
