"""Spans as OTLP: protobuf messages, written by hand (opentelemetry/proto/trace/v1/trace.proto).

The official package needs 50 to 140 us for a span, three times per event, while nothing else runs in this interpreter.
Most attributes recur, and what recurs is encoded once, so that here it takes a tenth of that.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache

from tidings.rules.tracing.context import Trace
from tidings.tracing.spans import TraceSpan

KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
ERROR = 2
HAS_IS_REMOTE, IS_REMOTE = 0x100, 0x200
"""Flags of a span or a link: whether its parent, or what it links to, is another system's."""
RECURRING_CHARS_MAX = 64

_TEXTS = 2  # the wire type of texts and messages, whose length comes first
_times = struct.Struct("<BQBQ").pack
_flags = struct.Struct("<I").pack


class Encoder:
    """Encodes the spans of one resource and one scope."""

    def __init__(self, resource: Mapping[str, str | int], name: str, version: str) -> None:
        self._resource = _field(1, b"".join(_field(1, _attribute(*each)) for each in resource.items()))
        self._scope = _field(1, _field(1, name.encode()) + _field(2, version.encode()))

    def encode(self, spans: Sequence[TraceSpan]) -> bytes:
        """An ExportTraceServiceRequest."""
        scope_spans = self._scope + b"".join([_field(2, _span(span)) for span in spans])
        return _field(1, self._resource + _field(2, scope_spans))


def _span(span: TraceSpan) -> bytes:
    here = span.here
    parts = [b"\x0a\x10", bytes.fromhex(here.trace_id), b"\x12\x08", bytes.fromhex(here.span_id)]
    if here.state:
        parts.append(_field(3, here.state.encode()))
    if span.parent is not None:
        parts += (b"\x22\x08", bytes.fromhex(span.parent))
    parts.append(_name(span.name))
    parts += (b"\x30", bytes((KINDS[span.kind],)))
    parts.append(_times(0x39, span.began * 1000, 0x41, max(span.began, span.ended) * 1000))
    for key, value in span.attributes.items():
        recurs = type(value) is int or len(value) <= RECURRING_CHARS_MAX  # type: ignore[arg-type]
        parts.append(_recurring(key, value) if recurs else _field(9, _attribute(key, value)))
    parts += [_field(13, _link(link)) for link in span.links]
    if span.error is not None:
        parts.append(_field(15, _field(2, _utf8(span.error)) + b"\x18" + bytes((ERROR,))))
    # The number of the field, 16, takes two bytes.
    parts += (b"\x85\x01", _flags(here.flags | HAS_IS_REMOTE | (IS_REMOTE if span.is_remote else 0)))
    return b"".join(parts)


def _link(link: Trace) -> bytes:
    state = _field(3, link.state.encode()) if link.state else b""
    ids = _field(1, bytes.fromhex(link.trace_id)) + _field(2, bytes.fromhex(link.span_id))
    return ids + state + b"\x35" + _flags(link.flags | HAS_IS_REMOTE | IS_REMOTE)


@lru_cache(maxsize=1_000)
def _name(name: str) -> bytes:
    return _field(5, _utf8(name))


@lru_cache(maxsize=4_000)
def _recurring(key: str, value: str | int) -> bytes:
    return _field(9, _attribute(key, value))


def _attribute(key: str, value: str | int) -> bytes:
    """A KeyValue. Whole numbers are not negative."""
    content = b"\x18" + _varint(value) if isinstance(value, int) else _field(1, _utf8(value))
    return _field(1, key.encode()) + _field(2, content)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | _TEXTS,)) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
