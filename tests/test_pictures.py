"""The pictures of the documents: what a live table leaves on the screen is what its picture shows."""

from __future__ import annotations

import sys

from make_pictures import run_in_terminal, screen
from tests.repository import ROOT

LIVE = """
import sys
from rich.console import Console
from rich.live import Live
from rich.table import Table

console = Console()
console.print("before")
with Live(console=console, auto_refresh=False) as live:
    for rows in (1, 3, 2):
        table = Table("n", "state")
        for row in range(rows):
            table.add_row(str(row), f"[green]turn of {rows}[/]")
        live.update(table, refresh=True)
console.print("after")
"""


def test_a_live_table_leaves_its_last_state() -> None:
    lines = screen(run_in_terminal([sys.executable, "-c", LIVE]))
    assert lines[0] == "before" and lines[-1] == "after"
    assert sum("turn of 2" in line for line in lines) == 2
    assert not any("turn of 1" in line or "turn of 3" in line for line in lines)


def test_lines_written_over_are_gone() -> None:
    assert screen("one\r\ntwo\r\x1b[2K\x1b[1A\x1b[2Kthree\r\n") == ["three"]


def test_a_coloured_word_that_ends_with_an_a_is_no_step_up() -> None:
    assert screen("\x1b[1mPIZZA\r\n") == ["\x1b[1mPIZZA"]


def test_the_readme_shows_a_picture() -> None:
    text = (ROOT / "README.md").read_text()
    shown = [picture.name for picture in (ROOT / "docs" / "pictures").iterdir() if picture.name in text]
    assert shown, "the README shows none of docs/pictures/"
