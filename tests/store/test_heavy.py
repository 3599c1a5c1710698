"""Jobs that may take long: each alone, in turns, and everybody else's writes between them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tidings.model.errors import Conflict
from tidings.store.base import Db
from tidings.store.jobs import Heavy, HeavyQueue
from tidings.store.writer import Writer


class Written:
    """What was written, a list for each transaction."""

    def __init__(self, writer: Writer) -> None:
        self.groups: list[list[str]] = [[]]
        self.refused: list[str] = []
        self._open = 0
        self._done = threading.Event()
        self._writer = writer
        writer.on_commit(lambda: self.groups.append([]))

    def job(self, name: str, then: Callable[[], None] = lambda: None) -> Callable[[Db], None]:
        def run(db: Db) -> None:
            self.groups[-1].append(name)
            then()

        return run

    def light(self, name: str) -> None:
        self._open += 1
        self._writer.submit(self.job(name), self._reply(name))

    def heavy(self, name: str, turn: str | None, then: Callable[[], None] = lambda: None) -> None:
        self._open += 1
        self._writer.submit(Heavy(self.job(name, then), turn), self._reply(name))

    def _reply(self, name: str) -> Callable[[Any, Exception | None], None]:
        def reply(result: Any, wrong: Exception | None) -> None:
            if wrong is not None:
                self.refused.append(name)
            self._open -= 1
            if not self._open:
                self._done.set()

        return reply

    def finish(self) -> list[list[str]]:
        assert self._done.wait(10)
        self._writer.close()
        return [group for group in self.groups if group]


@pytest.fixture
def written(writer: Writer) -> Written:
    return Written(writer)


def test_light_jobs_go_ahead_of_heavy_ones(writer: Writer, written: Written) -> None:
    for number in range(3):
        written.heavy(f"heavy {number}", "loud")
    written.light("quiet 1")
    written.light("quiet 2")
    writer.start()
    assert written.finish() == [["quiet 1", "quiet 2"], ["heavy 0"], ["heavy 1"], ["heavy 2"]]


def test_nobody_waits_for_two_heavy_jobs(writer: Writer, written: Written) -> None:
    for number in range(3):
        written.heavy(f"heavy {number}", "loud", then=partial(written.light, f"quiet {number}"))
    writer.start()
    assert written.finish() == [["heavy 0"], ["quiet 0"], ["heavy 1"], ["quiet 1"], ["heavy 2"], ["quiet 2"]]


def test_tenants_take_turns_with_their_heavy_jobs(writer: Writer, written: Written) -> None:
    for number in range(3):
        written.heavy(f"loud {number}", "loud")
    written.heavy("other", "other")
    written.heavy("operator", None)
    writer.start()
    assert written.finish() == [["loud 0"], ["other"], ["operator"], ["loud 1"], ["loud 2"]]


def test_a_heavy_job_that_fails_harms_no_other(writer: Writer, written: Written) -> None:
    def fail() -> None:
        raise Conflict("No.")

    written.heavy("fails", "loud", then=fail)
    written.heavy("next", "loud")
    written.light("quiet")
    writer.start()
    assert written.finish() == [["quiet"], ["fails"], ["next"]]
    assert written.refused == ["fails"]


def test_light_jobs_run_for_as_long_as_the_heavy_job_took() -> None:
    heavy, light = (Heavy(lambda db: None, "loud"), lambda result, wrong: None), (lambda db: None, lambda r, w: None)
    line = HeavyQueue()
    line.put(heavy)
    line.put(heavy)
    line.note([line.take()], began=10.0, ended=10.5)
    assert line.is_due(10.5), "nobody else writes, so the next one may go"
    assert not line.goes_first(10.5), "but what is queued goes before it"
    line.note([light], began=10.5, ended=10.51)
    assert not line.is_due(10.9) and line.due == 11.0
    assert line.goes_first(11.0), "and then it waits for nobody"


def test_a_stop_finishes_heavy_jobs(writer: Writer, written: Written) -> None:
    for number in range(3):
        written.heavy(f"heavy {number}", "loud")
    writer.start()
    writer.close()
    assert written.finish() == [["heavy 0"], ["heavy 1"], ["heavy 2"]]
