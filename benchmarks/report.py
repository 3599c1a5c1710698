"""The table that a run prints and keeps: `benchmarks/results/latest.json` and `latest.md`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.table import Row

RESULTS = Path(__file__).parent / "results"
HEADINGS = ("figure", "measured", "reference", "ratio", "at least", "aim", "verdict", "note")
COLOURS = {"aim": "green", "enough": "yellow", "short": "red", "failed": "bold red"}


def show(rows: list[Row], console: Console) -> None:
    """Print the table."""
    table = Table(title="What Tidings shows on this machine", title_justify="left")
    for heading in HEADINGS:
        right = heading in ("measured", "reference", "ratio", "at least", "aim")
        table.add_column(heading, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*cells(row), style=COLOURS[row.verdict])
    console.print(table)


def cells(row: Row) -> tuple[str, ...]:
    """One row of the table as text."""
    promise = row.promise
    return (
        promise.title,
        f"{number(row.measured)} {promise.unit}",
        number(row.reference),
        "" if row.ratio is None else f"{row.ratio:.3f}",
        number(promise.floor),
        number(promise.aim),
        row.verdict,
        row.note,
    )


def number(value: float | None) -> str:
    """A number with as many digits as it deserves."""
    if value is None:
        return ""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}"


def keep(rows: list[Row], machine: dict[str, str], settings: dict[str, Any]) -> None:
    """Write the results, over those of the run before; a figure not taken now keeps its old row."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / "latest.json"
    taken = datetime.now(UTC).isoformat(timespec="seconds")
    stored: dict[str, Any] = json.loads(file.read_text())["figures"] if file.exists() else {}
    stored.update({row.name: {**row.stored(), "taken": taken, **settings, "machine": machine} for row in rows})
    file.write_text(json.dumps({"figures": stored}, indent=1) + "\n")
    (RESULTS / "latest.md").write_text(markdown(stored))


def markdown(stored: dict[str, Any]) -> str:
    """The results as a page."""
    lines = ["# Measured figures", "", "| " + " | ".join(HEADINGS) + " |", "|---|" + "---|" * (len(HEADINGS) - 1)]
    machines: dict[str, list[str]] = {}
    for name, each in stored.items():
        ratio = "" if each["ratio"] is None else f"{each['ratio']:.3f}"
        texts = [f"{number(each['measured'])} {each['unit']}", number(each["reference"]), ratio]
        limits = [number(each["floor"]), number(each["aim"])]
        note = each["note"] + (" (a quick run)" if each["quick"] else "")
        lines.append("| " + " | ".join([each["title"], *texts, *limits, each["verdict"], note]) + " |")
        machine = ", ".join(f"{key} {value}" for key, value in each["machine"].items())
        machines.setdefault(machine, []).append(name)
    lines += ["", "The reference is the same generator posting straight to the same sink, in the same run."]
    for machine, names in machines.items():
        lines += ["", f"Taken on ({', '.join(names)}): {machine}."]
    return "\n".join(lines) + "\n"
