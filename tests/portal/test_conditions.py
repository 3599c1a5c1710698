"""A filter as rows of a form, and back."""

from __future__ import annotations

from typing import Any

import pytest

from tidings.model.errors import Invalid
from tidings.web.portal.pages.conditions import Row, filter_of, rows_of


@pytest.mark.parametrize(
    "pattern",
    [
        {"data": {"total": {"$gte": 100}}},
        {"data": {"total": {"$gte": 100, "$lte": 1.5}, "status": {"$eq": "done"}}},
        {"subject": {"$startsWith": "a.b"}, "data": {"paid": {"$eq": True}, "note": {"$exist": False}}},
        {"data": {"code": {"$eq": "100"}, "nothing": {"$eq": None}, "text": {"$ne": ""}}},
    ],
)
def test_what_rows_can_show_comes_back_the_same(pattern: dict[str, Any]) -> None:
    rows = rows_of(pattern)
    assert rows is not None and rows[-1] == Row() and filter_of(rows) == pattern


def test_a_plain_value_is_shown_as_is() -> None:
    rows = rows_of({"data": {"status": "done"}})
    assert rows is not None and rows[0] == Row("data.status", "$eq", "done")


@pytest.mark.parametrize(
    "pattern",
    [
        {"$or": [{"type": "a"}]},
        {"data": {"tags": ["a", "b"]}},
        {"data": {"a.b": 1}},
        {"data": {"n": {"$in": [1, 2]}}},
        {"data": {"n": {"$not": {"x": 1}}}},
        {"data": {}},
    ],
)
def test_what_rows_cannot_show_is_not_pretended(pattern: dict[str, Any]) -> None:
    assert rows_of(pattern) is None


def test_no_row_is_no_filter() -> None:
    assert filter_of([Row(), Row("", "$eq", "")]) is None and rows_of(None) == [Row()] * 3


@pytest.mark.parametrize(
    "rows",
    [
        [Row("", "$eq", "1")],
        [Row("data..x", "$eq", "1")],
        [Row("data.x", "$where", "1")],
        [Row("data.x", "$eq", "1"), Row("data.x", "$eq", "2")],
        [Row("data.x", "$eq", "1"), Row("data.x.$eq.y", "$eq", "2")],
        [Row("data.x", "$exist", "maybe")],
    ],
)
def test_rows_that_make_no_filter_are_refused(rows: list[Row]) -> None:
    with pytest.raises(Invalid):
        filter_of(rows)
