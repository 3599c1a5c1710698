"""Lists and details for people: whatever may have to be copied stays whole, at any width."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tidings.cli.terminal import layout

DELIVERY: dict[str, Any] = {
    "id": "dlv_01m8aeshq0f4qr3yrx1m8v1y0k",
    "state": "delivered",
    "type": "tasks.completed",
    "event": "evt_01m8aeshpyesx8v6t0gy0g1nq4",
    "last": "ok 204",
    "due": None,
}
COLUMNS = {name: name for name in DELIVERY}


def test_a_list_that_fits_is_a_table() -> None:
    lines = list(layout.table([DELIVERY, DELIVERY], COLUMNS, 120))
    assert len(lines) == 3
    assert lines[0].index("type") == lines[1].index("tasks.completed") == lines[2].index("tasks.completed")


def test_at_80_columns_no_id_is_broken() -> None:
    lines = list(layout.table([DELIVERY, DELIVERY], COLUMNS, 80))
    assert all(len(line) <= 80 for line in lines)
    assert sum(DELIVERY["id"] in line for line in lines) == sum(str(DELIVERY["event"]) in line for line in lines) == 2


def test_a_value_wider_than_the_terminal_stays_on_one_line() -> None:
    url = "https://example.com/" + "x" * 200
    assert [line for line in layout.table([{"id": "ep_1", "url": url}], {"id": "id", "url": "url"}, 80) if url in line]
    assert list(layout.details({"url": url, "filter": None, "fields": []})) == [f"url  {url}"]


@given(
    st.lists(st.lists(st.text(max_size=60), min_size=3, max_size=3), min_size=1, max_size=5),
    st.one_of(st.none(), st.integers(20, 200)),
)
def test_every_value_is_printed_whole(rows: list[list[str]], width: int | None) -> None:
    columns = {"a": "0", "b": "1", "c": "2"}
    lines = list(layout.table([dict(zip("012", row, strict=True)) for row in rows], columns, width))
    for row in rows:
        for value in row:
            assert not value or any(layout.printable(value).rstrip() in line for line in lines)
    assert not any(re.search(r"[\x00-\x1f\x7f-\x9f]", line) for line in lines)


def test_columns_line_up_for_wide_signs_too() -> None:
    heading, wide, plain = layout.table([{"a": "東京", "b": "x"}, {"a": "abcdef", "b": "x"}], {"a": "a", "b": "b"}, 80)
    assert cell_len(wide[: wide.index("x")]) == plain.index("x") == heading.index("b")


def test_terminal_control_characters_are_escaped() -> None:
    assert layout.cell("a\x1b[2Jb\r\u202ec") == "a\\x1b[2Jb\\r\\u202ec"
    assert layout.cell("na\u00efve 東京 👋") == "na\u00efve 東京 👋"
