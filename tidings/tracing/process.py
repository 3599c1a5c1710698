"""The exporter's process, from the server's side: start it, give it records, read its reports, and end it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

import msgspec

from tidings.model.moment import Micros
from tidings.tracing.records import Frames, Orders, Report, Seconds, batch_of, framed

READ_BYTES = 65_536
PART_RECORDS = 64
"""How many records are sent as one message: as many as fit into the processor's cache while spans are made of them."""
MODULE = "tidings.tracing.exporter"


class Exporter:
    """One process. Belongs to the thread that began it."""

    def __init__(self, orders: Orders) -> None:
        """Raises OSError if it cannot be started."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                # It runs the same code as this process, wherever that was found. It needs none of our secrets.
                environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDINGS_")}
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", MODULE],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    env=environment | {"PYTHONPATH": os.pathsep.join(sys.path)},
                )
            except OSError:
                ours.close()
                raise
        ours.setblocking(False)
        self._socket, self._frames = ours, Frames()
        self._decode = msgspec.msgpack.Decoder(Report).decode
        self._rest = memoryview(framed(msgspec.msgpack.encode(orders)))
        """The bytes that were given to the process, and that it has not read yet."""
        self.given = 0
        """The number of records that were given to the process."""
        self.report = Report()
        """Its last report."""

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    def fileno(self) -> int:
        """The file descriptor to wait on until the process reports something, or has ended."""
        return self._socket.fileno()

    def takes(self) -> bool:
        """Whether it has taken everything that it was given. Raises ConnectionError if it has ended."""
        while self._rest:
            try:
                self._rest = self._rest[self._socket.send(self._rest) :]
            except BlockingIOError:
                return False
        return True

    def give(self, at: Micros, steady: Seconds, records: Sequence[bytes]) -> None:
        """Give it records, if it `takes`, at this moment by both clocks. Raises ConnectionError if it has ended."""
        parts = [records[n : n + PART_RECORDS] for n in range(0, len(records), PART_RECORDS)]
        self._rest = memoryview(b"".join([framed(batch_of(at, steady, part)) for part in parts]))
        self.given += len(records)
        self.takes()

    def hear(self) -> bool:
        """Read its reports; returns whether there was a new one. Raises ConnectionError if it has ended."""
        is_news = False
        while True:
            try:
                data = self._socket.recv(READ_BYTES)
            except BlockingIOError:
                return is_news
            if not data:
                raise ConnectionResetError
            for content in self._frames.feed(data):
                self.report, is_news = self._decode(content), True

    def end(self, seconds: float) -> int:
        """Let it send what it has, and end it after this time; returns its exit status, negative for a signal."""
        until = time.monotonic() + seconds
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            while True:
                self._socket.settimeout(max(0.001, until - time.monotonic()))
                if not (data := self._socket.recv(READ_BYTES)):
                    break
                for content in self._frames.feed(data):
                    self.report = self._decode(content)
        self._socket.close()
        try:
            return self._process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
