"""What a sender saves if other nodes send for it: endpoints that want a new TLS connection for each request."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from threading import Event, Thread

from benchmarks.machine_use import spent
from benchmarks.nodes.cluster import Cluster
from benchmarks.nodes.setting import Setting
from benchmarks.nodes.tls_receiver import TlsReceiver
from benchmarks.numbers import median
from tests.postgres_pair import PostgresPair
from tidings.testing import Api

ENDPOINTS = 32
EVENTS_A_SECOND = 5.0
"""Each goes to all ENDPOINTS; this leaves some of two processors idle."""
WARM_SECONDS = 8.0
SHARES = ("never", "always")


@dataclass(frozen=True)
class Turn:
    """What one turn came to."""

    delivered: int
    seconds: float
    sender: float
    all: float
    """Processor seconds, of the node that sends and of all nodes."""

    @property
    def sender_us(self) -> float:
        """Processor time of the node that sends, for each delivery."""
        return self.sender / max(1, self.delivered) * 1e6

    @property
    def all_us(self) -> float:
        """Of all nodes."""
        return self.all / max(1, self.delivered) * 1e6

    def told(self) -> str:
        """In one line."""
        speed = f"{self.delivered / self.seconds:.0f} deliveries/s"
        return f"{speed}, {self.sender_us:.0f} us of the sender for each, {self.all_us:.0f} us of all nodes"


def helping(setting: Setting) -> list[str]:
    """Deliveries to endpoints behind TLS, with the sender on its own and with helpers, in turn."""
    lines: list[str] = []
    found: dict[str, list[Turn]] = {share: [] for share in SHARES}
    folder = setting.new_folder()
    with PostgresPair() as pair, TlsReceiver(folder) as receiver:
        for number in range(setting.times):
            for share in SHARES if number % 2 == 0 else SHARES[::-1]:
                found[share].append(_turn(setting, pair.database(), receiver, share))
                lines.append(f"{setting.nodes} nodes, share_sending {share}: {found[share][-1].told()}")
                setting.say(lines[-1])
    alone, helped = (found[share] for share in SHARES)
    sender = median([b.sender_us / a.sender_us for a, b in zip(alone, helped, strict=True)])
    nodes = median([b.all_us / a.all_us for a, b in zip(alone, helped, strict=True)])
    lines.append(f"with helpers: processor time of the sender {sender:.0%}, of all nodes {nodes:.0%}")
    setting.say(lines[-1])
    return lines


def _turn(setting: Setting, url: str, receiver: TlsReceiver, share: str) -> Turn:
    ca_file = str(receiver.authority)
    with Cluster(setting.new_folder(), url, setting.nodes, share_sending=share, ca_file=ca_file) as cluster:
        sender = cluster.nodes[cluster.until_sender()]
        for number in range(ENDPOINTS):
            sender.api.post("/v1/endpoints", {"url": receiver.url(f"/{number}"), "events": ["step"]})
        others = [node.api for node in cluster.nodes if node is not sender]
        ended = Event()
        load = Thread(target=_publish, args=(others[0], ended))
        load.start()
        try:
            time.sleep(WARM_SECONDS)
            assert sender.process is not None
            pids = [node.process.pid for node in cluster.nodes if node.process is not None]
            before, count, began = _used(sender.process.pid, pids), _delivered(sender.api), time.monotonic()
            time.sleep(setting.seconds)
            after, seconds = _used(sender.process.pid, pids), time.monotonic() - began
            return Turn(_delivered(sender.api) - count, seconds, after[0] - before[0], after[1] - before[1])
        finally:
            ended.set()
            load.join()


def _used(sender: int, nodes: list[int]) -> tuple[float, float]:
    return spent([sender], []).nodes, spent(nodes, []).nodes


def _delivered(api: Api) -> int:
    found = re.search(r'^tidings_attempts_total{outcome="ok"} (\S+)$', api.call("GET", "/metrics").body.decode(), re.M)
    return 0 if found is None else int(float(found[1]))


def _publish(api: Api, ended: Event) -> None:
    while not ended.wait(1 / EVENTS_A_SECOND):
        api.publish("step", {"text": "x" * 400})
