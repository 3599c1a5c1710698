"""What joined nodes cost: four against one at the same load, and one on a full database against one on an empty one."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.filling import fill
from benchmarks.generator import Load
from benchmarks.machine_use import Spent
from benchmarks.nodes.callers import EVENTS
from benchmarks.nodes.cluster import Cluster
from benchmarks.nodes.setting import Setting
from benchmarks.numbers import median
from benchmarks.postgres import Postgres
from benchmarks.processes import SinkProcess, start_load
from tests.postgres_pair import PostgresPair

NODES = (1, 4)
GENERATORS = 4
"""As many for one node as for four: each has a planned time for each request, so all together are a crowd."""
CONNECTIONS = 64
WARM_SECONDS = 5.0
APART = 100_000
"""The numbers of two generators are so far apart."""
FEW = 1_000
FILLED_LINKS = 1
COST_PATH = "/ok/cost"


@dataclass(frozen=True)
class Turn:
    """What one turn came to."""

    delivered: int
    seconds: float
    used: Spent
    p50_ms: float
    """From the planned moment of a request to its response, so after the group was committed."""
    refused: dict[str, int]

    @property
    def each_us(self) -> float:
        """Processor time for each delivered event, of all nodes and of PostgreSQL."""
        return (self.used.nodes + self.used.database) / max(1, self.delivered) * 1e6

    @property
    def speed(self) -> float:
        """Delivered events a second."""
        return self.delivered / self.seconds

    def told(self) -> str:
        """In one line."""
        in_nodes = self.used.nodes / max(1, self.delivered) * 1e6
        return (
            f"{self.speed:,.0f}/s, {self.each_us:.0f} us for each ({in_nodes:.0f} in nodes), "
            f"p50 of a call {self.p50_ms:.1f} ms, refused: {self.refused or 0}"
        )


def cost(setting: Setting) -> list[str]:
    """The same load on one node and on four, in turn: processor time of everything, and how long a call takes."""
    lines: list[str] = []
    with PostgresPair() as pair:
        for rate in setting.rates:
            found: dict[int, list[Turn]] = {nodes: [] for nodes in NODES}
            for number in range(setting.times):
                for nodes in NODES if number % 2 == 0 else NODES[::-1]:
                    with _loaded(setting, pair.database(), nodes) as cluster:
                        found[nodes].append(_turn(setting, pair.pids(), cluster, rate))
                    lines.append(f"{nodes} nodes at {rate:.0f}/s: {found[nodes][-1].told()}")
                    setting.say(lines[-1])
            one, four = (found[nodes] for nodes in NODES)
            lines.append(f"4 nodes against 1 at {rate:.0f}/s: {_ratios(one, four)}")
            setting.say(lines[-1])
    return lines


def stored(setting: Setting) -> list[str]:
    """One joined node with many stored events against one with few, flat out in turn."""
    lines: list[str] = []
    found: dict[str, list[Turn]] = {"few": [], "many": []}
    postgres = Postgres(setting.new_folder() / "postgres")
    try:
        urls = [postgres.database(), postgres.database()]
        with _loaded(setting, urls[0], 1) as few, _loaded(setting, urls[1], 1) as many:
            _publish(setting.sink, few, FEW)
            node = many.nodes[0]
            node.stop()
            fill(node.folder, many.url, setting.events, FILLED_LINKS, setting.say, tries=1)
            node.start()
            clusters = {"few": few, "many": many}
            for number in range(setting.times):
                for name in ("few", "many") if number % 2 == 0 else ("many", "few"):
                    found[name].append(_turn(setting, [postgres.pid], clusters[name], 0.0))
                    count = FEW if name == "few" else setting.events
                    lines.append(f"{count:,} stored: {found[name][-1].told()}")
                    setting.say(lines[-1])
    finally:
        postgres.stop()
    speed = median([b.speed / a.speed for a, b in zip(found["few"], found["many"], strict=True)])
    return [*lines, f"{setting.events:,} stored against {FEW:,}: speed {speed:.0%}, {_ratios(*found.values())}"]


def _ratios(before: list[Turn], after: list[Turn]) -> str:
    cpu = median([b.each_us / a.each_us for a, b in zip(before, after, strict=True)])
    p50 = median([b.p50_ms / a.p50_ms for a, b in zip(before, after, strict=True)])
    return f"processor time {cpu:.0%}, p50 of a call {p50:.0%} (medians of {len(before)} pairs)"


@contextmanager
def _loaded(setting: Setting, url: str, nodes: int) -> Iterator[Cluster]:
    """Nodes with one link."""
    with Cluster(setting.new_folder(), url, nodes) as cluster:
        cluster.nodes[0].api.post("/v1/endpoints", {"url": setting.sink.url(COST_PATH), "events": [EVENTS]})
        yield cluster


def _publish(sink: SinkProcess, cluster: Cluster, count: int) -> None:
    """Store some events."""
    node = cluster.nodes[0]
    load = Load(node.port, "/v1/events", sink.new_run(), 60.0, node.api.key or "", count=count, event_type=EVENTS)
    start_load(load).result()


def _turn(setting: Setting, database: list[int], cluster: Cluster, rate: float) -> Turn:
    """Load all nodes alike; `rate` 0: as fast as responses arrive."""
    run, ports = setting.sink.new_run(), [node.port for node in cluster.nodes]
    loads = [
        Load(
            ports[number % len(ports)],
            "/v1/events",
            run,
            WARM_SECONDS + setting.seconds + 2,
            cluster.nodes[0].api.key or "",
            connections=CONNECTIONS // GENERATORS,
            rate=rate / GENERATORS,
            first=number * APART,
            event_type=EVENTS,
        )
        for number in range(GENERATORS)
    ]
    running = [start_load(load) for load in loads]
    time.sleep(WARM_SECONDS)
    before, arrived, began = cluster.spent(*database), setting.sink.count(), time.monotonic()
    time.sleep(setting.seconds)
    used, count = cluster.spent(*database).since(before), setting.sink.count() - arrived
    seconds = time.monotonic() - began
    reports = [each.result() for each in running]
    return Turn(
        delivered=count,
        seconds=seconds,
        used=used,
        p50_ms=median([report["answer_ms"]["p50"] for report in reports]),
        refused=dict(sum((Counter(report["refused"]) for report in reports), Counter())),
    )
