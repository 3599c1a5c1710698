"""The one writer: concurrent writes share one transaction and one fsync (group commit).

A job is a function of a connection. The jobs of a group run in one transaction, each in its own savepoint, so that one
that fails does not affect the others. Publications are appended together. Heavy jobs have a group to themselves, in
turn with all others (`store/jobs.py`). Before each commit the *rider* (the route stage) runs in the same transaction;
after each commit the listeners are called.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from tidings.model.errors import TidingsError, Unavailable
from tidings.model.event import Event
from tidings.model.moment import Clock
from tidings.store import journal
from tidings.store.base import Db, Engine, Held, StoreBusy, StoreDamaged, StoreError, StoreFull, Superseded
from tidings.store.items.moving import AskedFirst
from tidings.store.jobs import AROUND, Heavy, HeavyQueue, Job, NoSavepoint, Probe, Reply, Whole, in_order, run_of
from tidings.store.log import events, numbering
from tidings.store.writing import contention
from tidings.store.writing.answering import Awaited, GroupAnswers
from tidings.store.writing.spacing import Spacing

GROUP_JOBS_MAX = 1_000
GROUP_EVENTS_MAX = 2_000
"""Fewer events per group than the route stage takes in one step, so that it never falls behind publishing."""
QUEUE_JOBS_MAX = 50_000
RETRY_AFTER_SECONDS = 2.0
PROBE_SECONDS = 1.0
"""Only one probe in this time writes something, so that frequent probes cost nothing."""
PROBE_BYTES = 64 * 1024
"""The number of bytes that a probe writes: as many as an ordinary write may need, for which a full disk has no room."""
AGAIN_SECONDS = 1.0
"""How long after the store refused a group the rider and the hooks run again, if nothing is written before then."""

T = TypeVar("T")

Answered = tuple[Reply, Any, Exception | None]
"""The reply of a job, and the arguments with which it is called."""
Rider = Callable[[Db], float | None]
"""Runs at the end of each group. Returns the number of seconds until it has more to do; None if it has nothing."""
log = logging.getLogger("tidings.writer")


class Writer:
    """Runs write jobs in its own thread. `close` finishes what was submitted."""

    def __init__(self, engine: Engine, clock: Clock, on_failure: Callable[[], None] = lambda: None) -> None:
        self._clock = clock
        self._on_failure = on_failure
        self._queue: queue.SimpleQueue[tuple[Job, Reply] | None] = queue.SimpleQueue()
        self._heavy = HeavyQueue()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._rider: Rider | None = None
        self._listeners: list[Callable[[], None]] = []
        self._before_replies: list[Callable[[Db], None]] = []
        self._shared: contention.Shared | None = None
        self._waits = contention.Waits()
        self.spacing = Spacing()
        self._resolved = GroupAnswers()
        self.appended: list[Event] = []
        self.deliveries: list[tuple[Any, ...]] = []
        """For listeners: the events of the last group that are certainly new, its deliveries, and its `news`."""
        self.groups = self.jobs = self.failures = 0
        self._probed_at = -PROBE_SECONDS
        self.refusal: StoreError | None = None
        """Why writes are refused: the error of the last write; None if it succeeded."""
        self._again = self._broken = self._careful = False
        self.news = False, False  # whether it has appended events, and whether it has changed the catalogue
        self._lost: Reply | None = None
        """Collects the jobs of a group that failed because of another node; the group will be written again."""
        self._db: Db = engine.writer()
        self._sends = engine.sends
        self._positions = self._db.positions = journal.known_to(engine)

    def start(self, rider: Rider | None = None) -> None:
        """Start the thread. `rider` runs at the end of each group."""
        self._rider = rider
        self._thread.start()
        self.speak()

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call `listener`, from the writer's thread, after each commit."""
        self._listeners.append(listener)

    def before_replies(self, hook: Callable[[Db], None]) -> None:
        """Call `hook`, from the writer's thread, after each commit and before any reply."""
        self._before_replies.append(hook)

    def keep_up(self, shared: contention.Shared) -> None:
        """Write each group only if what the nodes share, the catalogue, is up to date at its beginning."""
        self._shared = shared
        self.before_replies(shared.refresh)
        if self._db.shares and not self._sends:
            self._db.watched = AskedFirst(self._db, shared.begin)

    def submit(self, job: Job, reply: Reply) -> None:
        """Queue a job; `reply(result, error)` is called from the writer's thread once the result is durable."""
        if self._queue.qsize() + self._heavy.count > QUEUE_JOBS_MAX:
            reply(None, Unavailable("Too many writes are waiting.", retry_after_seconds=RETRY_AFTER_SECONDS))
            return
        self._queue.put((job, reply))
        if self._broken:
            self._refuse_queued()

    def offer(self, job: Job, reply: Reply) -> None:
        """The same for a job that nobody waits for: it is written with the next group, but does not start one."""
        self._heavy.offer((job, reply))
        if self._broken:
            self._refuse_queued()

    def wait(self, job: Callable[[Db], T], timeout_seconds: float = 30.0) -> T:
        """Run a job and wait for it, from a thread that is neither the writer's nor an event loop's."""
        done = threading.Event()
        box: list[Any] = [None, None]

        def reply(result: Any, wrong: Exception | None) -> None:
            box[0], box[1] = result, wrong
            done.set()

        self.submit(job, reply)
        if not done.wait(timeout_seconds):
            raise Unavailable("The store did not answer in time.", retry_after_seconds=RETRY_AFTER_SECONDS)
        if box[1] is not None:
            raise box[1]
        result: T = box[0]
        return result

    async def call(self, job: Job) -> Any:
        """Run a job and await its result. Raises what the job raised, or Unavailable if the store refused."""
        around = AROUND.get()
        return await self.ask(job if around is None else around(job), asyncio.get_running_loop())

    def ask(self, job: Job, loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
        """The same, as a future of the running loop: writes that happen for each event save the detour."""
        future: asyncio.Future[Any] = loop.create_future()
        self.submit(job, Awaited(self._thread, self._resolved, loop, future))
        return future

    def probe(self, db: Db) -> None:
        """Whether the store accepts a write now, as a write job; a larger one if the last was refused."""
        if self.refusal is None and time.monotonic() - self._probed_at < PROBE_SECONDS:
            return
        padding = PROBE_BYTES if self.refusal is not None else 0
        db.run("store_fact_put", name="probe", value=f"{self._clock.now()}{'.' * padding}")
        self._probed_at = time.monotonic()

    def speak(self) -> None:
        """Use the connection, so that the database sees that it is alive, and a lost one is replaced."""
        self.submit(lambda db: None, lambda result, wrong: None)

    def close(self, timeout_seconds: float = 8.0) -> None:
        """Finish the jobs that were submitted, then stop."""
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)
        if not self._thread.is_alive():
            self._db.close()

    @property
    def native_id(self) -> int:
        """The operating system's id of its thread."""
        return self._thread.native_id or 0

    @property
    def session(self) -> int | None:
        """The number of its present session in the database, if it has one."""
        return self._db.session

    @property
    def alive(self) -> bool:
        """Whether it accepts jobs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        patience: float | None = None
        try:
            while (group := self._gather(patience)) is not None:
                self._heavy.join(group)
                if self._db.shares:
                    group.sort(key=in_order)
                began = self.spacing.began_at = time.monotonic()
                patience = self._commit(group)
                self._heavy.note(group, began, time.monotonic())
        except Exception:
            log.critical("the writer has stopped", exc_info=True)
            self._broken = True
            self._refuse_queued()
            self._on_failure()

    def _refuse_queued(self) -> None:
        """The thread has ended: waiters get an error instead of waiting forever."""
        entries = self._heavy.drain()
        with contextlib.suppress(queue.Empty):
            while True:
                entry = self._queue.get_nowait()
                entries += [] if entry is None else [entry]
        for _, reply in entries:
            reply(None, Unavailable("The store accepts no writes.", retry_after_seconds=RETRY_AFTER_SECONDS))
        if threading.current_thread() is self._thread:
            self._resolved.tell()

    def _gather(self, patience: float | None) -> list[tuple[Job, Reply]] | None:
        """Wait for the next group, as long as `patience` (None: forever). Empty if there is a retry; None to stop."""
        group: list[tuple[Job, Reply]] = []
        if patience is None and self._again:
            patience = AGAIN_SECONDS
        until = None if patience is None else time.monotonic() + patience
        while True:
            now = time.monotonic()
            if self._heavy.goes_first(now):
                return [self._heavy.take()]
            ends = [each for each in (until, self._heavy.due) if each is not None]
            has_room = self._fill(group, max(0.0, min(ends) - now) if ends else None)
            if group and has_room and self.spacing.linger():
                self._fill(group, 0)
            if group:
                return group
            if self._heavy and (not has_room or self._heavy.is_due(time.monotonic())):
                return [self._heavy.take()]
            if not has_room:
                return None
            if until is not None and time.monotonic() >= until:
                return group

    def _fill(self, group: list[tuple[Job, Reply]], patience: float | None) -> bool:
        """Take what is queued; wait only for the first. False if the group is full, or no more will arrive."""
        take = self._queue.get_nowait if patience == 0 else partial(self._queue.get, timeout=patience)
        events_taken = 0
        try:
            while len(group) < GROUP_JOBS_MAX and events_taken < GROUP_EVENTS_MAX:
                entry = take()
                if entry is None:
                    if group or self._heavy:
                        self._queue.put(None)
                    return False
                take = self._queue.get_nowait
                if type(entry[0]) is Heavy:
                    self._heavy.put(entry)
                    continue
                group.append(entry)
                if type(entry[0]) is events.Publication:
                    events_taken += len(entry[0].events)
        except queue.Empty:
            return True
        return False

    def _commit(self, group: list[tuple[Job, Reply]], *, lost: int = 0, careful: bool = False) -> float | None:
        """Write a group and reply to its jobs. Returns in how many seconds the rider has more to do.

        `lost`: how often another node came first; `careful`: this job, or another, failed.
        """
        self._careful = careful
        self._again, self.appended, self.deliveries, self._lost = False, [], [], None
        try:
            answers, more = contention.up_to_date(partial(self._write, group), self._shared, self._db)
        except Exception as wrong:
            numbering.undo(self._db, wrong)
            self._waits.note(wrong)
            if isinstance(wrong, contention.LOST_RACES) and (not lost or (lost == 1 and isinstance(wrong, Held))):
                again = self._without_waiting(group, wrong) if lost else group
                return self._commit(again, lost=lost + 1, careful=careful)
            once_more = len(group) > 1 or (isinstance(group[0][0] if group else None, NoSavepoint) and not careful)
            if once_more and not isinstance(wrong, StoreFull | StoreBusy | Held):
                # One job that the database refuses must not fail its neighbours; for a lock each would wait again.
                waits = [self._commit([entry], careful=True) for entry in group]
                return min((wait for wait in waits if wait is not None), default=None)
            answers, more = self._refused(group, wrong), None
        self.groups += 1
        self.jobs += len(group)
        self.spacing.committed(len(group))
        self._answer(answers)
        return more

    def _without_waiting(self, group: list[tuple[Job, Reply]], wrong: Exception) -> list[tuple[Job, Reply]]:
        """The group without a job that has waited twice for a lock: that job is refused, or its neighbours would
        wait again."""
        waited, self._lost = self._lost, None
        if waited is None or not isinstance(wrong, Held):
            return group
        waited(None, contention.refusal(wrong))
        self._resolved.tell()
        return [entry for entry in group if entry[1] is not waited]

    def _write(self, group: list[tuple[Job, Reply]], locked: bool) -> tuple[list[Answered], float | None]:
        """One transaction for the group: its jobs, then the rider. Raises the store's error if that refuses."""
        self._db.begin()
        self._positions.begin()
        contention.begin(self._shared, self._db, locked)
        self._waits.begin(self._db, is_ordered=any(map(in_order, group)))
        answers = self._apply(group)
        self._waits.end(self._db)
        more = None if self._rider is None else self._rider(self._db)
        journal.store(self._db)
        contention.end(self._shared, self._db)
        # The rider routes only events that have their numbers.
        self.news = events.number(self._db), self._db.noted > 0
        more = 0.0 if self.news[0] and self._rider is not None else more
        self._db.commit()
        self._positions.end()
        self.deliveries = self._positions.deliveries
        if self.refusal is not None:
            self._mind_recovery(group, answers)
        return answers, more

    def _refused(self, group: list[tuple[Job, Reply]], wrong: Exception) -> list[Answered]:
        """The replies for a group that could not be written."""
        self.appended = []
        if not isinstance(wrong, contention.LOST_RACES):
            self.failures += 1
            self.refusal = wrong if isinstance(wrong, StoreError) else self.refusal
        if isinstance(wrong, Superseded):
            # What is in memory is out of date.
            self._on_failure()
        # The rider's remaining work is remembered, even if nothing is written for a while.
        self._again = True
        # A joined node continues in another role, and says so.
        refusal = contention.refusal(wrong, is_told=self._db.shares and isinstance(wrong, Superseded))
        return [(reply, None, refusal) for _, reply in group]

    def _answer(self, answers: list[Answered]) -> None:
        """Announce what was written, first to those that must know before any caller does."""
        try:
            for hook in self._before_replies:
                hook(self._db)
        except StoreError as wrong:
            log.error("what was written could not be read again: %s", wrong)
            self._again = True
        finally:
            for reply, result, error in answers:
                if type(reply) is Awaited:
                    self._resolved.add(reply, result, error)
                else:
                    reply(result, error)
            self._resolved.tell()
        for listener in self._listeners:
            listener()

    def _mind_recovery(self, group: list[tuple[Job, Reply]], answers: list[Answered]) -> None:
        """Writes were refused, and this group succeeded: check whether the store works again."""
        if any(error is not None for _, _, error in answers):
            return
        skipped = Probe if isinstance(self.refusal, StoreDamaged) else ()
        if any(isinstance(job, events.Publication | NoSavepoint) and not isinstance(job, skipped) for job, _ in group):
            log.warning("the store accepts writes again")
            self.refusal = None

    def _apply(self, group: list[tuple[Job, Reply]]) -> list[Answered]:
        answers: list[Answered] = []
        told: list[Event] = []
        publications = [job for job, _ in group if type(job) is events.Publication]
        results = iter(events.append(self._db, publications, self._clock.now()) if publications else ())
        certain = [each for each in publications if not each.ids_given and not self._db.shares]
        self.appended = [event for each in certain for event in each.events]
        for job, reply in group:
            if isinstance(job, events.Publication):
                result = next(results)
                answers.append((reply, result, result if isinstance(result, events.IdsTaken) else None))
            else:
                answers.append(self._one(job, reply, told))
        if told:
            events.append_new(self._db, told, self._clock.now())
            self.appended += () if self._db.shares else told
        return answers

    def _one(self, job: Any, reply: Reply, told: list[Event]) -> Answered:
        """Run one job; its events are added to `told`, unless it fails."""
        run, bare = run_of(job), isinstance(job, NoSavepoint) and not self._careful
        try:
            if bare:
                result = run(self._db)
            else:
                journal.store(self._db)
                with self._db.savepoint():
                    result = run(self._db)
        except (StoreFull, StoreBusy, StoreDamaged):
            raise
        except contention.LOST_RACES:
            self._lost = reply
            raise
        except Exception as wrong:
            if isinstance(wrong, TidingsError) and not (bare and isinstance(job, Whole)):
                return reply, None, wrong
            if bare:
                raise
            log.exception("a write job failed")
            return reply, None, wrong
        if type(result) is events.WithEvents:
            told.extend(result.events)
            result = result.result
        return reply, result, None
