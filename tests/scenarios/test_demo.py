"""The demo that `make demo` plays: nothing is lost, and it can be watched on a terminal, in a log and as a picture."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from make_pictures import run_in_terminal, screen
from tests.repository import ROOT
from tests.scenarios import run

pytestmark = pytest.mark.slow

ORDERS = 12
SAID = ("The menu", "GET /v1/items/dishes:by_course", "An order", "The kitchen", "The dish", "closes", "opens again")


def test_everything_that_happens_is_a_line(tmp_path: Path) -> None:
    picture = tmp_path / "demo.svg"
    said = run("demo.py", "--orders", str(ORDERS), "--svg", str(picture), folder=tmp_path)
    lines = said.splitlines()
    assert sum("guest    POST /v1/items/orders" in line for line in lines) == ORDERS
    assert sum("kitchen  PATCH status: ready" in line for line in lines) == ORDERS
    assert sum(line.endswith("signature ok") for line in lines) == 3 * ORDERS
    times = [float(at) for at in re.findall(r"^(?:after)? *([0-9]+\.[0-9]) s", said, re.M)]
    assert len(times) == 5 * ORDERS + 2 and times == sorted(times), said
    assert re.search(r"received 36 · retried [1-9]\d* · repeats \d+ · wrong signatures 0 · lost 0$", said, re.M)
    assert not [word for word in SAID if word not in said]
    assert "\x1b" not in said
    drawn = picture.read_text().replace("&#160;", " ")
    assert drawn.startswith("<svg") and "What happened last" in drawn and "Every dish arrived" in drawn


def test_a_terminal_shows_a_live_table() -> None:
    said = run_in_terminal([sys.executable, str(ROOT / "examples" / "demo.py"), "--orders", "4"])
    assert "\x1b[1A" in said, "the table is drawn over itself"
    left = "\n".join(screen(said))
    assert left.count("The doors.") == 1 and "4 of 4" in left and "lost" in left


def test_in_a_terminal_of_80_by_24_headings_and_what_happens_are_whole() -> None:
    """It shrank to `arriv\u2026`."""
    command = [sys.executable, str(ROOT / "examples" / "demo.py"), "--orders", "4"]
    left = "\n".join(screen(run_in_terminal(command, 80, 24)))
    assert "4 of 4" in left and "lost" in left
    plain = re.sub(r"\x1b\[[0-9;]*m", "", left)
    for words in ("state", "arrived", "tried again", "waiting", "What happened last", "what", "dish", "try", "after"):
        assert words in plain, (words, plain)
    assert plain.count("orders.ready arrives") + plain.count("PATCH status: ready") >= 5, plain
    # Only the name of a long dish may be cut.
    assert all(line.count("\u2026") <= 1 and "arriv\u2026" not in line for line in plain.splitlines()), plain


def test_arguments_that_cannot_be_are_refused() -> None:
    with pytest.raises(AssertionError, match="--orders is a number from 1 to 300"):
        run("demo.py", "--orders", "0")
