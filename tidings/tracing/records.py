"""What the server keeps of a span: a record, from which the exporter makes the span; and the protocol between the two.

A record has only what the server alone knows, unconverted. The server's threads share one interpreter, so anything
that can be worked out later is worked out in the other process.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence

import msgspec

from tidings.model import outcome as outcomes
from tidings.model.moment import Micros
from tidings.rules.tracing.configured import Batching, Collector

Seconds = float
"""Seconds on the machine's steady clock (`perf_counter`), which is much faster to read than the time of day."""

STOP_SECONDS = 2.0
"""How long spans may still be sent after the server has stopped."""

NOT_FAILED = frozenset(each.name for each in (outcomes.OK, outcomes.SKIPPED, outcomes.SPLIT))
"""The outcomes that do not count as an error in the span of an attempt."""

_length = struct.Struct(">I")


class RequestRecord(msgspec.Struct, array_like=True, gc=False, tag_field="kind", tag="request"):
    """A request that was answered. Traces have the form that events keep (`Trace.stored`)."""

    trace: str
    parent: str | None
    """The id of the parent span, which belongs to another system; None if this span begins the trace."""
    link: str | None
    """Another system's trace, to which the span is only linked."""
    began: Seconds
    ended: Seconds
    """Both are Micros once `placed`."""
    method: str
    scheme: str
    version: str
    route: str
    """The pattern of the path; empty if there is none."""
    path: str | None
    """The path; None if it is the same as the pattern, or if only those who may use it may know it."""
    client: str
    host: str | None
    agent: str | None
    status: int
    """0: the caller went away."""
    request_id: str | None


class RoutingRecord(msgspec.Struct, array_like=True, gc=False, tag_field="kind", tag="routing"):
    """An event that was routed."""

    trace: str
    """The event's own trace, which contains the span of the routing."""
    began: Micros
    ended: Micros
    id: str
    tenant: str | None
    type: str
    deliveries: int


class CreationRecord(msgspec.Struct, array_like=True, gc=False, tag_field="kind", tag="creation"):
    """An event that no request made, and that begins a trace."""

    trace: str
    at: Micros
    id: str
    tenant: str | None
    type: str


class LinkAbout(msgspec.Struct, array_like=True, frozen=True):
    """What is known of a link's attempts before any is made."""

    id: str
    name: str
    """The name of a span that is not an HTTP request."""
    url_key: str
    url: str


class AttemptRecord(msgspec.Struct, array_like=True, gc=False, tag_field="kind", tag="attempt"):
    """An attempt, judged."""

    trace: str
    """The trace to which the attempt belongs, in the form that events keep: the event's own, or a new one that has no
    span yet (NO_SPAN)."""
    span: str
    """Its own id."""
    links: tuple[str, ...]
    """The traces to which the span is only linked."""
    began: Micros
    about: str
    """LinkAbout as JSON, which is encoded once for many attempts, and decoded once."""
    id: str
    """Of the first event."""
    tenant: str | None
    type: str
    events: int
    n: int
    """The number of earlier attempts."""
    method: str
    """The HTTP method; empty if the attempt is not an HTTP request."""
    url: str
    ended: Micros = 0
    outcome: str = ""
    status: int | None = None
    error: str | None = None
    """The reason why the attempt failed, as a sentence."""


Record = RequestRecord | RoutingRecord | CreationRecord | AttemptRecord


encode: Callable[[Record], bytes] = msgspec.msgpack.Encoder().encode
"""Encodes a record for the exporter. Raises UnicodeEncodeError if it contains half a surrogate pair."""


def plain(record: Record) -> Record:
    """A record in which half a surrogate pair is shown as a question mark."""
    texts = {name: getattr(record, name) for name in record.__struct_fields__}
    made = {name: text.encode("utf-8", "replace").decode() for name, text in texts.items() if type(text) is str}
    return msgspec.structs.replace(record, **made)


class RecordBatch(msgspec.Struct, array_like=True):
    """Records that are passed on together. `at` and `steady`: the present moment on both clocks."""

    at: Micros
    steady: Seconds
    records: list[Record]

    def placed(self) -> list[Record]:
        """The records, with the times of day."""
        for record in self.records:
            if type(record) is RequestRecord:
                record.began = self.at - (self.steady - record.began) * 1e6
                record.ended = self.at - (self.steady - record.ended) * 1e6
        return self.records


class Orders(msgspec.Struct):
    """The first message to the exporter: where spans are sent, how, and as whom."""

    collector: Collector
    batching: Batching
    resource: dict[str, str]
    name: str
    version: str


class Report(msgspec.Struct, array_like=True):
    """What the exporter has done since it began, and its state."""

    sent: int = 0
    failed: int = 0
    """The number of spans that the collector refused for good."""
    dropped: int = 0
    waiting: int = 0
    is_full: bool = False
    wrong: str | None = None
    """Why the last request failed; a part of a sentence."""


def batch_of(at: Micros, steady: Seconds, records: Sequence[bytes]) -> bytes:
    """A RecordBatch of records that are encoded already, as MessagePack."""
    head = msgspec.msgpack.encode((at, steady, ()))[:-1]
    # An array with a length of four bytes.
    return b"".join((head, b"\xdd", len(records).to_bytes(4, "big"), *records))


def framed(content: bytes) -> bytes:
    """One message between the two, with its length first."""
    return _length.pack(len(content)) + content


class Frames:
    """Messages, put together from what was read."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that are complete now."""
        rest = self._rest
        rest += data
        while len(rest) >= _length.size:
            (length,) = _length.unpack_from(rest)
            end = _length.size + length
            if len(rest) < end:
                return
            content = bytes(rest[_length.size : end])
            del rest[:end]
            yield content
