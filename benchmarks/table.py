"""The figures that are promised, and one measured row of the table."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Promise:
    """What a figure must show: at least `floor`, better `aim`. `more` says if more is better, else less is."""

    title: str
    unit: str
    floor: float
    aim: float
    more: bool


PROMISES = {
    "flow": Promise("accepted, signed and delivered, held, SQLite", "events/s", 3000, 5000, True),
    "flow-postgres": Promise("the same, PostgreSQL 18", "events/s", 2000, 4000, True),
    "batch": Promise("the same in batches of 100, SQLite", "events/s", 6000, 10_000, True),
    "fanout": Promise("one event to 100 endpoints", "deliveries/s", 6000, 12_000, True),
    "item-create": Promise("items created, each with its event, SQLite", "items/s", 2500, 4500, True),
    "item-get": Promise("items read by id", "items/s", 4000, 7000, True),
    "item-list": Promise("lists of 20 of 100,000 by an indexed filter", "lists/s", 2000, 4000, True),
    "item-last-page": Promise("time of the last page of 1,000,000 by cursor, against the first", "%", 120, 105, False),
    "import": Promise("import of 100,000 rows, each with its event, SQLite", "s", 10, 4, False),
    "latency-p50": Promise("publish call to arrival at 200/s, p50", "ms", 10, 5, False),
    "latency-p99": Promise("publish call to arrival at 200/s, p99", "ms", 50, 20, False),
    "stored": Promise("throughput with 1,000,000 events stored, against empty", "%", 90, 100, True),
    "neighbour": Promise("p99 of 20 endpoints beside one that never answers, against without", "%", 120, 105, False),
    "poison": Promise("publish to arrival beside 10 to 10,000 refused events, median", "s", 5, 1, False),
    "attacks": Promise(
        "a quiet tenant's publish to arrival beside the worst of fifteen attacks, p99", "ms", 1000, 100, False
    ),
    "attacks-stop": Promise("longest wait of its writes for their answer beside any of them", "ms", 300, 50, False),
    "dead": Promise("others' throughput beside a dead endpoint with 1,000,000 waiting", "%", 95, 100, True),
    "dead-memory": Promise("extra memory for those 1,000,000 waiting", "MB", 20, 20, False),
    "memory-idle": Promise("memory idle", "MB", 90, 60, False),
    "memory-load": Promise("memory under the first load, at most", "MB", 200, 120, False),
    "start": Promise("start to first answer", "s", 1.5, 0.7, False),
    "command-help": Promise("tidings --help, processor time", "s", 0.25, 0.12, False),
    "verify": Promise("one generic verification of a webhook of 5 KB", "us", 60, 25, False),
    "hooks": Promise("webhooks of 5 KB verified, stored and answered, SQLite", "hooks/s", 2500, 4500, True),
    "hooks-p99": Promise("their answer at 200/s, p99", "ms", 25, 10, False),
    "hooks-flood-p99": Promise("the same beside an impostor's flood of 64 connections, p99", "ms", 100, 25, False),
    "push": Promise("calls made from waiting events, one connection without a rate", "calls/s", 1500, 3000, True),
    "idle-links": Promise("webhooks' throughput beside 1,000 idle links, against without", "%", 97, 100, True),
    "tracing-off": Promise("throughput with traces turned off, against none", "%", 99, 100, True),
    "tracing": Promise("the same with a tenth of the traces sampled", "%", 92, 98, True),
    "tracing-all": Promise("the same with every trace sampled", "%", 85, 92, True),
    "console-page": Promise("slowest page of the console over 10,000,000 events, p95, SQLite", "ms", 150, 50, False),
    "console-page-postgres": Promise("the same, PostgreSQL 18", "ms", 150, 50, False),
    "portal-page": Promise("slowest page of the portal over them, p95, SQLite", "ms", 150, 50, False),
    "portal-page-postgres": Promise("the same, PostgreSQL 18", "ms", 150, 50, False),
    "console-bytes": Promise("bytes of a first visit to the console", "KB", 150, 80, False),
    "console-watchers": Promise("throughput while ten people watch the console, against nobody", "%", 97, 100, True),
    "tallies": Promise("throughput with attempts counted, against not", "%", 97, 99, True),
    "bulk": Promise("deliveries retried by one filter, 300,000 of them, SQLite", "deliveries/s", 2000, 5000, True),
    "bulk-p99": Promise("publish call beside it, p99", "ms", 50, 20, False),
    "bulk-postgres": Promise("the same, PostgreSQL 18", "deliveries/s", 2000, 5000, True),
    "bulk-postgres-p99": Promise("publish call beside it, p99", "ms", 50, 20, False),
    "pull": Promise("records of another system read and compared with the mirror", "records/s", 5000, 15_000, True),
    "pull-memory": Promise("extra memory while reading 1,000,000 of them", "MB", 60, 20, False),
    "timers": Promise("processor use of 10,000 idle links with timers, of a core", "%", 2, 0.5, False),
    "backup": Promise("backup of a store of 150 MB under 40 writes/s, SQLite", "s", 10, 3, False),
    "kill-lost": Promise("acknowledged events lost by kill -9, SQLite", "events", 0, 0, False),
    "kill-twice": Promise("delivered twice, beyond those in flight, SQLite", "events", 0, 0, False),
    "kill-postgres-lost": Promise("acknowledged events lost by kill -9, PostgreSQL", "events", 0, 0, False),
    "kill-postgres-twice": Promise("delivered twice, beyond those in flight, PostgreSQL", "events", 0, 0, False),
    "standby-kill": Promise(
        "silence after kill -9 of the server that works, until the other one sends", "s", 8, 4, False
    ),
    "standby-frozen": Promise("the same after SIGSTOP", "s", 20, 13, False),
    "standby-primary": Promise("silence after the promotion of a synchronous replica", "s", 5, 1, False),
    "standby-lost": Promise("acknowledged events lost in all of these", "events", 0, 0, False),
    "kill-links-rest": Promise(
        "contacts that differ, or are written again, after kill -9: Kinto", "contacts", 0, 0, False
    ),
    "kill-links-soap": Promise("the same: SOAP", "contacts", 0, 0, False),
}


@dataclass
class Row:
    """One measured figure. `reference` is the same generator posting straight to the same sink, in the same run."""

    name: str
    measured: float | None
    reference: float | None = None
    fair: bool = True
    note: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def promise(self) -> Promise:
        """What this figure must show."""
        return PROMISES[self.name]

    @property
    def ratio(self) -> float | None:
        """Measured over reference."""
        if self.measured is None or not self.reference:
            return None
        return self.measured / self.reference

    @property
    def verdict(self) -> str:
        """One word: `aim`, `enough`, `short`, or `failed` when it could not be measured fairly."""
        if self.measured is None or not self.fair:
            return "failed"
        sign = 1 if self.promise.more else -1
        if sign * self.measured >= sign * self.promise.aim:
            return "aim"
        return "enough" if sign * self.measured >= sign * self.promise.floor else "short"

    def stored(self) -> dict[str, Any]:
        """The row as it is written to the file of results."""
        return {**asdict(self), **asdict(self.promise), "ratio": self.ratio, "verdict": self.verdict}
