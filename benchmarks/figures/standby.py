"""Figures `standby-*`: two servers on a primary and its replica; one of them, or the primary, is killed or frozen.

It is taken only if it is named: with all its faults it takes half an hour.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.context import Context
from benchmarks.table import Row
from tests.postgres_pair import PostgresPair
from tidings.testing import Api, ProcessServer, Receiver, until

FAULTS = {"kill": 100, "frozen": 10, "primary": 20}
QUICK_FAULTS = 2
RATE = 100
ALIVE_SECONDS = (0.3, 1.5)
FROZEN_SECONDS = 30
PATIENCE_SECONDS = 90.0
CALL_SECONDS = 2.0
"""A frozen server takes connections and answers nothing; callers have to give up."""


class _Caller:
    """Publishes without pause to whichever server takes it, and remembers what was acknowledged."""

    def __init__(self, servers: list[ProcessServer]) -> None:
        self._apis = [Api(each.url, each.api.key, CALL_SECONDS) for each in servers]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.acknowledged: list[str] = []

    def __enter__(self) -> _Caller:
        self._thread.start()
        return self

    def __exit__(self, *ignored: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        number = at = 0
        while not self._stop.wait(1 / RATE):
            number += 1
            for _ in range(int(PATIENCE_SECONDS * RATE)):
                if self._stop.is_set() or self._publish(self._apis[at], f"evt_bench{number}"):
                    break
                at = (at + 1) % len(self._apis)
                time.sleep(1 / RATE)

    def _publish(self, api: Api, event: str) -> bool:
        try:
            said = api.call("POST", "/v1/events", {"id": event, "type": "bench.order", "data": {}})
        except OSError:
            return False
        if said.status in (200, 202):
            self.acknowledged.append(event)
        return said.status in (200, 202)


class _Trial:
    """Two servers under load, of which one works."""

    def __init__(self, folder: Path, pair: PostgresPair, stack: ExitStack) -> None:
        self.pair, self.receiver = pair, stack.enter_context(Receiver())
        key, database = b64encode(random.randbytes(32)).decode(), pair.database()
        self.servers = [
            ProcessServer(folder / name, database=database, standby=True, secret_key=key) for name in ("one", "two")
        ]
        stack.callback(self._end)
        self.servers[0].start()
        self.servers[0].api.post("/v1/endpoints", {"url": self.receiver.url(), "events": ["bench.order"]})
        self.servers[1].launch()
        until(lambda: "stands by" in self.servers[1].log, "the second one stands by", PATIENCE_SECONDS)

    def working(self) -> tuple[ProcessServer, ProcessServer]:
        """The one that works, and the other."""
        one, two = self.servers
        return (one, two) if _is_ready(one) else (two, one)

    def silence(self, begin: Callable[[], None]) -> float:
        """How many seconds pass from a fault to the next arrival."""
        begin()
        began, before = time.monotonic(), len(self.receiver.requests())
        until(lambda: len(self.receiver.requests()) > before, "something arrives again", PATIENCE_SECONDS)
        return time.monotonic() - began

    def _end(self) -> None:
        for server in self.servers:
            if server.process is not None:
                server.process.send_signal(signal.SIGCONT)
                server.kill()


def standby(context: Context) -> list[Row]:
    """The longest silence after each kind of fault, and what was acknowledged and never arrived."""
    rows, lost, acknowledged = [], 0, 0
    for name, fault in (("kill", _kill), ("frozen", _freeze), ("primary", _fail_over)):
        count = QUICK_FAULTS if context.quick else FAULTS[name]
        with PostgresPair() as pair, ExitStack() as stack:
            trial = _Trial(context.new_folder(), pair, stack)
            with _Caller(trial.servers) as caller:
                silences = []
                for number in range(count):
                    until(lambda: _is_ready(trial.working()[0]), "one works", PATIENCE_SECONDS)
                    time.sleep(random.uniform(*ALIVE_SECONDS))
                    silences.append(fault(trial))
                    context.say(f"{name} {number + 1} of {count}: {silences[-1]:.1f} s")
            sent = set(caller.acknowledged)
            waited = time.monotonic() + PATIENCE_SECONDS
            while (missing := sent - {each.id for each in trial.receiver.requests()}) and time.monotonic() < waited:
                time.sleep(0.5)
        lost, acknowledged = lost + len(missing), acknowledged + len(sent)
        note = f"{count} times, median {sorted(silences)[count // 2]:.1f} s"
        rows.append(Row(f"standby-{name}", max(silences), note=note, details={"silences": silences}))
    return [*rows, Row("standby-lost", lost, note=f"{acknowledged:,} acknowledged")]


def _kill(trial: _Trial) -> float:
    first, second = trial.working()
    silence = trial.silence(first.kill)
    first.launch()
    until(lambda: first.log.rpartition("listens on")[2].count("stands by on") > 0, "it stands by", PATIENCE_SECONDS)
    assert _is_ready(second)
    return silence


def _freeze(trial: _Trial) -> float:
    first, _ = trial.working()
    assert first.process is not None
    process, began = first.process, time.monotonic()
    silence = trial.silence(lambda: process.send_signal(signal.SIGSTOP))
    time.sleep(max(0.0, began + FROZEN_SECONDS - time.monotonic()))
    process.send_signal(signal.SIGCONT)
    until(lambda: first.log.rpartition("listens on")[2].count("stands by on") > 0, "it stands by", PATIENCE_SECONDS)
    return silence


def _fail_over(trial: _Trial) -> float:
    """How long nothing arrives after the replica was promoted."""
    trial.pair.kill_primary()
    silence = trial.silence(trial.pair.promote)
    trial.pair.rejoin()
    return silence


def _is_ready(server: ProcessServer) -> bool:
    try:
        return server.api.with_key(None).call("GET", "/readyz").status == 200
    except OSError:
        return False
