"""Starts, asks and ends the processes of a benchmark: sink, generator, and what Linux says about any of them."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.generator import Load

ROOT = Path(__file__).resolve().parents[1]
END_SECONDS = 12
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def ask(
    port: int, method: str, path: str, body: Any = None, key: str = "", headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """One HTTP request to 127.0.0.1: status and body. `body` is bytes, or something to send as JSON."""
    headers = dict(headers or {})
    if key:
        headers["Authorization"] = f"Bearer {key}"
    if body is not None and not isinstance(body, bytes):
        body, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def end(process: subprocess.Popen[Any], seconds: float = END_SECONDS) -> float:
    """End a process with SIGTERM, with SIGKILL when it does not obey in time; the seconds that it took."""
    begun = time.monotonic()
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
    return time.monotonic() - begun


class SinkProcess:
    """The sink, seen from the driver."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "benchmarks.sink", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.run = 0

    def url(self, path: str) -> str:
        """The full URL of one of its paths."""
        return f"http://127.0.0.1:{self.port}{path}"

    def new_run(self) -> int:
        """Forget all counts; from now on only marks of the returned run count."""
        self.run += 1
        ask(self.port, "POST", f"/-/reset/{self.run}", b"")
        return self.run

    def count(self) -> int:
        """Distinct arrivals over all paths."""
        return int(ask(self.port, "GET", "/-/count")[1])

    def stats(self) -> dict[str, Any]:
        """All counts; see `sink_control`."""
        stats: dict[str, Any] = json.loads(ask(self.port, "GET", "/-/stats")[1])
        return stats

    def times(self, path: str) -> bytes:
        """How often each number came to a path, one byte each."""
        return ask(self.port, "GET", f"/-/times{path}")[1]

    def first(self, path: str) -> array[int]:
        """When each number first came to a path, in ns of the monotonic clock; 0 for never."""
        return array("q", ask(self.port, "GET", f"/-/first{path}")[1])

    def know(self, path: str, secret: str) -> None:
        """Let the sink verify samples of what comes to a path."""
        ask(self.port, "POST", f"/-/secret{path}", secret.encode())

    def wait_for(self, expected: int, quiet_seconds: float = 10.0, most_seconds: float = 600.0) -> float:
        """Wait until this many distinct arrivals are counted, or none comes for a while; the seconds it took."""
        begun = changed = time.monotonic()
        before = -1
        while (now := time.monotonic()) - begun < most_seconds:
            count = self.count()
            if count >= expected or now - changed > quiet_seconds:
                break
            if count != before:
                before, changed = count, now
            time.sleep(0.02)
        return time.monotonic() - begun

    def wait_for_more(self, most_seconds: float) -> bool:
        """Wait until anything new arrives; False when nothing does in that time."""
        before, last = self.count(), time.monotonic() + most_seconds
        while time.monotonic() < last:
            if self.count() != before:
                return True
            time.sleep(0.005)
        return False


@dataclass
class Running:
    """A generator at work."""

    process: subprocess.Popen[bytes]
    report: dict[str, Any] = field(default_factory=dict)

    def result(self) -> dict[str, Any]:
        """Wait for its end and give its report; the seconds of the report have numbers as keys."""
        text, _ = self.process.communicate()
        if self.process.returncode:
            raise RuntimeError(f"the generator ended with {self.process.returncode}")
        self.report = json.loads(text)
        self.report["seconds"] = {int(second): count for second, count in self.report["seconds"].items()}
        return self.report


def start_load(load: Load) -> Running:
    """Start a generator and return at once."""
    command = [sys.executable, "-m", "benchmarks.generator", load.argument()]
    return Running(subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT))


def run_load(load: Load) -> dict[str, Any]:
    """Run a load to its end; its report."""
    return start_load(load).result()


@contextmanager
def running_load(load: Load) -> Iterator[Running]:
    """A load that is ended with the block, whatever happens in it."""
    running = start_load(load)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            end(running.process, 20)


def family(pid: int) -> list[int]:
    """A process and everything it started."""
    pids = [pid]
    for each in pids:
        try:
            for task in Path(f"/proc/{each}/task").iterdir():
                pids += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return pids


def memory_mb(pid: int, line: str = "VmRSS") -> float:
    """Resident memory of a process and its children in MB (2^20 bytes); `VmHWM` for the most it ever was."""
    total = 0
    for each in family(pid):
        try:
            text = Path(f"/proc/{each}/status").read_text()
        except OSError:
            continue
        total += sum(int(row.split()[1]) for row in text.splitlines() if row.startswith(line + ":"))
    return total / 1024


def busy_seconds() -> float:
    """Processor seconds that the whole machine has spent on anything since it started."""
    values = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _wait, interrupts, soft_interrupts, stolen = values
    return (user + nice + system + interrupts + soft_interrupts + stolen) / TICKS_PER_SECOND


class Others:
    """How much of the processors programs took that are no part of the benchmark; a busy machine makes figures poor."""

    def __init__(self, postgres_pid: int) -> None:
        self.roots = [os.getpid(), postgres_pid] if postgres_pid else [os.getpid()]
        self.begun, self.busy, self.ours = time.monotonic(), busy_seconds(), self._ours()

    def percent(self, ended_seconds: float) -> float:
        """Their share since the start, of all processors; `ended_seconds` is what our ended processes had used."""
        wall = (time.monotonic() - self.begun) * len(os.sched_getaffinity(0))
        theirs = busy_seconds() - self.busy - (self._ours() - self.ours) - ended_seconds
        return max(0.0, 100 * theirs / wall)

    def _ours(self) -> float:
        return sum(use.seconds for root in self.roots for use in thread_uses(root).values())


@dataclass(frozen=True)
class Use:
    """What a thread used: processor seconds in its own code and in the kernel, and how often it was switched away."""

    user: float
    system: float
    switches: int

    @property
    def seconds(self) -> float:
        """Processor seconds together."""
        return self.user + self.system

    def since(self, before: Use | None) -> Use:
        """The difference to an earlier moment."""
        if before is None:
            return self
        return Use(self.user - before.user, self.system - before.system, self.switches - before.switches)


def thread_uses(pid: int) -> dict[str, Use]:
    """What each thread of a process and its children used so far, by `pid/tid name`."""
    uses = {}
    for each in family(pid):
        try:
            for task in list(Path(f"/proc/{each}/task").iterdir()):
                name, _, rest = (task / "stat").read_text().partition("(")[2].rpartition(")")
                values, status = rest.split(), (task / "status").read_text()
                switches = sum(int(line.split()[1]) for line in status.splitlines() if "ctxt_switches" in line)
                user, system = int(values[11]) / TICKS_PER_SECOND, int(values[12]) / TICKS_PER_SECOND
                uses[f"{each}/{task.name} {name}"] = Use(user, system, switches)
        except OSError:
            continue
    return uses
