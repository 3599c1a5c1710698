"""The command line: `python -m benchmarks [--only NAME,...] [--seconds 60] [--quick]`."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
import traceback
from pathlib import Path

from rich.console import Console

from benchmarks import report
from benchmarks.context import Context, work_folder
from benchmarks.figures import FIGURES
from benchmarks.machine import described, file_system
from benchmarks.postgres import Postgres
from benchmarks.processes import SinkProcess, end
from benchmarks.table import Row

QUICK_SECONDS = 4.0
LOG_COLUMNS = 220


def main() -> int:
    """Take the figures, print and keep the table; 1 when a figure is short or could not be taken."""
    arguments = _arguments()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else LOG_COLUMNS)
    folder = Path(arguments.folder).resolve() if arguments.folder else work_folder()
    folder.mkdir(parents=True, exist_ok=True)
    if file_system(folder) in ("tmpfs", "ramfs"):
        console.print("The data would lie in memory, where fsync costs nothing; choose a disk with --folder.")
        return 2
    postgres = Postgres(folder / "postgres")
    sink = SinkProcess()
    context = Context(
        seconds=QUICK_SECONDS if arguments.quick else arguments.seconds,
        quick=arguments.quick,
        sink=sink,
        folder=folder,
        postgres=postgres,
        say=lambda text: console.print(f"  {text}", style="dim"),
    )
    rows: list[Row] = []
    try:
        for name in arguments.only:
            rows += _taken(context, name, console)
    finally:
        end(sink.process)
        machine = described(folder)
        if postgres.version:
            machine["postgresql"] = postgres.version
        postgres.stop()
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)
    report.show(rows, console)
    if not arguments.dry:
        report.keep(rows, machine, {"quick": arguments.quick, "seconds": context.seconds})
    return 0 if all(row.verdict in ("aim", "enough") for row in rows) else 1


def _taken(context: Context, name: str, console: Console) -> list[Row]:
    """One figure's rows; a figure that breaks is reported and does not stop the others."""
    console.print(f"[bold]{name}[/bold]")
    begun = time.monotonic()
    try:
        rows = FIGURES[name].take(context)
    except Exception as error:
        traceback.print_exc()
        return [Row(each, None, note=f"{type(error).__name__}: {error}"[:200]) for each in FIGURES[name].promises]
    for row in rows:
        console.print(f"  {row.name}: {report.number(row.measured)} {row.promise.unit} ({row.verdict}) {row.note}")
    context.say(f"{name} took {time.monotonic() - begun:.0f} s")
    return rows


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    usual = ",".join(name for name, figure in FIGURES.items() if figure.is_usual)
    parser.add_argument("--only", default=usual, help=f"figures, with commas: {', '.join(FIGURES)}")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long a speed must be held (60)")
    parser.add_argument(
        "--quick", action="store_true", help="a smoke run of about three minutes; its figures mean little"
    )
    parser.add_argument("--folder", help="where the data goes while it runs (a new temporary folder)")
    parser.add_argument("--keep", action="store_true", help="leave the data and the servers' logs in that folder")
    parser.add_argument("--dry", action="store_true", help="print the table without writing benchmarks/results")
    arguments = parser.parse_args()
    arguments.only = [name for name in arguments.only.split(",") if name]
    unknown = [name for name in arguments.only if name not in FIGURES]
    if unknown:
        parser.error(f"no such figure: {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
