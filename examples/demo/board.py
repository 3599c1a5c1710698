"""What the demo shows: a live table on a terminal, plain lines anywhere else, and a picture of the last screen."""

from __future__ import annotations

import io
import math
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

ROWS_MAX = 22
LINES_AROUND = 21
LINES_AROUND_NARROW = 14
"""The lines of a screen that belong to sentences and to the other table."""
PICTURE_COLUMNS = 104
WIDE_COLUMNS = 100
"""From here on there is room for frames and long headings; the tables fit into 80 columns without."""
COLOURS = {"open": "green", "down": "red", "slow": "yellow"}
WHO_COLOURS = {"guest": "cyan", "kitchen": "magenta"}


HELD_SECONDS = 3.0
"""What arrived is known when it is settled, which may be after things that happened later."""


class Row(NamedTuple):
    """One thing that happened, `at` seconds after the beginning. The last three only of what arrived at a door.

    `ms`: from the call that said that it is ready.
    """

    at: float
    who: str
    what: str
    dish: str
    attempt: int | None = None
    ms: float | None = None
    genuine: bool | None = None

    @property
    def end(self) -> str:
        """The result of it, in a word or two."""
        if self.genuine is None:
            return ""
        return "signature ok" if self.genuine else "SIGNATURE WRONG"


class Count(NamedTuple):
    """One door at this moment."""

    name: str
    state: str
    arrived: int
    retried: int
    waiting: int


class Board:
    """Use it in a `with`. `say` and `happened` at any time, `show` after them."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._title = ""
        self._console = Console(highlight=False)
        self._said: list[Text] = []
        self._rows: list[Row] = []
        self._counts: list[Count] = []
        self._live: Live | None = None
        self._lines: list[tuple[float, Text]] = []
        """Not printed yet, each with when it happened."""

    def __enter__(self) -> Board:
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Leave the table as it is; what is said from now on is below it."""
        self._print_until(math.inf)
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, sentence: str, at: float | None = None) -> None:
        """Print a sentence, in rich's markup. `at`: when that was, where it belongs among what happened."""
        text = Text.from_markup(sentence)
        self._said.append(text)
        if at is None or self._console.is_terminal:
            self._console.print(text, soft_wrap=not self._console.is_terminal)
        else:
            self._line(at, text)

    def happened(self, row: Row) -> None:
        """Show one thing that happened."""
        self._rows.append(row)
        if not self._console.is_terminal:
            tries = "" if row.attempt is None or row.ms is None else f"attempt {row.attempt}  {span(row.ms):>7}"
            line = f"{row.at:5.1f} s  {row.who:<8} {row.what:<28} {row.dish:<32} {tries}  {row.end}"
            self._line(row.at, Text(line.rstrip()))

    def _line(self, at: float, text: Text) -> None:
        """Print a line, once nothing that was before it can become known any more."""
        self._lines.append((at, text))
        self._print_until(max(at for at, _ in self._lines) - HELD_SECONDS)

    def _print_until(self, end: float) -> None:
        self._lines.sort(key=lambda line: line[0])
        while self._lines and self._lines[0][0] <= end:
            self._console.print(self._lines.pop(0)[1], soft_wrap=True)

    def show(self, title: str, counts: list[Count]) -> None:
        """Draw the tables again."""
        self._title, self._counts = title, counts
        if self._live is not None:
            wide = self._console.width >= WIDE_COLUMNS
            free = self._console.height - (LINES_AROUND if wide else LINES_AROUND_NARROW)
            self._live.update(self._tables(max(3, min(ROWS_MAX, free)), wide=wide), refresh=True)

    def picture(self, path: Path, sentences_below: int) -> None:
        """Write the last screen as SVG: what was said, the tables, and below them what was said last."""
        console = Console(record=True, width=PICTURE_COLUMNS, file=io.StringIO(), highlight=False)
        above = len(self._said) - sentences_below
        console.print(*self._said[:above], sep="\n")
        console.print(self._tables(ROWS_MAX, wide=True))
        console.print(*self._said[above:], sep="\n")
        path.write_text(console.export_svg(title="make demo", unique_id="demo"))

    def _tables(self, rows: int, *, wide: bool) -> Group:
        return Group(self._doors(wide), self._happenings(rows, wide))

    def _doors(self, wide: bool) -> Table:
        table = _table(f"The doors. {self._title}", wide)
        for name in ("door", "state", "arrived", "tried again", "waiting"):
            table.add_column(name, justify="left" if name in ("door", "state") else "right", min_width=10)
        for count in self._counts:
            state = Text(count.state, COLOURS.get(count.state, ""))
            table.add_row(
                count.name, state, f"{count.arrived} of {self._total}", str(count.retried), str(count.waiting)
            )
        return table

    def _happenings(self, rows: int, wide: bool) -> Table:
        table = _table("What happened last", wide)
        table.add_column("at", justify="right", width=6)
        table.add_column("who", width=8 if wide else 7)
        table.add_column("what", width=24 if wide else 21, no_wrap=True)
        table.add_column("dish", width=31 if wide else 27, no_wrap=True)
        table.add_column("try", justify="right", width=6 if wide else 3)
        table.add_column("after", justify="right", width=6)
        table.add_column("signature" if wide else "", width=9 if wide else 3)
        last = sorted(self._rows[-rows:], key=lambda row: row.at)
        for row in last:
            tries = Text("" if row.attempt is None else str(row.attempt), "yellow" if (row.attempt or 0) > 1 else "")
            after = "" if row.ms is None else span(row.ms)
            genuine = {None: Text(""), True: Text("ok", "green"), False: Text("WRONG", "bold red")}[row.genuine]
            who = Text(row.who, WHO_COLOURS.get(row.who, ""))
            table.add_row(f"{row.at:.1f} s", who, escape(row.what), escape(row.dish), tries, after, genuine)
        for _ in range(rows - len(last)):
            table.add_row()
        return table


def _table(title: str, wide: bool) -> Table:
    if wide:
        return Table(title=title, title_justify="left", expand=False)
    return Table(title=title, title_justify="left", expand=False, box=None, padding=(0, 1, 0, 0), pad_edge=False)


def span(ms: float) -> str:
    """A duration as people read it: `5 ms`, `12.3 s`."""
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.1f} s"
