"""Filters: what fits, what does not and why, and which patterns are refused."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.rules.filter import DEPTH_MAX, OPERATORS_MAX, check, compile, why_not
from tidings.rules.filter_checks import TooCostly
from tidings.rules.reading.refused import Refused

EVENT: dict[str, Any] = {
    "type": "orders.paid",
    "subject": "o-17",
    "data": {
        "status": "paid",
        "total": 42.5,
        "count": 1,
        "gift": True,
        "note": None,
        "tags": ["new", "vip"],
        "lines": [{"sku": "a", "n": 1}, {"sku": "b", "n": 5}],
        "owner": {"name": "Ada", "age": 36},
        "grid": [[1, 2], [3]],
        "empty": [],
        "a/b": {"c~d": 1},
    },
    "previous": {"status": "open"},
    "changed": ["status"],
}


@pytest.mark.parametrize(
    ("data", "fits"),
    [
        ({}, True),
        ({"status": "paid"}, True),
        ({"status": "open"}, False),
        ({"status": "paid", "count": 1}, True),
        ({"status": "paid", "count": 2}, False),
        ({"owner": {"name": "Ada"}}, True),
        ({"owner": {"name": "Ada", "age": 37}}, False),
        ({"owner": "Ada"}, False),
        ({"nothing": "x"}, False),
        ({"nothing": None}, False),
        ({"note": None}, True),
        ({"status": {"name": "paid"}}, False),
        # true is not 1, and 1 is 1.0
        ({"gift": True}, True),
        ({"gift": 1}, False),
        ({"count": True}, False),
        ({"count": 1.0}, True),
        ({"count": "1"}, False),
        # lists
        ({"tags": "vip"}, True),
        ({"tags": "old"}, False),
        ({"tags": ["vip", "new"]}, True),
        ({"tags": ["vip", "old"]}, False),
        ({"status": ["paid"]}, False),
        ({"lines": {"sku": "b", "n": 5}}, True),
        ({"lines": {"sku": "a", "n": 5}}, False),
        ({"lines": [{"sku": "a"}, {"n": 5}]}, True),
        ({"grid": 3}, True),
        ({"grid": {"$gt": 3}}, False),
        # operators
        ({"status": {"$eq": "paid"}}, True),
        ({"tags": {"$eq": ["new", "vip"]}}, True),
        ({"tags": {"$eq": ["vip", "new"]}}, False),
        ({"owner": {"$eq": {"age": 36.0, "name": "Ada"}}}, True),
        ({"owner": {"$eq": {"age": 36}}}, False),
        ({"empty": {"$eq": []}}, True),
        ({"status": {"$ne": "open"}}, True),
        ({"status": {"$ne": "paid"}}, False),
        ({"tags": {"$ne": "vip"}}, False),
        ({"nothing": {"$ne": "x"}}, False),
        ({"gift": {"$ne": 1}}, True),
        ({"total": {"$gt": 42}}, True),
        ({"total": {"$gte": 42.5, "$lt": 50}}, True),
        ({"total": {"$gte": 42.5, "$lt": 42.5}}, False),
        ({"total": {"$lte": 42.5}}, True),
        ({"total": {"$gt": "1"}}, False),
        ({"status": {"$gt": 1}}, False),
        ({"status": {"$gt": "open"}}, True),
        ({"gift": {"$gte": 1}}, False),
        ({"note": {"$lte": 0}}, False),
        ({"lines": {"n": {"$gt": 4}, "sku": "b"}}, True),
        ({"lines": {"n": {"$gt": 4}, "sku": "a"}}, False),
        ({"status": {"$in": ["open", "paid"]}}, True),
        ({"gift": {"$in": [1, "x"]}}, False),
        ({"gift": {"$in": [True]}}, True),
        ({"count": {"$in": [True]}}, False),
        ({"count": {"$in": [1.0]}}, True),
        ({"note": {"$in": [None]}}, True),
        ({"nothing": {"$in": [None]}}, False),
        ({"tags": {"$in": ["vip"]}}, True),
        ({"owner": {"$in": ["Ada"]}}, False),
        ({"status": {"$nin": ["open"]}}, True),
        ({"tags": {"$nin": ["vip"]}}, False),
        ({"nothing": {"$nin": ["x"]}}, False),
        ({"status": {"$startsWith": "pa"}}, True),
        ({"status": {"$endsWith": "id"}}, True),
        ({"count": {"$startsWith": "1"}}, False),
        ({"tags": {"$startsWith": "v"}}, True),
        ({"status": {"$contains": "ai"}}, True),
        ({"tags": {"$contains": "vip"}}, True),
        ({"tags": {"$contains": "vi"}}, False),
        ({"count": {"$contains": "1"}}, False),
        ({"status": {"$exist": True}}, True),
        ({"note": {"$exist": True}}, True),
        ({"nothing": {"$exist": False}}, True),
        ({"nothing": {"below": {"$exist": False}}}, True),
        ({"status": {"$exist": False}}, False),
        ({"nothing": {"$exist": True}}, False),
        # logic
        ({"status": {"$not": "open"}}, True),
        ({"status": {"$not": {"$startsWith": "pa"}}}, False),
        ({"nothing": {"$not": {"$eq": "x"}}}, True),
        ({"status": {"$or": ["open", "paid"]}}, True),
        ({"status": {"$or": ["open", {"$startsWith": "x"}]}}, False),
        ({"status": {"$and": [{"$startsWith": "p"}, {"$endsWith": "d"}]}}, True),
        ({"$or": [{"count": 9}, {"gift": True}]}, True),
        ({"$or": [{"count": 9}, {"gift": False}], "status": "paid"}, False),
        ({"$and": [{"count": 1}, {"gift": True}], "status": "paid"}, True),
        ({"a/b": {"c~d": 1}}, True),
    ],
)
def test_semantics(data: Any, fits: bool) -> None:
    pattern = {"data": data}
    assert compile(pattern)(EVENT) is fits
    assert compile({"$not": pattern})(EVENT) is not fits
    assert fits or why_not(pattern, EVENT).endswith(".")


@pytest.mark.parametrize(
    ("value", "asked", "fits"),
    [
        # The same moment with and without digits; a moment later; offsets that turn the order round.
        ("2026-11-29T00:00:00.000Z", {"$gte": "2026-11-29T00:00:00Z", "$lte": "2026-11-29T00:00:00Z"}, True),
        ("2026-11-29T00:00:00.500Z", {"$gt": "2026-11-29T00:00:00Z"}, True),
        ("2026-11-29T00:00:00.500Z", {"$lt": "2026-11-29T00:00:00Z"}, False),
        ("2026-11-29T01:30:00+05:00", {"$gte": "2026-11-29T00:00:00Z"}, False),
        ("2026-11-28T23:30:00-05:00", {"$gte": "2026-11-29T00:00:00Z"}, True),
        ("2026-11-29T00:00:00.000456Z", {"$lt": "2026-11-29T00:00:00.123Z"}, True),
        ("2026-11-29t05:00:00.000000001+05:00", {"$lte": "2026-11-29T00:00:00Z"}, True),
        # What is not a time on both sides compares as text: dates, times without a zone, moments that do not exist.
        ("2026-11-29T00:00:00Z", {"$gte": "2026-11-29"}, True),
        ("2026-11-29", {"$gte": "2026-11-29T00:00:00Z"}, False),
        ("2026-11-29T12:00:00", {"$gt": "2026-11-29T00:00:00Z"}, True),
        ("2026-02-30T00:00:00+05:00", {"$gt": "2026-02-30T00:00:00Z"}, False),
        ("soon", {"$gt": "2026-11-29T00:00:00Z"}, True),
        (1_796_000_000, {"$gt": "2026-11-29T00:00:00Z"}, False),
        (["2026-11-28T00:00:00Z", "2026-11-29T00:00:00.5Z"], {"$gt": "2026-11-29T00:00:00Z"}, True),
        # Equality is of the text.
        ("2026-11-29T00:00:00.000Z", "2026-11-29T00:00:00Z", False),
    ],
)
def test_times_compare_as_moments(value: Any, asked: Any, fits: bool) -> None:
    event = {"type": "orders.paid", "data": {"created": value}}
    assert compile({"data": {"created": asked}})(event) is fits
    assert fits or why_not({"data": {"created": asked}}, event).endswith(".")


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ({}, True),
        ({"type": "orders.paid", "subject": {"$startsWith": "o-"}}, True),
        ({"previous": {"status": {"$ne": "paid"}}, "data": {"status": "paid"}}, True),
        ({"changed": "status"}, True),
        ({"changed": "total"}, False),
        ({"$or": [{"type": "x"}, {"$and": [{"subject": "o-17"}, {"changed": {"$exist": True}}]}]}, True),
        ({"$not": {"$or": [{"type": "x"}, {"type": "orders.paid"}]}}, False),
    ],
)
def test_whole_events(pattern: Any, fits: bool) -> None:
    assert compile(pattern)(EVENT) is fits
    assert fits or why_not(pattern, EVENT).endswith(".")


def test_an_event_without_the_field() -> None:
    bare = {"type": "a", "data": 5}
    assert not compile({"previous": {"status": "open"}})(bare)
    assert compile({"previous": {"$exist": False}})(bare)
    assert compile({"previous": {"status": {"$exist": False}}})(bare)
    assert compile({"data": 5})(bare)
    assert not compile({"data": {"x": 1}})(bare)


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ({"data": {"status": "open"}}, '/data/status is "paid"; the filter requires $eq "open".'),
        ({"data": {"total": {"$gt": 40, "$lt": 41}}}, "/data/total is 42.5; the filter requires $lt 41."),
        ({"data": {"a/b": {"c~d": 2}}}, "/data/a~1b/c~0d is 1; the filter requires $eq 2."),
        ({"data": {"nothing": "x"}}, '/data/nothing is missing; the filter requires $eq "x".'),
        ({"data": {"lines": {"sku": "c"}}}, "No element of /data/lines has all the fields that the filter requires."),
        (
            {"data": {"tags": ["vip", "x"]}},
            '/data/tags is ["new","vip"], which is not a list that contains all of ["vip","x"].',
        ),
        ({"$or": [{"type": "a"}, {"type": "b"}]}, "No alternative in $or matches the event."),
        ({"data": {"status": {"$not": "paid"}}}, '/data/status matches what $not excludes: "paid".'),
    ],
)
def test_sentences_say_where_it_failed(pattern: Any, says: str) -> None:
    assert why_not(pattern, EVENT) == says


@pytest.mark.parametrize(
    ("pattern", "pointer"),
    [
        (None, ""),
        ([], ""),
        ("x", ""),
        ({"tenant": "x"}, "/tenant"),
        ({"$eq": 1}, "/$eq"),
        ({"$exist": True}, "/$exist"),
        ({"data": {"x": {"$regex": "a+"}}}, "/data/x/$regex"),
        ({"data": {"x": {"$gt": True}}}, "/data/x/$gt"),
        ({"data": {"x": {"$gt": None}}}, "/data/x/$gt"),
        ({"data": {"x": {"$lt": [1]}}}, "/data/x/$lt"),
        ({"data": {"x": {"$in": "abc"}}}, "/data/x/$in"),
        ({"data": {"x": {"$in": []}}}, "/data/x/$in"),
        ({"data": {"x": {"$in": [[1]]}}}, "/data/x/$in"),
        ({"data": {"x": {"$nin": {"a": 1}}}}, "/data/x/$nin"),
        ({"data": {"x": {"$startsWith": 1}}}, "/data/x/$startsWith"),
        ({"data": {"x": {"$contains": {}}}}, "/data/x/$contains"),
        ({"data": {"x": {"$exist": 1}}}, "/data/x/$exist"),
        ({"data": {"x": []}}, "/data/x"),
        ({"$or": []}, "/$or"),
        ({"$and": {"type": "x"}}, "/$and"),
        ({"$or": [{"type": "x"}, 5]}, "/$or/1"),
        ({"$or": [{"tenant": "x"}]}, "/$or/0/tenant"),
        ({"$not": {"id": 1}}, "/$not/id"),
        ({"data": {"a/b": {"$x": 1}}}, "/data/a~1b/$x"),
        ({"data": {"x": "y" * 3000}}, "/data/x"),
        ({"data": {"x": {"$in": list(range(2000))}}}, "/data/x/$in/999"),
        ({"data": {str(n): 1 for n in range(OPERATORS_MAX + 1)}}, f"/data/{OPERATORS_MAX - 1}"),
        ({"data": {"x": {"$or": [1] * 300}}}, "/data/x/$or"),
    ],
)
def test_refusals_name_the_place(pattern: Any, pointer: str) -> None:
    for refuse in (check, compile, lambda it: why_not(it, EVENT)):
        with pytest.raises(Refused) as caught:
            refuse(pattern)
        assert caught.value.pointer == pointer
        assert caught.value.detail.endswith(".")


def test_a_prefix_can_be_given() -> None:
    with pytest.raises(Refused) as caught:
        check({"x": 1}, "/filter")
    assert caught.value.pointer == "/filter/x"


@pytest.mark.parametrize("name", ["x", "$not", "$or"])
def test_depth_is_bounded(name: str) -> None:
    def deep(levels: int) -> Any:
        pattern: Any = 1
        for _ in range(levels):
            pattern = {name: [pattern] if name == "$or" else pattern}
        return {"data": pattern}

    compile(deep(DEPTH_MAX - 2))(EVENT)
    for levels in (DEPTH_MAX, 500):
        with pytest.raises(Refused, match="nested"):
            compile(deep(levels))


SCALAR = st.one_of(st.none(), st.booleans(), st.integers(0, 3), st.sampled_from(["a", "ab", "b"]))
DOCUMENT = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3)
)
COMPARING = st.one_of(
    st.tuples(st.sampled_from(["$eq", "$ne"]), DOCUMENT),
    st.tuples(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), st.sampled_from([0, 1, 2.5, "a", "b"])),
    st.tuples(st.sampled_from(["$in", "$nin"]), st.lists(SCALAR, min_size=1, max_size=3)),
    st.tuples(st.sampled_from(["$startsWith", "$endsWith"]), st.sampled_from(["a", "b"])),
    st.tuples(st.just("$contains"), SCALAR),
    st.tuples(st.just("$exist"), st.booleans()),
).map(lambda pair: dict([pair]))
PATTERN = st.recursive(
    SCALAR | COMPARING,
    lambda inner: (
        st.dictionaries(st.sampled_from("xyz"), inner, max_size=3)
        | st.lists(inner, min_size=1, max_size=2)
        | inner.map(lambda it: {"$not": it})
        | st.lists(inner, min_size=1, max_size=2).flatmap(lambda its: st.sampled_from([{"$or": its}, {"$and": its}]))
    ),
    max_leaves=8,
)


@given(PATTERN, DOCUMENT)
def test_every_mismatch_has_a_sentence(pattern: Any, document: Any) -> None:
    event = {"type": "a", "data": document}
    fits = compile({"data": pattern})(event)
    assert fits or why_not({"data": pattern}, event).endswith(".")
    assert compile({"$not": {"data": pattern}})(event) is not fits


@given(DOCUMENT)
def test_everything_equals_itself(document: Any) -> None:
    event = {"data": document}
    assert compile({"data": {"$eq": document}})(event)
    assert not compile({"data": {"$ne": document}})(event)


ONES = [1] * 300_000
COSTLY: dict[str, tuple[Any, Any]] = {
    "a list of values over a list": (list(range(1000, 1990)), [*ONES, *range(1000, 1989)]),
    "objects over a list": ([{"x": each} for each in range(90)], [{"x": -1}] * 100_000),
    "choices over a list": ({"$or": [{"$gt": each} for each in range(1000, 1090)]}, ONES),
    "fields over a list": ({f"k{each}": {"$exist": False} for each in range(95)}, [{"k94": 1}] * 100_000),
    "long texts over a list": (
        {"$or": [{"$gt": "x" * 1900 + str(each)} for each in range(30)]},
        ["x" * 1900 + "0"] * 500,
    ),
    "times over a list": (
        {"$or": [{"$gt": f"2026-11-29T00:00:{each:02d}Z"} for each in range(60)]},
        ["2026-11-28T01:02:03.123456+05:00"] * 10_000,
    ),
    "a part of a long text": (
        {"$or": [{"$contains": "a" * 1000 + "b" * each} for each in range(1, 30)]},
        "a" * 1_000_000,
    ),
    "values of a set over a list": ({"$in": [str(each) for each in range(900)]}, ["x"] * 300_000),
    "a large value over a list": ({"$eq": [[0] * 30] * 25}, [[[0] * 30] * 24 + [[1] * 30]] * 10_000),
    "not in not": ({"$not": {"x": {"$not": {"$not": {"$nin": ["y"]}}}}}, [{"x": "y"}] * 300_000 + [{"x": "z"}]),
    "lists in lists": ({"$or": [{"$eq": each} for each in range(90)]}, [[[[[[[[[["x"]]]]]]]]]] * 50_000),
}


@pytest.mark.parametrize("name", COSTLY)
def test_no_filter_takes_long_on_any_event(name: str) -> None:
    pattern, data = COSTLY[name]
    check({"data": {"a": pattern}})
    fits = compile({"data": {"a": pattern}})
    started = time.thread_time()
    with pytest.raises(TooCostly):
        fits({"data": {"a": data}})
    assert time.thread_time() - started < 0.5  # some 10 ms


def test_a_list_of_values_costs_values_plus_elements() -> None:
    """The values times the elements would be 24 million steps."""
    fits = compile({"data": {"a": list(range(990))}})
    assert fits({"data": {"a": [-1] * 24_000 + list(range(990))}})
    assert not fits({"data": {"a": [-1] * 24_000 + list(range(989))}})


def test_true_does_not_equal_1_in_a_list_of_values() -> None:
    both = compile({"data": [1, True, None, "a"]})
    assert both({"data": ["a", None, 1.0, [True]]})
    assert not both({"data": ["a", None, 1, 1]})
    assert not both({"data": ["a", None, True, True]})


def test_a_filter_that_is_cut_off_may_fit_before_that() -> None:
    assert compile({"data": {"a": 1}})({"data": {"a": [1, *ONES]}})
    assert not compile({"type": "x", "data": {"a": 2}})({"type": "y", "data": {"a": ONES}})


@pytest.mark.parametrize(
    ("pattern", "pointer", "says"),
    [
        ({"data": {"x": [{}] * 300}}, "/data/x", "200 fields and operators"),
        ({"data": {"x": [[1]] * 300}}, "/data/x", "200 fields and operators"),
        ({"data": {"x": {"$in": ["y" * 500 + str(each) for each in range(200)]}}}, "", "65,536 bytes"),
        ({"data": {"x" * 70_000: 1}}, "", "65,536 bytes"),
    ],
)
def test_the_size_of_a_filter_is_bounded(pattern: Any, pointer: str, says: str) -> None:
    with pytest.raises(Refused, match=says) as caught:
        check(pattern)
    assert caught.value.pointer == pointer
    compile(pattern)  # one that is stored already continues working


@pytest.mark.parametrize(
    ("data", "pointer", "meant"),
    [
        ({"price": {"gte": 100}}, "/data/price/gte", "$gte"),
        ({"price": {"lt": 100, "$gt": 1}}, "/data/price/lt", "$lt"),
        ({"state": {"in": ["a", "b"]}}, "/data/state/in", "$in"),
        ({"or": [{"a": 1}, {"b": 2}]}, "/data/or", "$or"),
        ({"not": {"a": 1}}, "/data/not", "$not"),
        ({"name": {"startsWith": "a"}}, "/data/name/startsWith", "$startsWith"),
        ({"name": {"starts_with": "a"}}, "/data/name/starts_with", "$startsWith"),
        ({"name": {"exists": True}}, "/data/name/exists", "$exist"),
        ({"name": {"$exists": True}}, "/data/name/$exists", "$exist"),
        ({"name": {"$startswith": "a"}}, "/data/name/$startswith", "$startsWith"),
    ],
)
def test_an_operator_without_its_dollar_is_refused_with_what_was_meant(data: Any, pointer: str, meant: str) -> None:
    with pytest.raises(Refused, match=rf"[Dd]id you mean \{meant}\?") as caught:
        check({"data": data})
    assert caught.value.pointer == pointer


def test_a_field_may_be_called_as_an_operator() -> None:
    pattern = {"data": {"in": {"$eq": 5}, "not": {"$and": [{"x": 1}]}}}
    check(pattern)
    assert compile(pattern)({"data": {"in": 5, "not": {"x": 1}}})
    assert compile({"data": {"gte": 100}})({"data": {"gte": 100}})  # stored before this was refused


def test_logic_next_to_an_events_fields_needs_its_dollar() -> None:
    with pytest.raises(Refused, match=r"did you mean \$or\?"):
        check({"or": [{"type": "a"}]})
