"""The kinds of write jobs, and the queue for those that may take long.

A heavy job has a group to itself. Before the next one, everything else in the queue is written; if there was something,
other jobs run for as long as the heavy job took. So a small write waits for one heavy job at most, however many there
are, and tenants with heavy jobs take turns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from contextvars import ContextVar
from typing import Any

from tidings.store.base import Db
from tidings.store.log import events

Order = tuple[str, ...]
"""The names of what a job locks, by which jobs are sorted within a group. All nodes lock in this order."""


class Ordered:
    """A write job that locks something. `order`: the names of what it locks; empty if the order does not matter."""

    __slots__ = ("order", "run")

    def __init__(self, run: Callable[[Db], Any], order: Order = ()) -> None:
        self.run, self.order = run, order


class NoSavepoint(Ordered):
    """A write job that refuses only before its first write, so that it needs no savepoint, which costs as much as a
    row. If it fails in any other way, its group is written again, each job on its own and with a savepoint."""

    __slots__ = ()


class Whole(NoSavepoint):
    """A write job that never refuses anything: whatever goes wrong in it, it is written again, on its own."""

    __slots__ = ()


class Heavy:
    """A write job that may take long.

    It is alone in its transaction, and waits for its turn: between two heavy jobs, everything else in the queue is
    written, and if more arrives, others continue for as long as the last heavy job took. `turn`: whose job it is;
    tenants with heavy jobs take turns.
    """

    __slots__ = ("run", "turn")

    def __init__(self, run: Callable[[Db], Any], turn: Hashable) -> None:
        self.run, self.turn = run, turn


class Probe(NoSavepoint):
    """A write of `Writer.probe`. Its success says nothing about damaged pages."""

    __slots__ = ()


Job = Callable[[Db], Any] | events.Publication | Ordered | Heavy
Reply = Callable[[Any, Exception | None], None]


def in_order(entry: tuple[Job, Reply]) -> Order:
    """The key that sorts a group if other nodes write too: jobs that lock nothing come first, in order of arrival."""
    job = entry[0]
    return job.order if isinstance(job, Ordered) else ()


def run_of(job: Callable[[Db], Any] | Ordered | Heavy) -> Callable[[Db], Any]:
    """What a job does."""
    return job.run if isinstance(job, Ordered | Heavy) else job


def around(job: Callable[[Db], Any] | Ordered | Heavy, run: Callable[[Db], Any]) -> Job:
    """A job of the same kind that runs `run`."""
    if isinstance(job, Heavy):
        return Heavy(run, job.turn)
    return type(job)(run, job.order) if isinstance(job, Ordered) else run


AROUND: ContextVar[Callable[[Job], Job] | None] = ContextVar("around", default=None)
"""The wrapper for the jobs of the present task (`Writer.call`)."""


class HeavyQueue:
    """Waiting heavy jobs, when the next may run, and jobs that wait for a group. Belongs to the writer's thread."""

    def __init__(self) -> None:
        self._offered: deque[tuple[Job, Reply]] = deque()
        self._turns: dict[Hashable, deque[tuple[Job, Reply]]] = {}
        self.count = 0
        """The number of jobs that wait; any thread may read it."""
        self._last_is_heavy = False
        self._ended, self._took = 0.0, 0.0
        self._not_before = 0.0

    def __len__(self) -> int:
        return self.count

    @property
    def due(self) -> float | None:
        """When the next may run, on the clock of `time.monotonic`; None if there is none."""
        return self._not_before if self.count else None

    def is_due(self, now: float) -> bool:
        """Whether one is waiting that may run now."""
        return self.count > 0 and now >= self._not_before

    def goes_first(self, now: float) -> bool:
        """Whether one is due before everything else in the queue, because the last group was not a heavy job."""
        return not self._last_is_heavy and self.is_due(now)

    def put(self, entry: tuple[Job, Reply]) -> None:
        """Let a heavy job wait for its turn."""
        job = entry[0]
        assert isinstance(job, Heavy)
        self._turns.setdefault(job.turn, deque()).append(entry)
        self.count += 1

    def take(self) -> tuple[Job, Reply]:
        """Take the next job; its tenant's next turn comes after all others."""
        turn = next(iter(self._turns))
        waiting = self._turns.pop(turn)
        entry = waiting.popleft()
        if waiting:
            self._turns[turn] = waiting
        self.count -= 1
        return entry

    def offer(self, entry: tuple[Job, Reply]) -> None:
        """Queue a job that nobody waits for until the next group is written; from any thread."""
        self._offered.append(entry)

    def join(self, group: list[tuple[Job, Reply]]) -> None:
        """Add such jobs to a group, unless the group is a heavy job, which is alone in its transaction."""
        if self._offered and not (group and type(group[0][0]) is Heavy):
            group += self._take_offered()

    def drain(self) -> list[tuple[Job, Reply]]:
        """Take all."""
        return [self.take() for _ in range(self.count)] + self._take_offered()

    def _take_offered(self) -> list[tuple[Job, Reply]]:
        return [self._offered.popleft() for _ in range(len(self._offered))]

    def note(self, group: list[tuple[Job, Reply]], began: float, ended: float) -> None:
        """A group was written. If others wrote after a heavy job, they continue for as long as it took."""
        self._last_is_heavy = len(group) == 1 and isinstance(group[0][0], Heavy)
        if self._last_is_heavy:
            self._ended, self._took = ended, ended - began
            self._not_before = 0.0
        elif group:
            self._not_before = self._ended + self._took
