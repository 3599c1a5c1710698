"""Several phases of `freezes` at once, each with its own processes and database: a frozen node only waits."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from benchmarks.processes import ROOT, end

RESULT = "SIGSTOP "
"""How the lines of the table begin."""
APART_SECONDS = 4.0
"""Between two beginnings: each starts several servers."""


def side_by_side(arguments: list[str], phases: list[str], count: int, say: Callable[[str], None]) -> int:
    """Run the same command for each phase, some at a time, and print the lines of all at the end.

    Returns how many have failed.
    """
    running: list[subprocess.Popen[str]] = []
    lock = threading.Lock()

    def run(number: int) -> tuple[int, list[str]]:
        if number < count:
            time.sleep(number * APART_SECONDS)
        command = [sys.executable, "-m", "benchmarks.nodes", *arguments, "--phases", phases[number]]
        process = subprocess.Popen(
            [*command, "--side-by-side", "1"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT, text=True
        )
        with lock:
            running.append(process)
        found = []
        assert process.stdout is not None
        for line in process.stdout:
            say(f"[{phases[number]}] {line.rstrip()}")
            if line.startswith(RESULT):
                found.append(line.rstrip())
        return process.wait(), found

    pool = ThreadPoolExecutor(count)
    try:
        results = list(pool.map(run, range(len(phases))))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in running:
            end(process, 60)
    print(*(line for _, lines in results for line in lines), sep="\n")
    return sum(status != 0 for status, _ in results)
