"""`serve --workers`: the process that starts the workers, and restarts those that exit.

It opens the public port and hands the same socket to all of them. The kernel keeps one queue of connections for it: a
worker that is killed loses only the connections that it has accepted, and as long as any process has the socket, no
call is refused. Sockets of their own with SO_REUSEPORT would each have a queue, which is lost with its worker.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from tidings.nodes.line import Conversation, Said, StartOrder, Told
from tidings.rules.nodes.restarts import Restarts, is_hopeless
from tidings.rules.nodes.sharing import Candidate, at_shared_port

STOP_SECONDS = 16.0
"""How long workers have to stop. A worker that still runs after that is killed."""
REAP_SECONDS = 1.0
BROKEN, REFUSED = 1, 2
"""Exit statuses: `BROKEN` if it could not continue, `REFUSED` if it could not start."""

log = logging.getLogger("tidings.workers")


class _Worker:
    """One worker, as its supervisor sees it."""

    def __init__(self, number: int, order: StartOrder) -> None:
        self.number, self.order = number, order
        self.process: subprocess.Popen[bytes] | None = None
        self.lines: Conversation | None = None
        self.said = Said()
        """How it became ready."""
        self.is_ready = self.sends = self.drains = self.is_public = False
        self.due: float | None = None
        """When to start it."""
        self.why = ""
        self.turned = 0.0
        self.restarts = Restarts()


class Supervisor:
    """Starts workers and keeps them running. `stop` may be called from any thread."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        orders: Sequence[StartOrder],
        public: socket.socket,
        is_drained: Callable[[], bool],
    ) -> None:
        """`command` starts a worker, with its number appended. `is_drained`: whether all were asked to exit."""
        self._command, self._environment, self._public = list(command), dict(environment), public
        self._workers = [_Worker(number, order) for number, order in enumerate(orders, 1)]
        self._is_drained = is_drained
        self._watchdog = orders[0].watchdog_seconds
        self._selector = selectors.DefaultSelector()
        self._woken, self._wake = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._stops_at: float | None = None
        self._has_started = False
        self._ready_until = 0.0
        self._status, self.refusal, self._last = 0, "", ""
        self.on_ready: Callable[[list[Said]], None] = lambda said: None
        """Called once, when all workers are ready."""
        self.on_turn: Callable[[], None] = lambda: None
        """Called at least twice within the watchdog's time, as long as this loop is running."""

    def run(self) -> int:
        """Run until all have exited; returns the exit status. `refusal` says why it could not start or continue."""
        try:
            # The first one prepares the database, and makes the operator's key; the others find both.
            self._workers[0].due = time.monotonic()
            while any(each.process is not None or each.due is not None for each in self._workers):
                for key, _ in self._selector.select(self._pause(time.monotonic())):
                    if key.fileobj is self._woken:
                        self._stop()
                    else:
                        self._hear(key.data)
                if self._has_started and not self._is_stopping:
                    self._share()
                self._look(time.monotonic())
        finally:
            self.kill()
            self._selector.close()
            self._woken.close()
            self._public.close()
        return self._status

    def stop(self) -> None:
        """Ask `run` to end all workers and return."""
        with contextlib.suppress(OSError):
            self._wake.send(b"\n")

    def kill(self) -> None:
        """Kill those that still run."""
        for each in self._workers:
            if each.process is not None:
                each.process.kill()

    # --- what happens -------------------------------------------------------------------------------------------------

    def _pause(self, now: float) -> float | None:
        """How many seconds nothing has to be done."""
        moments = [each.due for each in self._workers if each.due is not None]
        if self._stops_at is not None:
            moments.append(self._stops_at)
        if self._watchdog is not None:
            moments.append(now + self._watchdog / 2)
        return max(0.0, min(moments) - now) if moments else None

    def _look(self, now: float) -> None:
        """Do what is due."""
        self.on_turn()
        for each in self._workers:
            if each.due is not None and now >= each.due:
                self._start(each)
            elif self._hangs(each, now) and each.process is not None:
                log.error("worker %d hangs: its event loop has not turned for %g s", each.number, self._watchdog)
                each.process.kill()
        if self._stops_at is not None and now >= self._stops_at:
            for each in self._workers:
                if each.process is not None:
                    log.error("worker %d has not stopped within %g s", each.number, STOP_SECONDS)
                    each.process.kill()
            self._stops_at = None
        if self._has_started and not any(each.is_ready for each in self._workers):
            self._give_up(now)

    def _hangs(self, worker: _Worker, now: float) -> bool:
        return self._watchdog is not None and worker.is_ready and now - worker.turned > self._watchdog

    def _start(self, worker: _Worker) -> None:
        worker.due, worker.why = None, ""
        worker.sends = worker.drains = worker.is_public = False
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                worker.process = subprocess.Popen(
                    [*self._command, str(worker.number)],
                    env=self._environment,
                    stdin=theirs.fileno(),
                    pass_fds=[self._public.fileno()],
                    # Ctrl-C reaches this process alone, which then stops its workers.
                    process_group=0,
                )
            except OSError as wrong:
                ours.close()
                worker.why = f"no process can be started: {wrong.strerror}"
                self._over(worker, BROKEN)
                return
        worker.lines = Conversation(ours)
        worker.lines.say(worker.order)
        self._selector.register(ours, selectors.EVENT_READ, worker)

    def _hear(self, worker: _Worker) -> None:
        if worker.lines is None:
            return
        lines = worker.lines.read()
        if lines is None:
            self._reap(worker)
            return
        for line in lines:
            said = msgspec.json.decode(line, type=Said)
            worker.turned = time.monotonic()
            worker.why = said.refused or worker.why
            worker.drains = worker.drains or said.draining
            if said.sends is not None:
                worker.sends = said.sends
            if said.ready:
                self._ready(worker, said)

    def _ready(self, worker: _Worker, said: Said) -> None:
        worker.said, worker.is_ready = said, True
        worker.restarts.ready(time.monotonic())
        # This flag is for a single start, which has now happened.
        worker.order.flags.pop("new_store", None)
        if self._has_started:
            log.info("worker %d is ready again", worker.number)
        elif worker.number == 1 and self._stops_at is None:
            for each in self._workers[1:]:
                each.due = time.monotonic()
        if not self._has_started and all(each.is_ready for each in self._workers):
            self._has_started = True
            self.on_ready([each.said for each in self._workers])

    def _share(self) -> None:
        """Tell each worker whether it should take calls at the public port."""
        ready = [each for each in self._workers if each.is_ready and each.lines is not None]
        candidates = [Candidate(each.number, each.sends, each.drains) for each in ready]
        there = at_shared_port(candidates, all_drain=self._is_drained())
        # First those that are to come.
        for each in sorted(ready, key=lambda each: each.number not in there):
            if each.lines is not None and each.is_public is not (each.number in there):
                each.is_public = each.number in there
                each.lines.say(Told(public=each.is_public))

    def _reap(self, worker: _Worker) -> None:
        """A worker has closed its line: wait for the process to exit."""
        assert worker.process is not None and worker.lines is not None
        self._selector.unregister(worker.lines.socket)
        worker.lines.socket.close()
        worker.lines = None
        try:
            status = worker.process.wait(REAP_SECONDS)
        except subprocess.TimeoutExpired:
            worker.process.kill()
            status = worker.process.wait()
        worker.process = None
        if worker.is_ready:
            self._ready_until = time.monotonic()
        self._over(worker, status)

    def _over(self, worker: _Worker, status: int) -> None:
        """Decide what to do after the worker's exit."""
        was_ready, worker.is_ready = worker.is_ready, False
        if self._is_stopping:
            self._status = self._status or (BROKEN if status else 0)
        elif not self._has_started and not was_ready:
            self.refusal = f"worker {worker.number} {self._how(worker, status)}"
            self._status = REFUSED if status in (0, REFUSED) else BROKEN
            self._stop()
        elif worker.drains and status == 0 and self._is_drained():
            log.info("worker %d has exited, as all workers were asked to", worker.number)
        else:
            now = time.monotonic()
            pause = 0.0 if worker.drains else worker.restarts.ended(now)
            worker.due = now + pause
            say = log.info if status == 0 else log.error
            after = f"in {pause:g} s" if pause else "now"
            self._last = f"worker {worker.number} {self._how(worker, status)}"
            say("%s; it is started again %s", self._last, after)

    @staticmethod
    def _how(worker: _Worker, status: int) -> str:
        if worker.why:
            return f"could not start: {worker.why.rstrip('.')}"
        if status < 0:
            return f"was ended by {signal.Signals(-status).name}"
        return f"has ended with status {status}"

    def _give_up(self, now: float) -> None:
        if self._is_stopping or not is_hopeless(now, self._ready_until):
            return
        self.refusal = f"no worker was ready for a minute; in the end, {self._last}"
        self._status = BROKEN
        self._stop()

    # --- the end ------------------------------------------------------------------------------------------------------

    @property
    def _is_stopping(self) -> bool:
        return self._public.fileno() < 0

    def _stop(self) -> None:
        if self._is_stopping:
            return
        self._selector.unregister(self._woken)
        self._public.close()
        self._stops_at = time.monotonic() + STOP_SECONDS
        for each in self._workers:
            each.due = None
            if each.lines is not None:
                with contextlib.suppress(OSError):
                    each.lines.socket.shutdown(socket.SHUT_WR)
