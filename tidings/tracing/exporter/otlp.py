"""Spans as OTLP: protobuf messages, written by hand (opentelemetry/proto/trace/v1/trace.proto).

The fields of a message may be in any order. So what spans have in common is encoded once and kept (`common`), and a
span is that, its ids, its times, and what it alone has. This is done where the span ends: it takes less time than
keeping its parts for later, and the thread that sends only puts spans one after the other.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal

from tidings.model.moment import Micros
from tidings.rules.tracing.context import Trace

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Attributes = dict[str, str | int]

KINDS: dict[Kind, int] = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
ERROR = 2
HAS_IS_REMOTE, IS_REMOTE = 0x100, 0x200
"""Flags of a span or a link: whether its parent, or what it links to, is another system's."""

_TEXTS = 2  # the wire type of texts and messages, whose length comes first
# Times, and the flags, the number of whose field, 16, takes two bytes; the trace's id, the span's, and its parent's.
_first = struct.Struct("<BQBQ2sI2s16s2s8s").pack
_part = struct.Struct("<BQBQ2sI2s16s2s8s2s8s").pack
_flags = struct.Struct("<I").pack
_bytes = bytes.fromhex


class Encoder:
    """Encodes the request that sends spans, for one resource and one scope."""

    def __init__(self, resource: Mapping[str, str], name: str, version: str) -> None:
        self._resource = _field(1, b"".join([_field(1, _attribute(*each)) for each in resource.items()]))
        self._scope = _field(1, _field(1, name.encode()) + _field(2, version.encode()))

    def encode(self, spans: Sequence[bytes]) -> bytes:
        """An ExportTraceServiceRequest."""
        return _field(1, self._resource + _field(2, self._scope + b"".join(spans)))


def common(name: str, kind: Kind, attributes: Mapping[str, str | int]) -> bytes:
    """What many spans have in common."""
    return b"".join(
        [_field(5, _utf8(name)), b"\x30", bytes((KINDS[kind],))]
        + [_field(9, _attribute(key, value)) for key, value in attributes.items()]
    )


def attribute(key: str, text: str) -> bytes:
    """An attribute of one span alone, such as an id."""
    content = text.encode("utf-8", "replace")
    return _before(key, len(content)) + content


def span(
    shared: bytes,
    own: bytes,
    here: Trace,
    parent: str | None,
    began: Micros,
    ended: Micros,
    *,
    is_remote: bool = False,
    links: Sequence[Trace] = (),
    error: str | None = None,
) -> bytes:
    """One span that has ended, as a request contains it.

    `shared` and `own`: from `common` and `attribute`. `parent`: the id of the span that it is part of, which is another
    system's if `is_remote`; None: it begins the trace. `error`: why it failed, in a sentence or a word.
    """
    flags = here.flags | HAS_IS_REMOTE | IS_REMOTE if is_remote else here.flags | HAS_IS_REMOTE
    times = (0x39, began * 1000, 0x41, (ended if ended > began else began) * 1000, b"\x85\x01", flags)
    ids = (b"\x0a\x10", _bytes(here.trace_id), b"\x12\x08", _bytes(here.span_id))
    if parent is None:
        content = _first(*times, *ids) + own + shared
    else:
        content = _part(*times, *ids, b"\x22\x08", _bytes(parent)) + own + shared
    if here.state:
        content += _field(3, here.state.encode())
    if links:
        content += b"".join([_field(13, _link(link)) for link in links])
    if error is not None:
        content += _field(15, _field(2, _utf8(error)) + b"\x18" + bytes((ERROR,)))
    return _head(len(content)) + content


def _link(link: Trace) -> bytes:
    state = _field(3, link.state.encode()) if link.state else b""
    ids = _field(1, bytes.fromhex(link.trace_id)) + _field(2, bytes.fromhex(link.span_id))
    return ids + state + b"\x35" + _flags(link.flags | HAS_IS_REMOTE | IS_REMOTE)


@lru_cache(maxsize=1_000)
def _head(length: int) -> bytes:
    """Before a span of this length."""
    return bytes((2 << 3 | _TEXTS,)) + _varint(length)


@lru_cache(maxsize=1_000)
def _before(key: str, length: int) -> bytes:
    """Before the text of an attribute of this length."""
    text = b"\x0a" + _varint(length)
    value = _field(1, key.encode()) + b"\x12" + _varint(len(text) + length) + text
    return bytes((9 << 3 | _TEXTS,)) + _varint(len(value) + length) + value


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
