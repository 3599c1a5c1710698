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
from tidings.rules.tracing.context import FLAG, KNOWN_FLAGS, PARENT_CHARS, TRACE_ID, Trace, of_stored

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Attributes = dict[str, str | int]

KINDS: dict[Kind, int] = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
ERROR = 2
HAS_IS_REMOTE, IS_REMOTE = 0x100, 0x200
"""Flags of a span or a link, which say whether its parent, or the span that it links to, belongs to another system."""

_TEXTS = 2  # the wire type of texts and messages, whose length comes first
# Times, and the flags, the number of whose field, 16, takes two bytes; the trace's id, and the span's. A tag and a
# length are one number here.
_first = struct.Struct("<BQBQHIH16sH8s").pack
_parent = b"\x22\x08"
_FLAGS = {f"{flags:x}": HAS_IS_REMOTE | flags for flags in range(KNOWN_FLAGS + 1)}
_flags = struct.Struct("<I").pack
_bytes = bytes.fromhex


class Encoder:
    """Encodes the request that sends spans, for one resource and one scope."""

    def __init__(self, resource: Mapping[str, str], name: str, version: str) -> None:
        self._resource = _field(1, b"".join([_field(1, _attribute(*each)) for each in resource.items()]))
        self._scope = _field(1, _field(1, name.encode()) + _field(2, version.encode()))

    def encode(self, spans: Sequence[bytes]) -> bytes:
        """An ExportTraceServiceRequest."""
        length = sum(map(len, spans))
        # Spans are copied once only: they are a few hundred kilobytes.
        scope = b"\x12" + _varint(len(self._scope) + length) + self._scope
        head = b"\x0a" + _varint(len(self._resource) + len(scope) + length) + self._resource + scope
        return b"".join((head, *spans))


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
    trace: str,
    here: bytes,
    parent: str | None,
    began: Micros,
    ended: Micros,
    *,
    is_remote: bool = False,
    links: Sequence[str] = (),
    error: str | None = None,
) -> bytes:
    """One span that has ended, as a request contains it.

    `shared` and `own`: from `common` and `attribute`. `trace`: as an event keeps it; the span in it does not matter.
    `here`: the span's id. `parent`: the id of the span that it is part of, which is another system's if `is_remote`;
    None: it begins the trace. `links`: as events keep them. `error`: why it failed, in a sentence or a word.
    """
    first = _first(
        0x39,
        began * 1000,
        0x41,
        (ended if ended > began else began) * 1000,
        0x185,
        _FLAGS[trace[FLAG]] | IS_REMOTE if is_remote else _FLAGS[trace[FLAG]],
        0x100A,
        _bytes(trace[TRACE_ID]),
        0x812,
        here,
    )
    if parent is not None:
        own += _parent + _bytes(parent)
    if len(trace) > PARENT_CHARS:
        own += _field(3, trace[PARENT_CHARS + 1 :].encode())
    if links:
        own += b"".join([_field(13, _link(of_stored(link))) for link in links])
    if error is not None:
        own += _field(15, _field(2, _utf8(error)) + b"\x18" + bytes((ERROR,)))
    return b"".join((_head(len(first) + len(own) + len(shared)), first, own, shared))


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
