"""Lists and details for people: whatever may have to be copied stays whole, at any width."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.examples import examples, thorough
from tidings.cli.terminal import layout
from tidings.testing import Receiver, TestServer

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


def test_an_object_wider_than_the_terminal_gets_a_line_for_each_member() -> None:
    link = {
        "name": "crm-read",
        "when": {"every": "30m"},
        "call": {"via": "crm", "get": "/contacts", "query": {"since": "{{ since }}", "page": "{{ n }}"}, "json": None},
        "filter": None,
    }
    assert list(layout.details(link, 60)) == [
        "name  crm-read",
        'when  {"every": "30m"}',
        "call",
        "    via    crm",
        "    get    /contacts",
        '    query  {"since": "{{ since }}", "page": "{{ n }}"}',
        "    json   null",
    ]
    assert len(list(layout.details(link))) == 3


@pytest.mark.slow
@settings(max_examples=examples(60))
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


LONG = "\u6771\u4eac-\u043a\u043b\u0438\u0435\u043d\u0442-" + "a" * 40
LISTS = """
import json, sys
from tidings.cli.commands import tree
app = tree()
for args in json.loads(sys.argv[1]):
    print("##", *args)
    try:
        app(args, standalone_mode=False)
    except SystemExit as end:
        assert not end.code, args
"""


def in_a_terminal(program: str, *args: str, columns: int, env: dict[str, str]) -> str:
    """What a Python program prints to a terminal of this width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [sys.executable, "-c", program, *args]
    env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")} | env
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        said = bytearray()
        # At its end, Linux reports an error.
        with contextlib.suppress(OSError):
            while part := os.read(ours, 65_536):
                said += part
    os.close(ours)
    assert process.returncode == 0, said.decode()
    return said.decode().replace("\r\n", "\n")


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, *thorough(60)])
def test_every_list_at_80_columns_has_whole_ids_and_values(
    server: TestServer, receiver: Receiver, columns: int
) -> None:
    api = server.api
    name = f"lists{columns}"
    api.call("PUT", f"/v1/collections/{name}", {"description": LONG, "fields": {"title": {"type": "string"}}})
    api.call("PUT", f"/v1/event-types/{name}.happened_in_a_place_with_a_long_name", {"description": LONG})
    api.post("/v1/tenants", {"id": f"customer-with-a-long-id-{columns}", "name": LONG})
    made = [
        api.post("/v1/endpoints", {"url": receiver.url("/" + "x" * 90), "events": [f"{name}.*"], "description": LONG}),
        api.post("/v1/keys", {"name": LONG, "scopes": ["events:read", "events:write", "endpoints:read"]}),
        api.post("/v1/events", {"type": f"{name}.seen", "subject": LONG, "data": {}}),
        api.call("PUT", f"/v1/items/{name}/{'i' * 64}", {"title": LONG}).json,
        api.post("/v1/hooks", {"path": name + "-" + "p" * 40, "scheme": "github", "secrets": ["s" * 32]}),
    ]
    receiver.wait_for(1)
    groups = "events endpoints keys deliveries replays collections event-types tenants hooks receipts refusals links"
    lists = [[group, "list"] for group in [*groups.split(), "connections", "forms"]] + [["items", "list", name]]
    said = in_a_terminal(
        LISTS, json.dumps(lists), columns=columns, env={"TIDINGS_URL": server.url, "TIDINGS_KEY": str(api.key)}
    )
    lines = said.splitlines()
    wholes = [each["id"] for each in made] + [LONG, "i" * 64, f"customer-with-a-long-id-{columns}", "x" * 90]
    for whole in wholes:
        assert any(whole in line for line in lines), (whole, said)
    # Only a value that is wider than the terminal is longer than a line, and then it is alone on it.
    for line in lines:
        is_alone = "  " not in line.strip()
        assert is_alone or cell_len(line) <= columns, line
