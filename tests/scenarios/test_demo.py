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
    said = run("demo.py", "--act", "evening", "--orders", str(ORDERS), "--svg", str(picture), folder=tmp_path)
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
    said = run_in_terminal([sys.executable, str(ROOT / "examples" / "demo.py"), "--act", "evening", "--orders", "4"])
    assert "\x1b[1A" in said, "the table is drawn over itself"
    left = "\n".join(screen(said))
    assert left.count("The doors.") == 1 and "4 of 4" in left and "lost" in left


@pytest.mark.thorough
def test_in_a_terminal_of_80_by_24_headings_and_what_happens_are_whole() -> None:
    """It shrank to `arriv\u2026`."""
    command = [sys.executable, str(ROOT / "examples" / "demo.py"), "--act", "evening", "--orders", "4"]
    left = "\n".join(screen(run_in_terminal(command, 80, 24)))
    assert "4 of 4" in left and "lost" in left
    plain = re.sub(r"\x1b\[[0-9;]*m", "", left)
    for words in ("state", "arrived", "tried again", "waiting", "What happened last", "what", "dish", "try", "after"):
        assert words in plain, (words, plain)
    assert plain.count("orders.ready arrives") + plain.count("PATCH status: ready") >= 5, plain
    # Only the name of a long dish may be cut.
    assert all(line.count("\u2026") <= 1 and "arriv\u2026" not in line for line in plain.splitlines()), plain


MORNING = """\
  06:30  prices    Read 20 records on 3 pages: 20 created, 0 updated, 0 deleted
  07:30  prices    Read 20 records on 3 pages: 0 created, 2 updated, 0 deleted
  08:30  prices    Read 20 records on 3 pages: 0 created, 1 updated, 0 deleted
  08:30  till      PUT /prices/eggs {"cents":790}  200
  09:30  prices    Read 20 records on 3 pages: 0 created, 2 updated, 0 deleted
"""


def test_the_second_act_pulls_pushes_mails_and_acts_at_nine() -> None:
    said = run("demo.py", "--orders", "2")
    first, _, second = said.partition("The morning after.")
    assert "lost 0" in first
    lines = second.splitlines()
    assert [line for line in MORNING.splitlines() if line not in lines] == []
    assert sum("  till      PUT" in line for line in lines) == 6 and "429, in a second" in second
    assert [line[19:] for line in lines if "  chef  " in line] == [
        "a mail: Leeks: 1.50 to 1.95 EUR",
        "a mail: Veal: 9.90 to 12.50 EUR",
    ]
    (shopping,) = [line for line in lines if "  shopping  " in line]
    assert re.fullmatch(r'  09:00  shopping  POST /orders \{"day": "(Mon|Tues|Wednes|Thurs|Fri)day .*\}', shopping)
    assert second.splitlines()[-2] == "Four links: read 80 · changed 5 · sent 8"
    assert "Each change arrived once" in second and "\x1b" not in second


@pytest.mark.thorough
def test_the_second_act_fits_into_a_terminal_of_80_by_24() -> None:
    command = [sys.executable, str(ROOT / "examples" / "demo.py"), "--act", "morning"]
    left = screen(run_in_terminal(command, 80, 24))
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in left]
    text = "\n".join(plain)
    for words in (
        "The links",
        "runs",
        "read",
        "changed",
        "sent",
        "What happened last",
        "PUT /prices/veal",
        "a mail: Veal",
    ):
        assert words in text, (words, text)
    assert "\u2026" not in text and text.count("The links") == 1, text
    assert max(map(len, plain)) <= 80


def test_arguments_that_cannot_be_are_refused() -> None:
    with pytest.raises(AssertionError, match="--orders is a number from 1 to 300"):
        run("demo.py", "--orders", "0")
