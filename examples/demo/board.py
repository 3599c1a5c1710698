"""What the demo shows: a live table on a terminal, plain lines anywhere else, and a picture of the last screen."""

from __future__ import annotations

import io
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

ROWS_MAX = 14
LINES_AROUND = 20
"""The lines of a screen that belong to sentences and to the other table."""
PICTURE_COLUMNS = 104
COLOURS = {"open": "green", "down": "red", "slow": "yellow"}


class Row(NamedTuple):
    """One arrival. `ms`: from the call that published it."""

    type: str
    door: str
    attempt: int
    ms: float
    genuine: bool


class Count(NamedTuple):
    """One door at this moment."""

    name: str
    state: str
    arrived: int
    retried: int
    waiting: int


class Board:
    """Use it in a `with`. `say` and `arrived` at any time, `show` after them."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._console = Console(highlight=False)
        self._said: list[Text] = []
        self._rows: list[Row] = []
        self._counts: list[Count] = []
        self._live: Live | None = None

    def __enter__(self) -> Board:
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Leave the table as it is; what is said from now on stands below it."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, sentence: str) -> None:
        """Print a sentence, in rich's markup."""
        text = Text.from_markup(sentence)
        self._said.append(text)
        self._console.print(text, soft_wrap=True)

    def arrived(self, row: Row) -> None:
        """Show one arrival."""
        self._rows.append(row)
        if not self._console.is_terminal:
            genuine = "signature ok" if row.genuine else "SIGNATURE WRONG"
            line = f"{row.type:<48} {row.door:<8} attempt {row.attempt}  {span(row.ms):>7}  {genuine}"
            self._console.print(escape(line), soft_wrap=True)

    def show(self, counts: list[Count]) -> None:
        """Draw the tables anew."""
        self._counts = counts
        if self._live is not None:
            self._live.update(self._tables(max(3, min(ROWS_MAX, self._console.height - LINES_AROUND))), refresh=True)

    def picture(self, path: Path, sentences_below: int) -> None:
        """Write the last screen as SVG: what was said, the tables, and below them what was said last."""
        console = Console(record=True, width=PICTURE_COLUMNS, file=io.StringIO(), highlight=False)
        above = len(self._said) - sentences_below
        console.print(*self._said[:above], sep="\n")
        console.print(self._tables(ROWS_MAX))
        console.print(*self._said[above:], sep="\n")
        path.write_text(console.export_svg(title="make demo", unique_id="demo"))

    def _tables(self, rows: int) -> Group:
        return Group(self._doors(), self._arrivals(rows))

    def _doors(self) -> Table:
        table = Table(title="The doors", title_justify="left", expand=False)
        for name in ("receiver", "state", "arrived", "tried again", "waiting"):
            table.add_column(name, justify="left" if name in ("receiver", "state") else "right", min_width=8)
        for count in self._counts:
            state = Text(count.state, COLOURS.get(count.state, ""))
            table.add_row(
                count.name, state, f"{count.arrived} of {self._total}", str(count.retried), str(count.waiting)
            )
        return table

    def _arrivals(self, rows: int) -> Table:
        table = Table(title="What arrived last", title_justify="left", expand=False)
        table.add_column("type", width=46, no_wrap=True)
        table.add_column("receiver", width=8)
        for name in ("attempt", "after"):
            table.add_column(name, justify="right", width=8)
        table.add_column("signature", width=9)
        last = self._rows[-rows:]
        for row in last:
            genuine = Text("ok", "green") if row.genuine else Text("WRONG", "bold red")
            attempt = Text(str(row.attempt), "" if row.attempt == 1 else "yellow")
            table.add_row(escape(row.type), row.door, attempt, span(row.ms), genuine)
        for _ in range(rows - len(last)):
            table.add_row()
        return table


def span(ms: float) -> str:
    """A duration as people read it: `5 ms`, `12.3 s`."""
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.1f} s"
