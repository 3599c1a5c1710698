"""Files of items: what is read from CSV and NDJSON, however it is cut into pieces, and that what is written is read."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tidings.rules.items import csv_lines
from tidings.rules.items.csv_lines import CsvLines, CsvOut
from tidings.rules.items.file_lines import (
    LINE_BYTES_MAX,
    Bad,
    Given,
    JsonLines,
    JsonLinesOut,
    Lines,
    Reader,
    Unreadable,
)

KINDS = {
    "id": "id",
    "title": "string",
    "done": "boolean",
    "price": "number",
    "pieces": "integer",
    "place": "object",
    "lines": "array",
    "due": "date",
}
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
DOCUMENT = st.fixed_dictionaries(
    {
        "id": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,9}", fullmatch=True),
        "title": st.none() | TEXT,
        "done": st.none() | st.booleans(),
        "price": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "pieces": st.none() | st.integers(-(2**63), 2**63 - 1),
        "place": st.none() | st.dictionaries(TEXT, JSON, max_size=3),
        "lines": st.none() | st.lists(JSON, max_size=3),
        "due": st.none() | st.just("2026-11-21"),
    }
)


def read(reader: Reader, text: bytes, size: int = 1 << 20) -> Lines:
    found: Lines = []
    for start in range(0, len(text), size):
        found += reader.feed(text[start : start + size])
    return found + reader.end()


def rows(text: str | bytes, size: int = 1 << 20) -> list[tuple[int, Any]]:
    """What CSV says: line numbers with values, or with the code of what is wrong."""
    raw = text if isinstance(text, bytes) else text.encode()
    return [_told(line) for line in read(CsvLines(KINDS), raw, size)]


def objects(text: bytes, size: int = 1 << 20) -> list[tuple[int, Any]]:
    return [_told(line) for line in read(JsonLines(), text, size)]


def _told(line: Given | Bad) -> tuple[int, Any]:
    return line.line, line.values if isinstance(line, Given) else line.place.code


def raw(document: dict[str, Any]) -> dict[str, Any]:
    """As items are shown: objects and arrays as JSON text."""
    return {
        name: msgspec.Raw(json.dumps(value).encode()) if isinstance(value, dict | list) else value
        for name, value in document.items()
    }


@settings(max_examples=examples(50))
@given(st.lists(DOCUMENT, max_size=5), st.integers(1, 40))
def test_what_is_written_as_csv_is_read_again(documents: list[dict[str, Any]], size: int) -> None:
    out = CsvOut(list(KINDS))
    text = out.head() + out.lines([raw(each) for each in documents])
    found = read(CsvLines(KINDS), text, size)
    assert [line.values for line in found if isinstance(line, Given)] == documents
    # Another reader of CSV sees the same cells.
    cells = list(csv.reader(io.StringIO(text.decode(), newline="")))
    assert [row[1] for row in cells[1:]] == [each["title"] or "" for each in documents]


@settings(max_examples=examples(50))
@given(st.lists(DOCUMENT, max_size=5), st.integers(1, 40))
def test_what_is_written_as_ndjson_is_read_again(documents: list[dict[str, Any]], size: int) -> None:
    text = JsonLinesOut().lines([raw(each) for each in documents])
    found = read(JsonLines(), text, size)
    assert [line.values for line in found if isinstance(line, Given)] == documents
    assert text.count(b"\n") == len(documents)


@given(st.text(st.sampled_from('ab,"\n\r1'), max_size=40), st.integers(1, 7))
def test_pieces_do_not_matter(text: str, size: int) -> None:
    def told(size: int) -> Any:
        try:
            return rows("title,pieces\n" + text, size)
        except Unreadable as wrong:
            return wrong.places

    assert told(size) == told(1 << 20)


@given(st.text(st.sampled_from('ab,"\r'), max_size=12))
def test_the_fast_way_reads_what_the_exact_one_reads(row: str) -> None:
    assume('"' in row)
    fast = csv_lines._plain_cells(row)
    assert fast is None or fast == csv_lines._cells(row)


def test_names_may_stand_in_quotes() -> None:
    assert rows('"title"\na\n\n') == [(2, {"title": "a"}), (3, {"title": None})]
    assert rows('"title",pieces\na,1\n\n') == [(2, {"title": "a", "pieces": 1})]


def test_lines_are_counted_as_an_editor_does() -> None:
    text = '\ufefftitle,pieces\r\n"two\r\nlines",1\r\n\r\nc,x\r\n"say ""hi""",3'
    assert rows(text) == [
        (2, {"title": "two\r\nlines", "pieces": 1}),
        (5, {"title": "c", "pieces": "x"}),
        (6, {"title": 'say "hi"', "pieces": 3}),
    ]
    assert objects(b'\xef\xbb\xbf{"a":1}\n\n {"b":2}\r\n[]\n{"a":1,"a":2}\n{') == [
        (1, {"a": 1}),
        (3, {"b": 2}),
        (4, "wrong_type"),
        (5, "duplicate_key"),
        (6, "syntax"),
    ]


def test_empty_is_null_and_quotes_are_the_empty_text() -> None:
    assert rows('title,done,price\n,,\n"","",""\n') == [
        (2, {"title": None, "done": None, "price": None}),
        (3, {"title": "", "done": None, "price": None}),
    ]
    # Of one column an empty line is a row; of several it is none.
    assert rows("title\na\n\n") == [(2, {"title": "a"}), (3, {"title": None})]


@pytest.mark.parametrize(
    ("name", "cell", "value"),
    [
        ("pieces", "-12", -12),
        ("pieces", "012", "012"),
        ("pieces", "1.0", "1.0"),
        ("pieces", "+1", "+1"),
        ("pieces", "9" * 30, int("9" * 30)),
        ("price", "1e2", 100.0),
        ("price", "0.30000000000000004", 0.30000000000000004),
        ("price", "NaN", "NaN"),
        ("price", ".5", ".5"),
        ("done", "TRUE", True),
        ("done", "yes", "yes"),
        ("place", '"{""a"": 1}"', {"a": 1}),
        ("place", "{", "{"),
        ("title", "=1+1", "=1+1"),
        ("title", " x ", " x "),
    ],
)
def test_cells_are_read_strictly(name: str, cell: str, value: Any) -> None:
    [(_, values)] = rows(f"{name}\n{cell}\n")
    assert values == {name: value} and type(values[name]) is type(value)


@pytest.mark.parametrize("cell", ["1e999", "12345678901234567.89", "9007199254740993", "1e-400"])
def test_a_number_that_a_double_does_not_keep_is_named(cell: str) -> None:
    number = CsvLines({"price": "number", "place": "object"})
    for text in (f"price\n{cell}\n", f'place\n"{{""a"": [{cell if "." in cell or "e" in cell else cell + ".0"}]}}"\n'):
        [bad] = number.feed(text.encode()) + number.end()
        assert isinstance(bad, Given) and bad.line == 2
        assert [place.code for place in bad.wrong] == ["not_exact"]
        number = CsvLines({"price": "number", "place": "object"})


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ('5" pipe,1', "syntax"),
        ('"a"b,1', "syntax"),
        ("a\rb,1", "syntax"),
        ("a", "wrong_columns"),
        ("a,1,2", "wrong_columns"),
        (b"\xff,1", "not_text"),
        (b"a\x00,1", "not_text"),
    ],
)
def test_a_bad_row_affects_no_other(row: str | bytes, code: str) -> None:
    bad = row if isinstance(row, bytes) else row.encode()
    assert rows(b"title,pieces\nx,1\n" + bad + b"\ny,2\n") == [
        (2, {"title": "x", "pieces": 1}),
        (3, code),
        (4, {"title": "y", "pieces": 2}),
    ]


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ("", 1, "missing"),
        ("title,colour\n", 1, "unknown_field"),
        ("title,title\n", 1, "repeated"),
        ("title,\n", 1, "unknown_field"),
        ("title;pieces\nx;1\n", 1, "syntax"),
        ("title\tcolour\nx\t1\n", 1, "syntax"),
        ("some;thing\n", 1, "unknown_field"),
        ('title\n"a\nb\n', 2, "open_quote"),
        ("title\n" + "x" * (LINE_BYTES_MAX + 1), 2, "too_long"),
        ('title\n"' + "x\n" * LINE_BYTES_MAX, 2, "too_long"),
    ],
)
def test_an_error_that_makes_the_rest_unreadable_ends_the_reading(text: str, line: int, code: str) -> None:
    with pytest.raises(Unreadable) as refused:
        rows(text, 65_536)
    assert (refused.value.places[0].line, refused.value.places[0].code) == (line, code)


def test_a_file_without_line_ends_does_not_fill_the_memory() -> None:
    reader = JsonLines()
    with pytest.raises(Unreadable, match="does not end"):
        for _ in range(LINE_BYTES_MAX // 1000 + 2):
            reader.feed(b" " * 1000)
