"""Run by the server, as `python -m tidings.tracing.exporter`: records arrive on its standard input, which is a socket.

The server alone ends it, by closing that socket or by ending itself, however that happens: then what is there is sent,
as far as that is possible within STOP_SECONDS. It ignores signals that a service manager or a terminal sends to every
process of the server.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys

import msgspec

from tidings.net.collector import CollectorConnection
from tidings.tracing.exporter.making import made
from tidings.tracing.exporter.otlp import Encoder
from tidings.tracing.exporter.span_queue import SpanQueue
from tidings.tracing.records import STOP_SECONDS, Frames, Orders, RecordBatch, Report, framed

READ_BYTES = 1 << 18
NICER_BY = 5
"""The exporter's niceness above the server's: it has a lower priority, because spans can wait."""


def main() -> None:
    """Send spans until the server has no more."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        # A sandbox may forbid it. A batch process does not push another one aside when it wakes.
        os.nice(NICER_BY)
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    with socket.socket(fileno=sys.stdin.fileno()) as server:
        _work(server)
    # Threads may still wait for a collector that does not answer.
    os._exit(0)


def _work(server: socket.socket) -> None:
    frames, decode = Frames(), msgspec.msgpack.Decoder(RecordBatch).decode
    queue: SpanQueue | None = None
    while data := _read(server):
        for content in frames.feed(data):
            if queue is None:
                queue = _begun(msgspec.msgpack.decode(content, type=Orders), server)
            else:
                # While they are in the processor's cache.
                queue.add([made(record) for record in decode(content).placed()])
    if queue is not None:
        # From now on, signals from a service manager that ends everything apply.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        queue.stop(STOP_SECONDS)


def _read(server: socket.socket) -> bytes:
    try:
        return server.recv(READ_BYTES)
    except OSError:
        return b""


def _begun(orders: Orders, server: socket.socket) -> SpanQueue:
    connection = CollectorConnection(orders.collector)
    encoder, encode = Encoder(orders.resource, orders.name, orders.version), msgspec.msgpack.Encoder().encode

    def tell(report: Report) -> None:
        with contextlib.suppress(OSError):
            server.sendall(framed(encode(report)))

    queue = SpanQueue(lambda batch: connection.post(encoder.encode(batch)), tell, orders.batching)
    queue.start()
    return queue


if __name__ == "__main__":
    main()
