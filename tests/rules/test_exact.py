"""Numbers that a double keeps, and that JSON with others is refused where it is not kept as text."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidings.rules.reading import exact
from tidings.rules.reading.jsontext import NotExact, read_exact

KEPT = [
    "0.1",
    "1.0",
    "1e2",
    "-0",
    "1e23",
    "1E+23",
    "9007199254740992",
    "0.30000000000000004",
    "1.10",
    "5e-324",
    "1.7976931348623157e308",
]
LOST = [
    "9007199254740993",
    "12345678901234567.89",
    "0.1234567890123456789",
    "1e400",
    "-1e309",
    "1e-400",
    "4.9e-324",
    "1152921504606846976",
]


@pytest.mark.parametrize("text", KEPT)
def test_a_number_that_a_double_prints_again_is_kept(text: str) -> None:
    assert exact.is_kept(text)
    assert read_exact(f'{{"a":[{text}]}}'.encode()) == {"a": [json.loads(text)]}


@pytest.mark.parametrize("text", LOST)
def test_a_number_that_a_double_would_change_is_refused_with_its_location(text: str) -> None:
    assert not exact.is_kept(text)
    as_float = text if set(text) & set(".e") else text + ".0"
    with pytest.raises(NotExact) as refused:
        read_exact(f'{{"b": "1234567890123456789", "a":[1, {{"x": {as_float}}}]}}'.encode())
    assert refused.value.status == 422 and refused.value.place.pointer == "/a/1/x"
    assert "use the type decimal" in refused.value.detail


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_double_is_kept_as_it_is_written(value: float) -> None:
    for text in (repr(value), json.dumps(value), f"{value:.17e}" if exact.is_kept(f"{value:.17e}") else repr(value)):
        assert exact.is_kept(text) and read_exact(f"[{text}]".encode()) == [value]


_NUMBERS = st.builds(
    lambda sign, whole, part, power: f"{sign}{whole}{part and '.' + part}{power}",
    st.sampled_from(["", "-"]),
    st.integers(0, 10**20).map(str),
    st.text("0123456789", max_size=25),
    st.sampled_from(["", "", "e5", "E-7", "e+20", "e-310", "e300"]),
)


@given(text=_NUMBERS, before=st.sampled_from(["", '"1234567890123456789",', "1,", "[[]],", '"1:2345678901234567890",']))
@example("0.1000000000000000055511151231257827", "")
@example("12345678901234567", "")
def test_what_is_read_is_the_number_that_was_sent(text: str, before: str) -> None:
    raw = f"[{before}{text}]".encode()
    try:
        value: Any = read_exact(raw)[-1]
    except NotExact:
        as_integer = set(text) <= set("-0123456789")
        assert not (-(2**63) <= int(text) < 2**63 if as_integer else exact.is_kept(text))
        return
    assert Decimal(text) == Decimal(repr(value))


@given(st.integers(-(2**70), 2**70))
def test_whole_numbers_are_kept_if_the_double_prints_them_again(value: int) -> None:
    assert exact.is_whole_kept(value) == (Decimal(repr(float(value))) == value)
