"""The load of the benchmark: a process that publishes marked events over raw HTTP/1.1 on epoll.

Closed loop: each connection sends the next request when the last is answered. With a rate: requests have a planned
time, and the time inside the event is the planned one, so that a stalled server cannot hide its delay
(no coordinated omission). Start: `python -m benchmarks.generator '{"port": ..., ...}'` with the fields of `Load`;
SIGTERM ends the sending early. Prints one JSON object with the result of it.
"""

from __future__ import annotations

import hmac
import json
import resource
import select
import signal
import socket
import sys
import time
from array import array
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.mark import batch_template, event_template
from benchmarks.numbers import percentiles

READ_BYTES = 65_536
LAST_ANSWERS_SECONDS = 15
RECONNECT_SECONDS = 0.02
TICK_SECONDS = 0.002  # waking a sleeping processor costs up to 50 us; fast rates are sent in small bursts instead
FAST_RATE = 1_000  # requests a second
SECOND_NS = 1_000_000_000
SUCCESS = (b"202", b"201", b"200")
NO_SIGNATURE = b"0" * 64
SPREAD = 7_919  # a prime: numbers that follow one another lie far apart


@dataclass(frozen=True)
class Load:
    """What to send. `rate` is in events a second, 0 for as fast as answers come; `count` 0 is without limit.

    `acknowledged_file` gets the moment (ns, eight bytes, native order) of each number's answer, 0 for none.
    """

    port: int
    path: str
    run: int
    seconds: float
    authorization: str = ""
    connections: int = 64
    rate: float = 0.0
    count: int = 0
    batch: int = 1
    first: int = 0
    event_type: str = "bench.order"
    reconnect: bool = False
    acknowledged_file: str = ""
    request: str = ""
    """A whole request of another kind, with two open places (`%d`) for the number and the time; of one event each."""
    hook_secret: str = ""
    """With `request`: each is signed with this secret as GitHub signs, where it has a signature of zeros."""
    among: int = 0
    """With `request`: its numbers are spread over 0 to this, for reading what is stored; 0: they count up."""

    def argument(self) -> str:
        """This load as the one argument of the process."""
        return json.dumps(asdict(self))

    def template(self) -> bytes:
        """One whole request with two open places for each event."""
        if self.request:
            return self.request.replace("AUTHORIZATION", f"Authorization: Bearer {self.authorization}").encode()
        if self.batch > 1:
            body, places = batch_template(self.event_type, self.run, self.batch), (0, 0) * self.batch
        else:
            body, places = event_template(self.event_type, self.run), (0, 0)
        head = f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Type: application/json\r\n"
        if self.authorization:
            head += f"Authorization: Bearer {self.authorization}\r\n"
        return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body % places) + body


class Generator:
    """The connections, what each waits for, and what was answered."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.template = load.template()
        self.mac = hmac.new(load.hook_secret.encode(), digestmod="sha256") if load.hook_secret else None
        self.epoll = select.epoll()
        self.connections: dict[int, socket.socket] = {}
        self.rests: dict[int, bytes] = {}
        self.waiting: dict[int, tuple[int, int]] = {}
        self.free: list[int] = []
        self.next_number = load.first
        self.accepted = 0
        self.refused: dict[str, int] = defaultdict(int)
        self.broken = 0
        self.seconds: dict[int, int] = defaultdict(int)
        self.answer_ns = array("q")
        self.acknowledged = array("q")
        self.stopped = False
        self.started_ns = self.ended_ns = self.next_ns = 0

    def run(self) -> None:
        """Send until the time or the number is reached, then wait for the last answers."""
        for _ in range(self.load.connections):
            self.connect()
        self.started_ns = self.next_ns = time.monotonic_ns()
        self.ended_ns = end = self.started_ns + int(self.load.seconds * SECOND_NS)
        while not self.stopped and not self.all_sent() and time.monotonic_ns() < end:
            self.send_due()
            self.read_ready(self.pause())
            if len(self.connections) < self.load.connections:
                self.connect_again()
        self.stopped = True
        self.ended_ns = time.monotonic_ns()
        last = self.ended_ns + LAST_ANSWERS_SECONDS * SECOND_NS
        while self.waiting and time.monotonic_ns() < last:
            self.read_ready(0.05)

    def all_sent(self) -> bool:
        """True when the number asked for has been sent."""
        return 0 < self.load.count <= self.next_number - self.load.first

    def send_due(self) -> None:
        """Give every free connection a request that is due."""
        if not self.load.rate:
            while self.free and not self.all_sent():
                self.send(self.free.pop(), time.monotonic_ns())
            return
        step = int(SECOND_NS * self.load.batch / self.load.rate)
        now = time.monotonic_ns()
        while self.free and self.next_ns <= now and not self.all_sent():
            self.send(self.free.pop(), self.next_ns)
            self.next_ns += step

    def send(self, descriptor: int, intended_ns: int) -> None:
        """Write one request. A request of a few hundred kilobytes may need the slow way."""
        size, number = self.load.batch, self.next_number
        if size == 1:
            at = number * SPREAD % self.load.among if self.load.among else number
            request = self.signed(self.template % (at, intended_ns))
        else:
            request = self.template % tuple(v for n in range(number, number + size) for v in (n, intended_ns))
        self.next_number = number + size
        self.waiting[descriptor] = (number, intended_ns)
        connection = self.connections[descriptor]
        try:
            sent = connection.send(request)
            if sent < len(request):
                connection.setblocking(True)
                connection.sendall(request[sent:])
                connection.setblocking(False)
        except OSError:
            self.lose(descriptor)

    def signed(self, request: bytes) -> bytes:
        """The request with the signature of its body, if it is a webhook of GitHub's."""
        if self.mac is None:
            return request
        mac = self.mac.copy()
        mac.update(request[request.index(b"\r\n\r\n") + 4 :])
        return request.replace(NO_SIGNATURE, mac.hexdigest().encode(), 1)

    def pause(self) -> float:
        """Seconds until the next request is due; short when only answers can bring work."""
        if self.load.rate and self.free:
            pause = max(0.0, (self.next_ns - time.monotonic_ns()) / SECOND_NS)
            return pause if self.load.rate / self.load.batch <= FAST_RATE else max(pause, TICK_SECONDS)
        return 0.05

    def read_ready(self, pause: float) -> None:
        """Read the answers that have come. `select` waits in microseconds where epoll waits in milliseconds."""
        if self.load.rate and not self.stopped:
            if self.load.rate / self.load.batch <= FAST_RATE:
                select.select([self.epoll], [], [], min(pause, 0.05))
            else:
                time.sleep(min(pause, TICK_SECONDS))
            pause = 0
        for descriptor, _ in self.epoll.poll(pause):
            self.read(descriptor)

    def read(self, descriptor: int) -> None:
        """Read one connection; when its answer is whole, count it and use the connection again."""
        try:
            data = self.connections[descriptor].recv(READ_BYTES)
        except OSError:
            data = b""
        if not data:
            self.lose(descriptor)
            return
        if descriptor in self.rests:
            data = self.rests.pop(descriptor) + data
        head_end = data.find(b"\r\n\r\n")
        if head_end < 0 or len(data) < head_end + 4 + content_length(data, head_end):
            self.rests[descriptor] = data
            return
        self.count(descriptor, data)
        if self.load.rate or self.stopped or self.all_sent():
            self.free.append(descriptor)
        else:
            self.send(descriptor, time.monotonic_ns())

    def count(self, descriptor: int, answer: bytes) -> None:
        """Take note of one answer."""
        number, intended_ns = self.waiting.pop(descriptor)
        status, size, now = answer[9:12], self.load.batch, time.monotonic_ns()
        if status in SUCCESS:
            self.accepted += size
            self.seconds[now // SECOND_NS] += size
            self.answer_ns.append(now - intended_ns)
            if self.load.acknowledged_file:
                start = number - self.load.first
                if start + size > len(self.acknowledged):
                    self.acknowledged.frombytes(bytes(8 * READ_BYTES))
                self.acknowledged[start : start + size] = array("q", [now] * size)
        else:
            self.refused[answer[9:].split(b"\r\n", 1)[0].decode("latin-1")] += 1

    def connect(self) -> None:
        """Open one connection. Raises OSError when nobody listens."""
        connection = socket.create_connection(("127.0.0.1", self.load.port), timeout=5)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        self.connections[connection.fileno()] = connection
        self.epoll.register(connection, select.EPOLLIN)
        self.free.append(connection.fileno())

    def connect_again(self) -> None:
        """Bring the number of connections back up; a server that is down is tried again soon."""
        try:
            while len(self.connections) < self.load.connections:
                self.connect()
        except OSError:
            time.sleep(RECONNECT_SECONDS)

    def lose(self, descriptor: int) -> None:
        """Drop a broken connection; what it waited for is neither accepted nor refused."""
        if self.waiting.pop(descriptor, None) is not None:
            self.broken += 1
            if not self.load.reconnect:
                self.refused["connection lost"] += 1
        self.rests.pop(descriptor, None)
        if descriptor in self.free:
            self.free.remove(descriptor)
        self.connections.pop(descriptor).close()

    def report(self) -> dict[str, object]:
        """The result of the load; times are of the monotonic clock."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        planned = 0
        if self.load.rate:
            planned = int((self.ended_ns - self.started_ns) / SECOND_NS * self.load.rate)
        sent = self.next_number - self.load.first
        return {
            "sent": sent,
            "accepted": self.accepted,
            "refused": dict(self.refused),
            "unanswered": self.broken + len(self.waiting),
            "behind": max(0, planned - sent) if not self.load.count else 0,
            "started_ns": self.started_ns,
            "ended_ns": self.ended_ns,
            "seconds": dict(self.seconds),
            "answer_ms": percentiles(self.answer_ns, 1e-6),
            "cpu_seconds": used.ru_utime + used.ru_stime,
        }


def content_length(data: bytes, head_end: int) -> int:
    """The length of the body that the head of an answer announces; 0 when it announces none."""
    head = data[:head_end].lower()
    at = head.find(b"\r\ncontent-length: ")
    return int(head[at + 18 :].split(b"\r", 1)[0]) if at >= 0 else 0


def main() -> None:
    """Run the load given as the one argument and print the report."""
    generator = Generator(Load(**json.loads(sys.argv[1])))

    def stop(*_: object) -> None:
        generator.stopped = True

    signal.signal(signal.SIGTERM, stop)
    generator.run()
    if generator.load.acknowledged_file:
        Path(generator.load.acknowledged_file).write_bytes(generator.acknowledged.tobytes())
    print(json.dumps(generator.report()), flush=True)


if __name__ == "__main__":
    main()
