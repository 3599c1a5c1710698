"""Tests run in processes that are copies of the one that has collected them: this is what `-n` does on Linux.

The processes of pytest-xdist each load and collect all tests for themselves, seven seconds of processor time for each.
They are still used where a process cannot safely be copied. Tests are handed out as by its `--dist worksteal`.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

import pytest

AHEAD = 3
"""How many tests a process has: the one that runs, the next one, which pytest must know by then, and one more, so that
it need not wait for an answer in between."""


def can_copy() -> bool:
    """Whether processes can be copied. On macOS, what has loaded the system's libraries cannot safely be."""
    return sys.platform == "linux"


def take_over(config: pytest.Config, load: Callable[[], object]) -> None:
    """If several processes are asked for, let them be copies. Called before pytest-xdist sees its options.

    `load` is called before they are made: what it loads, none of them has to.
    """
    option = config.option
    if can_copy() and isinstance(option.numprocesses, int) and not option.collectonly and not option.usepdb:
        if option.numprocesses > 0:
            config.pluginmanager.register(Copies(option.numprocesses, load), "copies")
        option.numprocesses = 0


def count(config: pytest.Config) -> int:
    """How many processes run the tests."""
    copies = config.pluginmanager.get_plugin("copies")
    return copies.count if copies is not None else int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


class Copy:
    """One process that runs tests, as the first one sees it."""

    def __init__(self, name: str, pid: int, connection: Connection, part: deque[int]) -> None:
        """`part`: which tests it will be given, as long as no other process is done before."""
        self.name, self.connection, self.part = name, connection, part
        self.given: deque[int] = deque()
        self.last = 0
        self.is_told_to_end = False
        self._pid = pid

    def end(self) -> int:
        """Its exit status, once it ended: without tests to run it removes what they share, and ends."""
        self.connection.close()
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


class Copies:
    """Plugin that hands the tests of a session out to several processes, and reports what they say."""

    def __init__(self, count: int, load: Callable[[], object]) -> None:
        self.count = count
        self._load = load
        self._made = 0
        self._copies: dict[Connection, Copy] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Run them all; to None, pytest's own loop is run, which ends because of an error in collecting."""
        if session.testsfailed and not session.config.option.continue_on_collection_errors:
            return None
        self._load()
        if threading.active_count() > 1:
            raise RuntimeError(f"copies of a process have none of its threads: {threading.enumerate()}")
        reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
        reporter.showfspath = False
        folders: Any = session.config._tmp_path_factory  # type: ignore[attr-defined]
        folders.getbasetemp()  # Made once, for those of all copies.
        try:
            for part in parts(len(session.items), self.count):
                self._start(session, part)
            while self._copies:
                for connection in wait(list(self._copies)):
                    self._hear(session, self._copies[connection])  # type: ignore[index]
        finally:
            for copy in self._copies.values():
                copy.end()
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        return True

    def _start(self, session: pytest.Session, part: deque[int]) -> None:
        ours, theirs = multiprocessing.Pipe()
        name = f"gw{self._made}"
        self._made += 1
        sys.stdout.flush()
        sys.stderr.flush()
        if (pid := os.fork()) == 0:
            for each in (ours, *self._copies):
                each.close()
            work(session, theirs, name, self.count)
        theirs.close()
        self._copies[ours] = copy = Copy(name, pid, ours, part)
        for _ in range(AHEAD):
            self._give(copy)

    def _give(self, copy: Copy) -> None:
        """Give it another test: of its part, or else of the end of the longest part; at last None."""
        if copy.is_told_to_end:
            return
        if not copy.part:
            longest = max((each.part for each in self._copies.values()), key=len)
            copy.part.extendleft([longest.pop() for _ in range((len(longest) + 1) // 2)])
        given = copy.part.popleft() if copy.part else None
        if given is None:
            copy.is_told_to_end = True
        else:
            copy.given.append(given)
        with contextlib.suppress(OSError):  # It has ended, which is noticed next.
            copy.connection.send(given)

    def _hear(self, session: pytest.Session, copy: Copy) -> None:
        """Report the test that it has run, and give it another one."""
        try:
            reports, warned = copy.connection.recv()
        except (EOFError, OSError):
            self._bury(session, copy)
            return
        copy.last = copy.given.popleft()
        hook = session.config.hook
        for each in warned:
            hook.pytest_warning_recorded.call_historic(kwargs=each)
        found = [hook.pytest_report_from_serializable(config=session.config, data=each) for each in reports]
        report(session.items[copy.last], found)
        if session.shouldfail or session.shouldstop:
            for other in self._copies.values():
                other.part.clear()
        self._give(copy)

    def _bury(self, session: pytest.Session, copy: Copy) -> None:
        """It has ended. If it had more to do, the test that it ran has failed, and a new process runs the others."""
        del self._copies[copy.connection]
        status = copy.end()
        if status == 0 and copy.is_told_to_end and not copy.given:
            return
        ran = session.items[copy.given.popleft() if copy.given else copy.last]
        wrong = f"The process that ran this test ended with {status}."
        report(ran, [pytest.TestReport(ran.nodeid, ran.location, {}, "failed", wrong, "call")])
        if copy.given or copy.part:
            self._start(session, deque([*copy.given, *copy.part]))


def parts(tests: int, count: int) -> list[deque[int]]:
    """The tests, by their numbers, in as many equal parts as there are processes; see `order.longest_first`."""
    return [deque(range(tests * at // count, tests * (at + 1) // count)) for at in range(count)]


def report(item: pytest.Item, found: list[pytest.TestReport]) -> None:
    """Report a test to whoever would know of it if this process had run it."""
    hook = item.config.hook
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for each in found:
        hook.pytest_runtest_logreport(report=each)
    hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)


class Told:
    """Plugin that keeps what is reported of a test in a copy."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._reports: list[Any] = []
        self._warned: list[dict[str, Any]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep it in a form that can be sent."""
        serialize = self._config.hook.pytest_report_to_serializable
        self._reports.append(serialize(config=self._config, report=report))

    def pytest_warning_recorded(self, warning_message: Any, when: str, nodeid: str, location: Any) -> None:
        """Keep it as well, without the object that it is about, which may be anything."""
        warning_message.source = None
        told = {"warning_message": warning_message, "when": when, "nodeid": nodeid, "location": location}
        self._warned.append(told)

    def taken(self) -> tuple[list[Any], list[dict[str, Any]]]:
        """Reports and warnings since the last time."""
        found, self._reports, self._warned = (self._reports, self._warned), [], []
        return found


def work(session: pytest.Session, connection: Connection, name: str, count: int) -> None:
    """Run the tests that arrive, in a new copy, and end with it."""
    status = 1
    try:
        told = settle(session.config, name, count)
        run(session, connection, told.taken)
        status = 0
    except KeyboardInterrupt:
        pass  # The first process says so.
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def settle(config: pytest.Config, name: str, count: int) -> Told:
    """Give a copy what processes cannot share: where temporary files and output of tests go, and who reports them."""
    os.environ |= {"PYTEST_XDIST_WORKER": name, "PYTEST_XDIST_WORKER_COUNT": str(count)}
    manager: Any = config.pluginmanager
    manager.unregister(name="terminalreporter")
    manager.unregister(name="copies")
    capture = manager.get_plugin("capturemanager")
    capture.stop_global_capturing()
    capture.start_global_capturing()
    folders: Any = config._tmp_path_factory  # type: ignore[attr-defined]
    folders._basetemp = folders.getbasetemp() / name
    folders._basetemp.mkdir()
    told = Told(config)
    manager.register(told)
    # Registering replays every warning so far, also those of copies that have ended.
    told.taken()
    return told


def run(session: pytest.Session, connection: Connection, taken: Callable[[], object]) -> None:
    """Run tests until None arrives, or the first process has gone; what they share is removed with the last one."""
    given: deque[int | None] = deque()
    while True:
        while len(given) < 2 and (not given or given[-1] is not None):
            try:
                given.append(connection.recv())
            except (EOFError, OSError):
                given.append(None)
        if (index := given.popleft()) is None:
            break
        following = None if given[0] is None else session.items[given[0]]
        item = session.items[index]
        try:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        except BaseException:
            session._setupstate.teardown_exact(None)
            raise
        with contextlib.suppress(OSError):
            connection.send(taken())
