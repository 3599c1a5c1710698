"""Parameters of queries: what each way to write a list means, and numbers at their bounds."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tidings.model.collection import Collection, Field
from tidings.model.errors import Invalid
from tidings.web.items.parameters import filters_of
from tidings.web.operation import Operation, Parameter
from tidings.web.wire import query

FIELDS = (
    Field(name="s", type="string", filterable=True),
    Field(name="n", type="integer", filterable=True),
    Field(name="x", type="number", filterable=True),
    Field(name="flag", type="boolean", filterable=True),
    Field(name="day", type="date", filterable=True),
    Field(name="at", type="datetime", filterable=True),
    Field(name="kind", type="enum", values=("a", "b", "c,d", "e"), filterable=True),
    Field(name="up", type="reference", to="things", filterable=True),
)
_PARAMETERS = filters_of(Collection(name="things", fields=FIELDS), tuple(field.name for field in FIELDS))[1]
_SORT = Parameter(name="sort", schema={"type": "array", "items": {"enum": ["a", "-b"]}, "maxItems": 4}, help="")


async def _handler(parts: Any, call: Any) -> Any:
    raise AssertionError


OPERATION = Operation(
    name="things.list",
    method="GET",
    path="/v1/items/things",
    scope=None,
    summary="",
    handler=_handler,
    tag="things",
    parameters=(*_PARAMETERS, _SORT),
)
MEANS: list[tuple[str, str, list[Any]]] = [
    ("s__in=a&s__in=b", "s__in", ["a", "b"]),
    ("s__in=a,b", "s__in", ["a", "b"]),
    ("s__in=Smith%2C%20John,Doe", "s__in", ["Smith, John", "Doe"]),
    ("s__in=Smith%2C+John&s__in=Doe", "s__in", ["Smith, John", "Doe"]),
    ("s__in=Smith%2C+John", "s__in", ["Smith, John"]),
    ("s__in=Smith,John&s__in=Doe", "s__in", ["Smith,John", "Doe"]),
    ("s__in=", "s__in", [""]),
    ("s__in=,", "s__in", ["", ""]),
    ("s__in=%2C", "s__in", [","]),
    ("s__nin=a%2Cb", "s__nin", ["a,b"]),
    ("n__in=1%2C2", "n__in", [1, 2]),
    ("n__in=1,2", "n__in", [1, 2]),
    ("n__in=1&n__in=2", "n__in", [1, 2]),
    ("x__in=1.5%2C2", "x__in", [1.5, 2.0]),
    ("flag__in=true%2Cfalse", "flag__in", [True, False]),
    ("day__in=2026-01-01%2C2026-01-02", "day__in", ["2026-01-01", "2026-01-02"]),
    ("at__in=1970-01-01T00:00:00Z%2C1970-01-01T00:00:01Z", "at__in", [0, 1_000_000]),
    ("kind__in=a%2Cb", "kind__in", ["a", "b"]),
    ("kind__in=c%2Cd", "kind__in", ["c,d"]),
    ("kind__in=c%2Cd,a", "kind__in", ["c,d", "a"]),
    ("kind__in=c%2Cd&kind__in=a", "kind__in", ["c,d", "a"]),
    ("kind=c%2Cd", "kind", "c,d"),  # type: ignore[list-item]
    ("up__in=itm_1%2Citm_2", "up__in", ["itm_1", "itm_2"]),
    ("sort=a%2C-b", "sort", ["a", "-b"]),
    ("sort=a&sort=-b", "sort", ["a", "-b"]),
]


@pytest.mark.parametrize(("text", "name", "values"), MEANS, ids=[text for text, _, _ in MEANS])
def test_each_way_to_write_a_list_means_one_thing(text: str, name: str, values: list[Any]) -> None:
    assert query.read(text, OPERATION)[name] == values


WRONG = [
    *("n__in=1,x", "n__in=1%2C", "n__in=1,2&n__in=3", "kind__in=c,d", "kind__in=a%2Cz", "up__in=a%20b", "sort=a,z"),
    *("s=a&s=b", "s__in=" + ",".join("a" * 101), "&".join(["s__in=a"] * 101)),
    *("n=٣", "n=1_000", "n=%2B1", "n=9223372036854775808", "n=-9223372036854775809", "n=1e3", "n=", "n=--1"),
    *("x=٣.5", "x=1e400", "x=nan", "x=inf", "x=1_0", "day=٢٠٢٦-01-01", "at=2026-01-01T00:00:0٣Z"),
]


@pytest.mark.parametrize("text", WRONG, ids=[text[:30] for text in WRONG])
def test_an_ambiguous_list_is_refused_with_the_parameters_name(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        query.read(quote(text, safe="=&%,"), OPERATION)
    assert refused.value.errors[0].parameter == text.partition("=")[0]


_TEXTS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8), min_size=1, max_size=5
)


@pytest.mark.slow
@given(values=_TEXTS)
@settings(max_examples=examples(200))
def test_every_list_of_texts_can_be_queried(values: list[str]) -> None:
    repeated = urlencode([("s__in", value) for value in values])
    shorthand = "s__in=" + ",".join(quote(value, safe="") for value in values)
    assert query.read(repeated, OPERATION)["s__in"] == query.read(shorthand, OPERATION)["s__in"] == values


@pytest.mark.parametrize("value", [-(2**63), -(2**63) + 1, -1, 0, 10**18, 2**63 - 1])
def test_all_64_bits_can_be_queried(value: int) -> None:
    assert query.read(f"n={value}&n__in={value}&n__gte={value}", OPERATION) == {
        "n": value,
        "n__in": [value],
        "n__gte": value,
    }


def test_the_wrong_value_of_a_list_is_named() -> None:
    with pytest.raises(Invalid) as refused:
        query.read("n__in=1,2,x", OPERATION)
    assert refused.value.errors[0].detail.endswith(", not 'x'.")


@pytest.mark.parametrize(
    "text",
    [
        "at__gte=2026-01-02T00:00:00Z&at__lt=2026-01-01T00:00:00Z",
        "at__lte=2026-01-01T00:00:00Z&at__gt=2026-01-01T00:00:00Z",
        "at__gte=2026-01-01T00:00:00Z&at__lt=2026-01-01T01:00:00%2B01:00",
        "day__gte=2026-01-02&day__lte=2026-01-01",
        "day__gt=2026-01-01&day__lt=2026-01-01",
    ],
)
def test_an_empty_time_range_is_refused_with_both_ends(text: str) -> None:
    """`--since 2h --until 3h` was an empty list, as if nothing had happened."""
    with pytest.raises(Invalid) as refused:
        query.read(text, OPERATION)
    (place,) = refused.value.errors
    assert place.code == "empty_range" and (place.parameter or "?") in text
    assert all(part.partition("=")[0] in place.detail for part in text.split("&"))
    assert place.detail.count("2026-01-0") == 2


@pytest.mark.parametrize(
    "text",
    [
        "at__gte=2026-01-01T00:00:00Z&at__lt=2026-01-01T00:00:00.000001Z",
        "at__gte=2026-01-01T00:00:00Z&at__lte=2026-01-01T00:00:00Z",
        "day__gte=2026-01-01&day__lte=2026-01-01",
        "n__gte=5&n__lt=3",
    ],
)
def test_other_time_ranges_are_accepted(text: str) -> None:
    assert len(query.read(text, OPERATION)) == 2
