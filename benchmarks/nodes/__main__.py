"""The command line: `python -m benchmarks.nodes [SCENARIO ...] [--times 100]`; `--help` lists the scenarios.

Everything runs on this machine: a primary with a synchronous replica, the nodes, the callers and the receiver. A
machine with more processors shows more; run one scenario at a time.
"""

from __future__ import annotations

import argparse
import math
import shutil
import signal
import sys
import time
from pathlib import Path

from benchmarks.context import work_folder
from benchmarks.machine import described, file_system
from benchmarks.nodes.phases import PHASES
from benchmarks.nodes.scenarios import LONG, SCENARIOS, SHORT
from benchmarks.nodes.setting import Setting
from benchmarks.nodes.side_by_side import side_by_side
from benchmarks.processes import SinkProcess, end


def main() -> int:
    """Run the scenarios, and print the lines of each at its end."""
    arguments = _parsed()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        # Ends what it has started, also where a shell has it ignore SIGINT.
        signal.signal(signal_number, lambda number, frame: sys.exit(128 + number))
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {text}", flush=True)

    if arguments.side_by_side > 1:
        return side_by_side(sys.argv[1:], arguments.phases, arguments.side_by_side, say)
    folder = Path(arguments.folder).resolve() if arguments.folder else work_folder()
    folder.mkdir(parents=True, exist_ok=True)
    if file_system(folder) in ("tmpfs", "ramfs"):
        raise SystemExit("the data would be in memory, where fsync costs nothing; choose a disk with --folder")
    sink, lines = SinkProcess(), []
    try:
        for name in arguments.scenarios:
            setting = Setting(
                folder / name,
                sink,
                say,
                arguments.nodes,
                arguments.times or (LONG if arguments.long else SHORT)[name],
                arguments.seconds,
                arguments.rates,
                arguments.phases,
                arguments.events,
                arguments.seed,
                arguments.minutes,
                arguments.share_sending,
            )
            lines += SCENARIOS[name](setting)
    finally:
        end(sink.process)
        if not arguments.folder:
            shutil.rmtree(folder, ignore_errors=True)
        print(*(f"{key}: {value}" for key, value in described(folder.parent).items()), sep="; ")
        print(*lines, sep="\n")
    return 0


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nodes", description=__doc__)
    parser.add_argument("scenarios", nargs="*", default=list(SCENARIOS), help=", ".join(SCENARIOS))
    parser.add_argument("--nodes", type=int, default=3, help="how many nodes (3); for `cost` they are 1 and 4")
    parser.add_argument(
        "--times", type=int, help="how many faults of each kind, hundreds of events or pairs, or rounds"
    )
    parser.add_argument("--long", action="store_true", help="as many as the promises are about: hours")
    parser.add_argument("--seconds", type=float, default=25.0, help="how long a node is frozen, or a turn takes")
    parser.add_argument("--rates", type=_numbers, default=[300.0], help="for `cost`: events a second in all (300)")
    parser.add_argument("--phases", type=_names, default=list(PHASES), help=f"for `freezes`: {', '.join(PHASES)}")
    parser.add_argument("--side-by-side", type=int, default=1, help="for `freezes`: how many phases at once (1)")
    parser.add_argument("--events", type=int, default=1_000_000, help="for `stored`: how many (a million)")
    parser.add_argument("--seed", type=int, help="chance that can be repeated")
    parser.add_argument("--minutes", type=float, default=math.inf, help="how long to cause faults, at most")
    parser.add_argument("--share-sending", default="auto", help="the nodes' setting: auto (the default), always, never")
    parser.add_argument("--folder", help="where the data goes while it runs (a new temporary folder)")
    arguments = parser.parse_args()
    for what, given, there in (
        ("scenario", arguments.scenarios, SCENARIOS.keys()),
        ("phase", arguments.phases, PHASES.keys()),
    ):
        if unknown := [name for name in given if name not in there]:
            parser.error(f"there is no {what} {', '.join(unknown)}; there are {', '.join(there)}")
    if arguments.side_by_side > 1 and (arguments.scenarios != ["freezes"] or arguments.folder):
        parser.error("only `freezes` run side by side, each phase in its own temporary folder")
    return arguments


def _names(text: str) -> list[str]:
    return text.split(",")


def _numbers(text: str) -> list[float]:
    return [float(each) for each in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
