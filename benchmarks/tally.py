"""What the sink remembers of one path: arrivals per second, the first arrival of each number, and latencies."""

from __future__ import annotations

from array import array
from collections import defaultdict

GROW = 65_536
SECOND_NS = 1_000_000_000
COUNT_MAX = 255


class Tally:
    """The counts of one path. `times[n]` says how often number n came, `first[n]` when it first came (ns)."""

    def __init__(self, path: bytes) -> None:
        parts = path.decode("latin-1").split("/")
        self.mode = parts[1] if len(parts) > 1 and parts[1] in ("ok", "error", "never", "slow") else "ok"
        self.delay_ns = int(parts[2]) * 1_000_000 if self.mode == "slow" else 0
        self.clear()

    def clear(self) -> None:
        """Forget everything that was counted."""
        self.requests = 0
        self.arrived = 0
        self.distinct = 0
        self.times = bytearray()
        self.first = array("q")
        self.latencies = array("q")
        self.seconds: dict[int, int] = defaultdict(int)

    def add(self, number: int, sent_ns: int, now_ns: int) -> None:
        """Count the arrival of one number. A latency is kept for its first arrival only."""
        self.arrived += 1
        if number >= len(self.times):
            more = number + GROW - len(self.times)
            self.times.extend(bytes(more))
            self.first.frombytes(bytes(8 * more))
        before = self.times[number]
        if before < COUNT_MAX:
            self.times[number] = before + 1
        if before == 0:
            self.distinct += 1
            self.first[number] = now_ns
            self.latencies.append(now_ns - sent_ns)
            self.seconds[now_ns // SECOND_NS] += 1
