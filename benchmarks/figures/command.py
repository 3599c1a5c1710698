"""Figure `command`: the processor time of a call of the command line that does nothing but start."""

from __future__ import annotations

import resource
import subprocess
import sys

from benchmarks.context import Context
from benchmarks.numbers import median
from benchmarks.table import Row

CALLS = 15
REFUSED = ("events", "list", "--json", "--url", "http://127.0.0.1:1")
"""A call that gets as far as the server, which is not there."""


def command(context: Context) -> list[Row]:
    """Medians in turn: `tidings --help`, a call, and as the reference Python that ends at once."""
    calls = {"help": ("-m", "tidings", "--help"), "call": ("-m", "tidings", *REFUSED), "python": ("-c", "pass")}
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(3 if context.quick else CALLS):
        for name, args in calls.items():
            taken[name].append(_user_seconds(args))
    note = f"a call with --json to a server that is not there {median(taken['call']):.3f} s"
    return [Row("command-help", median(taken["help"]), median(taken["python"]), note=note, details=dict(taken))]


def _user_seconds(args: tuple[str, ...]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run([sys.executable, *args], capture_output=True, check=False)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
