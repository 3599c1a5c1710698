"""Ways to hold up or break a server's own parts, for as long as a test wants."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tidings.store.base import Db, StoreBusy
from tidings.store.writer import Writer
from tidings.testing import TestServer

STALL_SECONDS = 30


def writer_of(server: TestServer) -> Writer:
    """The writer of a server in this process."""
    assert server.server is not None
    return server.server.writer


@contextmanager
def stalled(server: TestServer) -> Iterator[None]:
    """Let nothing be written meanwhile: the writer stands inside a job."""
    inside, go = threading.Event(), threading.Event()

    def stand(db: Db) -> None:
        inside.set()
        go.wait(STALL_SECONDS)

    writer_of(server).submit(stand, lambda result, wrong: None)
    assert inside.wait(STALL_SECONDS)
    try:
        yield
    finally:
        go.set()


class UnknownCommits:
    """Commits that hold, of which the answer is lost: the next `count` of them."""

    def __init__(self, server: TestServer) -> None:
        self._writer = writer_of(server)
        self._db: Any = self._writer._db
        self._commit = self._db.commit
        self._lock = threading.Lock()
        self._left = 0
        self._of_events = False
        self.lost = 0
        self._db.commit = self._one  # type: ignore[method-assign]

    def lose(self, count: int, *, of_events: bool = False) -> None:
        """Lose the next answers; `of_events`: only of commits that store new events, as a server has others to make."""
        with self._lock:
            self._left, self._of_events = count, of_events

    def _one(self) -> None:
        self._commit()
        with self._lock:
            lost = self._left > 0 and (bool(self._writer.appended) or not self._of_events)
            self._left -= lost
            self.lost += lost
        if lost:
            raise StoreBusy("the connection broke", unknown=True)
