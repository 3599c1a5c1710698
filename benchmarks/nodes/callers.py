"""Callers of joined nodes: some publish at one node each, one publishes one subject in turn at all of them."""

from __future__ import annotations

import http.client
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from benchmarks.mark import event_template
from benchmarks.nodes.phases import ITEMS, Request

CALL_SECONDS = 20.0
"""How long a caller of one node waits for an answer."""
TURN_SECONDS = 2.0
"""A frozen node takes connections and answers nothing: who can go to another one gives up."""
AGAIN_SECONDS = 0.02
EVENTS, TURNS = "bench.order", "bench.turn"


@dataclass(frozen=True)
class Answered:
    """A call: of an event that was acknowledged, an edit, or one that failed."""

    number: int
    node: int
    asked_ns: int
    took_ns: int
    status: int = 202
    """Of the response; 0: there was none."""


class Caller:
    """A connection to one node, opened again when it is lost."""

    def __init__(self, url: str, key: str, seconds: float = CALL_SECONDS) -> None:
        at = urlsplit(url)
        self._host, self._port, self._seconds = at.hostname or "127.0.0.1", at.port or 80, seconds
        self._head = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._connection: http.client.HTTPConnection | None = None
        self.headers: dict[str, str] = {}
        self.body = b""

    def call(self, method: str, path: str, body: bytes, headers: dict[str, str] | None = None) -> int:
        """The status of a request; 0: there was no response. The rest of it is in `headers` and `body`."""
        self.headers, self.body = {}, b""
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(self._host, self._port, timeout=self._seconds)
            self._connection.request(method, path, body, {**self._head, **(headers or {})})
            response = self._connection.getresponse()
            self.body = response.read()
        except (OSError, http.client.HTTPException):
            self.close()
            return 0
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status

    def succeeds(self, method: str, path: str, body: bytes) -> bool:
        """Whether it does, such as that an event is acknowledged."""
        return 200 <= self.call(method, path, body) < 300

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@dataclass
class Callers:
    """All of them; use it in a `with`. Acknowledged numbers are also written to `file`, line by line.

    `rate`: events a second at each node; `turns`: how many events of one subject are published in turn, 0 for none,
    with a pause of `turn_pause` seconds in between; `edits`: how often each node edits one item, in a second.
    """

    urls: list[str]
    key: str
    run: int
    rate: float
    file: Path
    turns: int = 0
    turn_pause: float = 0.0
    edits: float = 0.0
    chance: random.Random = field(default_factory=random.Random)
    answered: list[Answered] = field(default_factory=list)
    refused: list[Answered] = field(default_factory=list)
    edited: list[Answered] = field(default_factory=list)
    in_turn: list[int] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._numbers, self._stop = itertools.count(), threading.Event()
        self._template = event_template(EVENTS, self.run).replace(b'{"type"', b'{"id":"evt_bench%d","type"', 1)
        self._said = self.file.open("a")
        jobs: list[Callable[[int], None]] = [self._publish, *([self._edit] if self.edits else [])]
        self._threads = [self._thread(job, node) for job in jobs for node in range(len(self.urls))]
        if self.turns:
            self._threads.append(threading.Thread(target=self._take_turns, daemon=True))
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

    def ask(self, node: int, request: Request) -> None:
        """Send a request to a node, which may never answer it."""
        caller = Caller(self.urls[node], self.key)
        threading.Thread(target=caller.call, args=request, daemon=True).start()

    def _thread(self, job: Callable[[int], None], node: int) -> threading.Thread:
        return threading.Thread(target=job, args=(node,), daemon=True)

    def _moments(self, rate: float) -> Iterator[int]:
        """Numbers, at moments that nobody can foresee. A planned call that could not be made is not made up for."""
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due = max(due, time.monotonic() - 1) + self.chance.uniform(0.5, 1.5) / rate
            yield next(self._numbers)

    def _publish(self, node: int) -> None:
        caller = Caller(self.urls[node], self.key)
        for number in self._moments(self.rate):
            asked = time.monotonic_ns()
            status = caller.call("POST", "/v1/events", self._template % (number, number, asked))
            answered = Answered(number, node, asked, time.monotonic_ns() - asked, status)
            if 200 <= status < 300:
                self.answered.append(answered)
                self._said.write(f"{number}\n")
            else:
                self.refused.append(answered)
        caller.close()

    def _edit(self, node: int) -> None:
        caller = Caller(self.urls[node], self.key)
        for number in self._moments(self.edits):
            asked = time.monotonic_ns()
            if caller.succeeds("PATCH", f"/v1/items/{ITEMS}/one", b'{"number":%d}' % number):
                self.edited.append(Answered(number, node, asked, time.monotonic_ns() - asked))
        caller.close()

    def _take_turns(self) -> None:
        callers = [Caller(url, self.key, TURN_SECONDS) for url in self.urls]
        template = event_template(TURNS, self.run)
        for number in range(self.turns):
            body = template % (number, time.monotonic_ns())
            body = body.replace(b'{"type"', b'{"id":"evt_turn%d","subject":"one","type"' % number, 1)
            at = number
            while not callers[at % len(callers)].succeeds("POST", "/v1/events", body):
                at += 1
                if self._stop.wait(AGAIN_SECONDS):
                    return
            self.in_turn.append(number)
            if self._stop.wait(self.turn_pause) if self.turn_pause else self._stop.is_set():
                return
