"""Callers of joined nodes: some publish at one node each, one publishes one subject in turn at all of them."""

from __future__ import annotations

import http.client
import itertools
import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from benchmarks.mark import batch_template, event_template

ITEMS = "benched"
"""The collection whose one item is edited."""
CALL_SECONDS = 2.0
"""A frozen node takes connections and answers nothing: callers have to give up."""
AGAIN_SECONDS = 0.02
EVENTS, TURNS, OTHERS = "bench.order", "bench.turn", "bench.other"
BATCH = 500


@dataclass(frozen=True)
class Answered:
    """An event that was acknowledged."""

    number: int
    node: int
    asked_ns: int
    took_ns: int


class _Line:
    """A connection to one node, opened again when it is lost."""

    def __init__(self, url: str, key: str) -> None:
        at = urlsplit(url)
        self._host, self._port = at.hostname or "127.0.0.1", at.port or 80
        self._head = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._connection: http.client.HTTPConnection | None = None

    def call(self, method: str, path: str, body: bytes) -> bool:
        """Whether it succeeds, such as that an event is acknowledged."""
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(self._host, self._port, timeout=CALL_SECONDS)
            self._connection.request(method, path, body, self._head)
            response = self._connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            self.close()
            return False
        return 200 <= response.status < 300

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@dataclass
class Callers:
    """All of them; use it in a `with`. Acknowledged numbers are also written to `file`, line by line.

    `turns`: how many events of one subject are published in turn, 0 for none; `editors`: how many, for each node,
    edit one item without pause; `batches`: nodes also get
    batches that no link wants, so large that they are copied; `rate`: events a second at each node.
    """

    urls: list[str]
    key: str
    run: int
    rate: float
    file: Path
    turns: int = 0
    editors: int = 0
    batches: bool = False
    chance: random.Random = field(default_factory=random.Random)
    answered: list[Answered] = field(default_factory=list)
    in_turn: list[int] = field(default_factory=list)
    refused: int = 0

    def __enter__(self) -> Self:
        self._numbers, self._stop = itertools.count(), threading.Event()
        self._template = event_template(EVENTS, self.run).replace(b'{"type"', b'{"id":"evt_bench%d","type"', 1)
        self._said = self.file.open("a")
        self._threads = [threading.Thread(target=self._call, args=(n,), daemon=True) for n in range(len(self.urls))]
        if self.turns:
            self._threads.append(threading.Thread(target=self._take_turns, daemon=True))
        self._threads[:0] = [
            threading.Thread(target=self._edit, args=(line,), daemon=True)
            for line in range(self.editors * len(self.urls))
        ]
        if self.batches:
            self._threads[:0] = [
                threading.Thread(target=self._fill, args=(n,), daemon=True) for n in range(len(self.urls))
            ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """No more calls."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._said.close()

    def is_turning(self) -> bool:
        """Whether events in turn are still published."""
        return bool(self.turns) and self._threads[-1].is_alive()

    def _call(self, node: int) -> None:
        line, due = _Line(self.urls[node], self.key), time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            # A planned call that could not be made is not made up for.
            due = max(due, time.monotonic() - 1) + self.chance.uniform(0.5, 1.5) / self.rate
            number, asked = next(self._numbers), time.monotonic_ns()
            if line.call("POST", "/v1/events", self._template % (number, number, asked)):
                self.answered.append(Answered(number, node, asked, time.monotonic_ns() - asked))
                self._said.write(f"{number}\n")
            else:
                self.refused += 1
        line.close()

    def _edit(self, editor: int) -> None:
        line = _Line(self.urls[editor % len(self.urls)], self.key)
        for number in itertools.count():
            if self._stop.is_set():
                break
            if not line.call("PATCH", f"/v1/items/{ITEMS}/one", b'{"number":%d}' % number):
                self._stop.wait(AGAIN_SECONDS)
        line.close()

    def _fill(self, node: int) -> None:
        line, body = _Line(self.urls[node], self.key), batch_template(OTHERS, self.run, BATCH) % ((0, 0) * BATCH)
        while not self._stop.wait(AGAIN_SECONDS):
            line.call("POST", "/v1/events:batch", body)
        line.close()

    def _take_turns(self) -> None:
        lines = [_Line(url, self.key) for url in self.urls]
        template = event_template(TURNS, self.run)
        for number in range(self.turns):
            body = template % (number, time.monotonic_ns())
            body = body.replace(b'{"type"', b'{"id":"evt_turn%d","subject":"one","type"' % number, 1)
            at = number
            while not lines[at % len(lines)].call("POST", "/v1/events", body):
                at += 1
                if self._stop.wait(AGAIN_SECONDS):
                    return
            self.in_turn.append(number)
            if self._stop.is_set():
                return
