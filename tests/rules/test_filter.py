"""Filters: what fits, what does not and why, and which patterns are refused."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.rules.filter import DEPTH_MAX, OPERATORS_MAX, compile, why_not
from tidings.rules.refused import Refused

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
    assert (why_not(pattern, EVENT) is None) is fits


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
    assert (why_not(pattern, EVENT) is None) is fits


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
        ({"data": {"status": "open"}}, '/data/status is "paid"; the filter asks for $eq "open".'),
        ({"data": {"total": {"$gt": 40, "$lt": 41}}}, "/data/total is 42.5; the filter asks for $lt 41."),
        ({"data": {"a/b": {"c~d": 2}}}, "/data/a~1b/c~0d is 1; the filter asks for $eq 2."),
        ({"data": {"nothing": "x"}}, '/data/nothing is missing; the filter asks for $eq "x".'),
        ({"data": {"lines": {"sku": "c"}}}, "No element of /data/lines has all the fields that the filter asks for."),
        ({"data": {"tags": ["vip", "x"]}}, '/data/tags is ["new","vip"]; it is no list with all of ["vip","x"].'),
        ({"$or": [{"type": "a"}, {"type": "b"}]}, "None of the 2 choices of $or fits the event."),
        ({"data": {"status": {"$not": "paid"}}}, '/data/status fits what $not shuts out: "paid".'),
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
    for refuse in (compile, lambda it: why_not(it, EVENT)):
        with pytest.raises(Refused) as caught:
            refuse(pattern)
        assert caught.value.pointer == pointer
        assert caught.value.detail.endswith(".")


def test_a_prefix_can_be_given() -> None:
    with pytest.raises(Refused) as caught:
        compile({"x": 1}, "/filter")
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
def test_reason_and_verdict_never_disagree(pattern: Any, document: Any) -> None:
    event = {"type": "a", "data": document}
    fits = compile({"data": pattern})(event)
    reason = why_not({"data": pattern}, event)
    assert (reason is None) is fits
    assert reason is None or reason.endswith(".")
    assert compile({"$not": {"data": pattern}})(event) is not fits


@given(DOCUMENT)
def test_everything_equals_itself(document: Any) -> None:
    event = {"data": document}
    assert compile({"data": {"$eq": document}})(event)
    assert not compile({"data": {"$ne": document}})(event)


def test_cost_grows_with_pattern_times_document_and_no_more() -> None:
    wide = {"data": {"rows": [{"n": index, "s": "a" * 20} for index in range(5000)]}}
    pattern = {"data": {"rows": [{"n": -index, "s": {"$contains": "b"}} for index in range(1, 60)]}}
    check = compile(pattern)
    started = time.process_time()
    assert not check(wide)
    assert time.process_time() - started < 5
