"""What one tenant does that overdoes it, as its own process: `python -m benchmarks.attacks '{"name": ...}'`.

An attack is a set-up, done by the figure before the clock runs, and requests that connections send over and over, each
the next as soon as the last was answered. All of it stays within the limits that the server sets.
"""

from __future__ import annotations

import gzip
import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

ANSWER_SECONDS = 120
READ_BYTES = 262_144
PIECE_BYTES = 65_536
EVENTS_MAX = 1_000
BATCH_BYTES = 15_000_000
INVALID_BYTES = 14_000_000
EVENT_BYTES = 900_000
OBJECTS = 100_000
SILENT_EVENTS = 1_000
FILTER_VALUES = 990
STREAM_CONNECTIONS = 100
HOOK_BYTES = 1_000_000
TOKEN = "a-token-of-the-attacker-itself"
"""The secret of its hooks."""


@dataclass(frozen=True)
class Attack:
    """One attack under way. `keys` are of the attacking tenant; connections go round them."""

    name: str
    port: int
    keys: list[str]
    seconds: float

    def argument(self) -> str:
        """This attack as the one argument of the process."""
        return json.dumps(asdict(self))


def post(path: str, body: bytes) -> bytes:
    """A POST with the place for the key left open."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer KEY\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def get(path: str) -> bytes:
    """A GET with the place for the key left open."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer KEY\r\n\r\n".encode()


def batch(events: int, text: bytes) -> bytes:
    """A batch of equal events."""
    event = b'{"type":"attack.event","data":' + text + b"}"
    return post("/v1/events:batch", b'{"events":[' + b",".join([event] * events) + b"]}")


def matching() -> bytes:
    """An event whose list holds next to nothing of what the filter of the attack wants, over and over, and then all."""
    numbers = b"1," * (EVENT_BYTES // 4) + b",".join(b"%d" % n for n in range(1_000, 1_000 + FILTER_VALUES))
    return post("/v1/events", b'{"type":"attack.event","data":{"a":[' + numbers + b"]}}")


def nested() -> bytes:
    """An event for the schema of the attack."""
    return post("/v1/events", b'{"type":"attack.schema","data":{"n":1}}')


def many_objects() -> bytes:
    """One event with as many objects as it may have."""
    return post("/v1/events", b'{"type":"attack.event","data":{"a":[' + b",".join([b'{"a":1}'] * OBJECTS) + b"]}}")


def invalid() -> bytes:
    """A batch that is JSON up to its last byte."""
    events = b'{"type":"attack.event","data":{"text":"' + b"x" * 10_000 + b'"}}'
    return post("/v1/events:batch", b'{"events":[' + b",".join([events] * (INVALID_BYTES // len(events))) + b"]]")


def unspaced() -> bytes:
    """As many brackets as a batch may have."""
    return post("/v1/events:batch", b'{"events":' + b"[" * INVALID_BYTES)


def hooked(kind: str, body: bytes, *, token: str = TOKEN, more: str = "") -> bytes:
    """A webhook to the attacker's hook."""
    head = f"POST /in/bad/hook HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: {kind}\r\n{more}"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def dense() -> bytes:
    """JSON of many small values, packed to next to nothing."""
    value = b'{"a":1,"b":"xyz","c":[1,2,3]},'
    return gzip.compress(b"[" + value * (HOOK_BYTES // len(value)) + b"0]")


def elements() -> bytes:
    """XML of many small elements."""
    element = b"<a b='c'>text</a>"
    return b"<r>" + element * min(49_000, HOOK_BYTES // len(element)) + b"</r>"


PACKED = "Content-Encoding: gzip\r\n"

REQUESTS: dict[str, tuple[int, Callable[[], bytes]]] = {
    "filter": (2, matching),
    "silent": (2, lambda: batch(SILENT_EVENTS, b'{"n":1}')),
    "late": (2, lambda: batch(SILENT_EVENTS, b'{"n":1}')),
    "names": (2, lambda: batch(10, b'{"n":1}')),
    "schema": (4, nested),
    "batches": (4, lambda: batch(EVENTS_MAX, b'{"text":"' + b"x" * (BATCH_BYTES // EVENTS_MAX) + b'"}')),
    "small-parts": (4, lambda: batch(EVENTS_MAX, b'{"a":[' + b",".join([b"{}"] * 5_000) + b"]}")),
    "objects": (8, many_objects),
    "invalid": (4, invalid),
    "brackets": (4, unspaced),
    "counts": (16, lambda: get("/v1/items/papers?q=word&count=true&limit=20")),
    "packed-hooks": (8, lambda: hooked("application/json", dense(), more=PACKED)),
    "xml-hooks": (8, lambda: hooked("application/xml", elements())),
    "forged-hooks": (8, lambda: hooked("application/json", dense(), token="guessed", more=PACKED)),
    "streams": (10 * STREAM_CONNECTIONS, lambda: get("/v1/events/stream")),
}
"""How many connections, and what each sends over and over."""


def repeat(attack: Attack, request: bytes, end: float, counts: list[int]) -> None:
    """One connection's work."""
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", attack.port), timeout=ANSWER_SECONDS) as sock:
                while time.monotonic() < end:
                    for start in range(0, len(request), PIECE_BYTES):
                        sock.sendall(request[start : start + PIECE_BYTES])
                    status = answer(sock)
                    counts[0] += 200 <= status < 300
                    counts[1] += not 200 <= status < 300
        except OSError:
            counts[2] += 1
            time.sleep(0.05)


def answer(sock: socket.socket) -> int:
    """Read one answer; its status. Raises OSError where there is none."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(READ_BYTES)
        if not piece:
            raise OSError("closed")
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), b":0")
    left = int(length.split(b":")[1]) - len(body)
    while left > 0:
        piece = sock.recv(min(READ_BYTES, left))
        if not piece:
            raise OSError("closed")
        left -= len(piece)
    return int(head.split(b" ", 2)[1])


def hold(attack: Attack, request: bytes, end: float) -> None:
    """Open connections that stay open: streams."""
    held = []
    for number in range(REQUESTS[attack.name][0]):
        sock = socket.create_connection(("127.0.0.1", attack.port), timeout=ANSWER_SECONDS)
        sock.sendall(request.replace(b"KEY", attack.keys[number % len(attack.keys)].encode()))
        held.append(sock)
    time.sleep(max(0.0, end - time.monotonic()))
    for sock in held:
        sock.close()


def main() -> None:
    """Carry out one attack, and print how many answers were 2xx, others, and none."""
    attack = Attack(**json.loads(sys.argv[1]))
    connections, build = REQUESTS[attack.name]
    request, counts, end = build(), [0, 0, 0], time.monotonic() + attack.seconds
    if attack.name == "streams":
        hold(attack, request, end)
    else:
        requests = [request.replace(b"KEY", attack.keys[n % len(attack.keys)].encode(), 1) for n in range(connections)]
        threads = [threading.Thread(target=repeat, args=(attack, each, end, counts), daemon=True) for each in requests]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.1, end + 1 - time.monotonic()))
    print(json.dumps({"taken": counts[0], "refused": counts[1], "broken": counts[2]}), flush=True)


if __name__ == "__main__":
    main()
