"""A collector of traces for the benchmark: a process that counts the spans that it gets, and keeps nothing.

A real one is another program, usually on another machine. This one shares two cores with the server that it measures,
so it only steps from span to span by their lengths. Start: `python -m benchmarks.collector`; it prints its port.
GET answers with how many spans of each `service.name` have arrived, as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from benchmarks.processes import ROOT, ask, end

SPAN = 0x12
"""The tag of a span among the spans of its scope."""
_counts: Counter[str] = Counter()


class CollectorProcess:
    """The collector, seen from the driver."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "benchmarks.collector"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"

    def counts(self) -> dict[str, int]:
        """How many spans of each service have arrived."""
        found: dict[str, int] = json.loads(ask(self.port, "GET", "/")[1])
        return found


@contextmanager
def collecting() -> Iterator[CollectorProcess]:
    """A collector that is ended with the block."""
    collector = CollectorProcess()
    try:
        yield collector
    finally:
        end(collector.process)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Spans."""
        name, count = counted(self.rfile.read(int(self.headers["content-length"])))
        _counts[name] += count
        self._answer(b"")

    def do_GET(self) -> None:
        """The counts."""
        self._answer(json.dumps(_counts).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged."""


def counted(body: bytes) -> tuple[str, int]:
    """The `service.name` of a request of Tidings, and how many spans it has."""
    [(_, at, end)] = _fields(body, 0, len(body))
    (_, first, last), (_, at, end) = _fields(body, at, end)
    name = body[first:last].partition(b"service.name\x12")[2]
    return name[3 : 3 + name[2]].decode(), _spans(body, at, end)


def _spans(body: bytes, at: int, end: int) -> int:
    """How many there are among the fields of a scope; those of 128 to 16,383 bytes, as they usually are, at once."""
    found = 0
    while at < end:
        if body[at] == SPAN and at + 2 < end and body[at + 1] >= 0x80 > body[at + 2]:
            at += 3 + (body[at + 1] & 0x7F) + (body[at + 2] << 7)
            found += 1
        else:
            tag, _, at = next(_fields(body, at, end))
            found += tag[0] == SPAN
    return found


def _fields(body: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The tag of each field of a message, where its content begins, and where it ends; all have a length."""
    while at < end:
        tag, at, length, shift = body[at : at + 1], at + 1, 0, 0
        while True:
            byte = body[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        yield tag, at, at + length
        at += length


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    server.serve_forever()
