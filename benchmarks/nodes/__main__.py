"""The command line: `python -m benchmarks.nodes [kills stops freezes primary order cost] [--nodes 3] [--times 100]`.

Everything runs on this machine: a primary with a synchronous replica, the nodes, the callers and the receiver. A
machine with more processors shows more; run one scenario at a time.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
from pathlib import Path

from benchmarks.context import work_folder
from benchmarks.machine import described, file_system
from benchmarks.nodes.scenarios import LONG, SCENARIOS, SHORT, Setting
from benchmarks.processes import SinkProcess, end


def main() -> int:
    """Run the scenarios, and print the lines of each at its end."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nodes", description=__doc__)
    parser.add_argument("scenarios", nargs="*", default=list(SCENARIOS), help=", ".join(SCENARIOS))
    parser.add_argument("--nodes", type=int, default=3, help="how many nodes (3); for `cost` they are 1 and 4")
    parser.add_argument("--times", type=int, help="how many faults of each kind, or hundreds of events in turn")
    parser.add_argument("--long", action="store_true", help="as many as the promises are about: hours")
    parser.add_argument("--seconds", type=float, default=25.0, help="how long a node is frozen, or a cost is measured")
    parser.add_argument("--seed", type=int, help="chance that can be repeated")
    parser.add_argument("--folder", help="where the data goes while it runs (a new temporary folder)")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.scenarios if name not in SCENARIOS]:
        parser.error(f"no such scenario: {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    folder = Path(arguments.folder).resolve() if arguments.folder else work_folder()
    folder.mkdir(parents=True, exist_ok=True)
    if file_system(folder) in ("tmpfs", "ramfs"):
        parser.error("the data would be in memory, where fsync costs nothing; choose a disk with --folder")
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        # Ends what it has started, also where a shell has it ignore SIGINT.
        signal.signal(signal_number, lambda number, frame: sys.exit(128 + number))
    sink, began = SinkProcess(), time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {text}", flush=True)

    lines = []
    try:
        for name in arguments.scenarios:
            times = arguments.times or (LONG if arguments.long else SHORT)[name]
            setting = Setting(folder / name, sink, say, arguments.nodes, times, arguments.seconds, arguments.seed)
            lines += SCENARIOS[name](setting)
    finally:
        end(sink.process)
        if not arguments.folder:
            shutil.rmtree(folder, ignore_errors=True)
        print(*(f"{key}: {value}" for key, value in described(folder.parent).items()), sep="; ")
        print(*lines, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
