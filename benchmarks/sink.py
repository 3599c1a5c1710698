"""The receiver of the benchmark: a process that counts webhooks and answers as their path asks.

`/ok/NAME` answers 200 at once, `/error/NAME` answers 500, `/never/NAME` does not answer, `/slow/MS/NAME` answers 200
after MS milliseconds. It is one thread on epoll, because it shares two cores with the server it measures.
What it counted is asked for under `/-/` (see `control`). Start: `python -m benchmarks.sink PORT`.
"""

from __future__ import annotations

import heapq
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable

from benchmarks.mark import MARK, MARK_BYTES, NUMBER, RUN, SENT_NS
from benchmarks.sink_control import control
from benchmarks.tally import Tally

READ_BYTES = 262_144
VERIFY_ONE_OF = 1_000
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"


class Sink:
    """One listening socket, its connections, and a tally for each path."""

    def __init__(self, port: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self.listener.setblocking(False)
        self.port: int = self.listener.getsockname()[1]
        self.epoll = select.epoll()
        self.epoll.register(self.listener, select.EPOLLIN)
        self.connections: dict[int, socket.socket] = {}
        self.rests: dict[int, bytes] = {}
        self.late: list[tuple[int, int, int, socket.socket]] = []
        self.tallies: dict[bytes, Tally] = {}
        self.secrets: dict[bytes, str] = {}
        self.run_number = 0
        self.requests = 0
        self.strays = 0
        self.verified = 0
        self.unverified = 0
        self.verify: Callable[[str, bytes, bytes], bool] | None = None

    def serve(self) -> None:
        """Answer until the process is ended."""
        while True:
            wait = -1.0
            if self.late:
                wait = max(0.0, (self.late[0][0] - time.monotonic_ns()) / 1e9)
            for descriptor, _ in self.epoll.poll(wait):
                connection = self.connections.get(descriptor)
                if connection is None:
                    self.accept()
                else:
                    self.read(descriptor, connection)
            if self.late:
                self.answer_late()

    def accept(self) -> None:
        """Take every waiting connection."""
        while True:
            try:
                connection, _ = self.listener.accept()
            except BlockingIOError:
                return
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections[connection.fileno()] = connection
            self.epoll.register(connection, select.EPOLLIN)

    def read(self, descriptor: int, connection: socket.socket) -> None:
        """Read what came, and answer each whole request in it."""
        try:
            data = connection.recv(READ_BYTES)
        except OSError:
            data = b""
        if not data:
            self.close(descriptor, connection)
            return
        if descriptor in self.rests:
            data = self.rests.pop(descriptor) + data
        while data:
            head_end = data.find(b"\r\n\r\n")
            length = content_length(data, head_end) if head_end >= 0 else 0
            end = head_end + 4 + length
            if head_end < 0 or len(data) < end:
                self.rests[descriptor] = data
                return
            request, data = (data, b"") if len(data) == end else (data[:end], data[end:])
            answer = self.take(descriptor, request, head_end)
            if answer and not self.send(descriptor, connection, answer):
                return

    def take(self, descriptor: int, request: bytes, head_end: int) -> bytes:
        """Count one request; the answer to send now, or nothing when it is to wait."""
        path = request[request.find(b" ") + 1 : request.find(b" HTTP/1.", 0, head_end)]
        tally = self.tallies.get(path)
        if tally is None:
            if path.startswith(b"/-/"):
                return control(self, path, request[head_end + 4 :])
            tally = self.tallies[path] = Tally(path)
        now = time.monotonic_ns()
        self.requests += 1
        tally.requests += 1
        at = request.find(MARK, head_end)
        while at >= 0:
            mark = request[at : at + MARK_BYTES]
            if int(mark[RUN]) == self.run_number:
                tally.add(int(mark[NUMBER]), int(mark[SENT_NS]), now)
            else:
                self.strays += 1
            at = request.find(MARK, at + MARK_BYTES)
        if self.requests % VERIFY_ONE_OF == 1 and path in self.secrets:
            self.check_signature(self.secrets[path], request, head_end)
        if tally.mode == "ok":
            return OK
        if tally.mode == "slow":
            late = (now + tally.delay_ns, self.requests, descriptor, self.connections[descriptor])
            heapq.heappush(self.late, late)
        return ERROR if tally.mode == "error" else b""

    def check_signature(self, secret: str, request: bytes, head_end: int) -> None:
        """Verify one webhook with the official library, loaded only when there is something to verify."""
        if self.verify is None:
            from benchmarks.signature import verify

            self.verify = verify
        if self.verify(secret, request[:head_end], request[head_end + 4 :]):
            self.verified += 1
        else:
            self.unverified += 1

    def answer_late(self) -> None:
        """Send the slow answers that are due."""
        now = time.monotonic_ns()
        while self.late and self.late[0][0] <= now:
            _, _, descriptor, connection = heapq.heappop(self.late)
            if self.connections.get(descriptor) is connection:
                self.send(descriptor, connection, OK)

    def send(self, descriptor: int, connection: socket.socket, answer: bytes) -> bool:
        """Write an answer; False when the connection is gone."""
        try:
            if len(answer) > READ_BYTES:
                connection.setblocking(True)
                connection.sendall(answer)
                connection.setblocking(False)
            else:
                connection.send(answer)
        except OSError:
            self.close(descriptor, connection)
            return False
        return True

    def close(self, descriptor: int, connection: socket.socket) -> None:
        """Drop a connection."""
        self.rests.pop(descriptor, None)
        del self.connections[descriptor]
        connection.close()

    def cpu_seconds(self) -> float:
        """Processor time that this process has used."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime


def content_length(data: bytes, head_end: int) -> int:
    """The length of the body that the head announces; 0 when it announces none."""
    at = data.find(b"\r\nContent-Length: ", 0, head_end)
    if at < 0:
        at = data[:head_end].lower().find(b"\r\ncontent-length: ")
        if at < 0:
            return 0
    return int(data[at + 18 : data.find(b"\r", at + 18)])


def main() -> None:
    """Serve on the port given, 0 for any; the port is printed as the first line."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sink = Sink(int(sys.argv[1]))
    print(sink.port, flush=True)
    sink.serve()


if __name__ == "__main__":
    main()
