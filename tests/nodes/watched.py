"""A server that stands by, without the server: its looks at the database, in a thread of the test."""

from __future__ import annotations

import threading

from tidings.store.beats.waiting import Standby
from tidings.store.engines import nodes
from tidings.store.engines.postgres import PostgresEngine


class Watched:
    """What a server that stands by has seen so far."""

    def __init__(self, url: str) -> None:
        self.looks, self.free, self._stop = 0, False, threading.Event()
        self._watch = Standby(PostgresEngine(url).builder, nodes.Own(id="n2", version="test"))
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *ignored: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stop.wait(nodes.BEAT_SECONDS / 4):
            self.free = self._watch.look() or self.free
            self.looks += 1
        self._watch.close()
