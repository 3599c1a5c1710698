"""Strict JSON: what is refused, with its place; and that everything else is read as the standard library reads it."""

from __future__ import annotations

import json
import math
from typing import Any

import jiter
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidings.rules.reading import exact, jsontext
from tidings.rules.reading.jsontext import DEPTH_MAX, BadJson, read, read_exact

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
SCALAR = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), TEXT
)
VALUE = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4))


def refused(raw: bytes, depth_max: int = DEPTH_MAX) -> tuple[str, str]:
    with pytest.raises(BadJson) as caught:
        read(raw, depth_max=depth_max)
    error = caught.value
    assert error.errors == [error.place]
    assert error.detail and error.status == 400
    return error.place.code, error.pointer


@given(VALUE, st.booleans(), st.sampled_from([None, 1]))
@example([1e308, 10**18, -(2**63), 5e-324, 1e-400, "\\u0000", "12345678901234567890", "1e999"], True, None)
def test_reads_what_the_standard_library_writes(value: Any, ascii_only: bool, indent: int | None) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert read(raw) == value


@pytest.mark.parametrize(
    ("raw", "code", "pointer"),
    [
        (b"", "syntax", ""),
        (b" \n", "syntax", ""),
        (b"{} x", "syntax", ""),
        (b"\xef\xbb\xbf{}", "byte_order_mark", ""),
        (b'{"a":{"b":"\xff"}}', "not_utf8", "/a/b"),
        (b'{"a":"\xed\xa0\x80"}', "not_utf8", "/a"),
        (b'\xff\xfe{\x00"\x00', "not_utf8", ""),
        (b'{"a":"\xc0\x80"}', "not_utf8", "/a"),
        (b'{"data":{"x":[1,2,{"y":tru}]}}', "syntax", "/data/x/2/y"),
        (b'{"data":{"x":[1,2,,3]}}', "syntax", "/data/x/2"),
        (b'{"a":1,}', "syntax", ""),
        (b"{'a':1}", "syntax", ""),
        (b'{"a":01}', "syntax", "/a"),
        (b'{"a":+1}', "syntax", "/a"),
        (b'{"a":.5}', "syntax", "/a"),
        (b'{"a":1.}', "syntax", "/a"),
        (b'{"a":"x', "syntax", "/a"),
        (b'{"a":[1', "syntax", "/a/0"),
        (b'{"a":"\n"}', "syntax", "/a"),
        (b'{"a":"\x00"}', "syntax", "/a"),
        (b"// x\n{}", "syntax", ""),
        (b'{"a":NaN}', "not_a_number", "/a"),
        (b'{"a":[0,Infinity]}', "not_a_number", "/a/1"),
        (b'{"a":-Infinity}', "not_a_number", "/a"),
        (b"NaN", "not_a_number", ""),
        (b'{"a":1,"a":2}', "duplicate_key", "/a"),
        (b'{"data":{"x":1,"y":[{"z":1,"\\u007a":2}]}}', "duplicate_key", "/data/y/0/z"),
        (b'{"a/b":{"c~d":1,\n "c~d":2}}', "duplicate_key", "/a~1b/c~0d"),
        (b'{"a":["x","\\u0000"]}', "nul_character", "/a/1"),
        (b'{"a":{"k\\u0000":1}}', "nul_character", "/a"),
        (b'"\\\\\\u0000"', "nul_character", ""),
        (b'{"a":"\\ud800"}', "lone_surrogate", "/a"),
        (b'{"a":"\\udc00"}', "lone_surrogate", "/a"),
        (b'{"a":"\\ud800\\ud800"}', "lone_surrogate", "/a"),
        (b'{"a":[0,"\\ud83dx"]}', "lone_surrogate", "/a/1"),
        (b'{"a":9223372036854775808}', "number_out_of_range", "/a"),
        (b'{"a":[-9223372036854775809]}', "number_out_of_range", "/a/0"),
        (b'{"data":{"x":[0,1,2,1e999]}}', "number_out_of_range", "/data/x/3"),
        (b"-1E+400", "number_out_of_range", ""),
        (b"[1e0000309]", "number_out_of_range", "/0"),
        (b"[" + b"1" * 400 + b".5]", "number_out_of_range", "/0"),
        (b"[" + b"1" * 300 + b"e99]", "number_out_of_range", "/0"),
        (b"[0," + b"1" * 5000 + b"]", "number_out_of_range", "/1"),
        (b'{"s":"1e999, 12345678901234567890","n":1e999}', "number_out_of_range", "/n"),
    ],
)
def test_refusals_name_what_and_where(raw: bytes, code: str, pointer: str) -> None:
    assert refused(raw) == (code, pointer)


@pytest.mark.parametrize(
    "raw",
    [
        b'"\\\\u0000"',
        b'"\\\\\\\\u0000"',
        b'"\\ud83d\\ude00"',
        b"9223372036854775807",
        b"-9223372036854775808",
        b"1.7976931348623157e308",
        b"1e-999",
        b'{"id":"12345678901234567890123"}',
        b'{"u":"1b4e45e7-3e45-43e4-b345-123456789012"}',
        b'{"u":"x,13e450"}',
        b'["x 12345678901234567890"]',
        b"0.0000000000000000000000000001",
        b"12345678901234567.12345678901234567890",
        b"-0",
        b" [ ] ",
        b'{"":{"":1}}',
    ],
)
def test_what_only_looks_suspicious_is_read(raw: bytes) -> None:
    assert read(raw) == json.loads(raw)


@given(st.binary(max_size=40), st.text(st.sampled_from('{}[]",:\\u0d8e+-1. Na\n'), max_size=24).map(str.encode))
def test_any_bytes_are_read_or_refused(raw: bytes, other: bytes) -> None:
    for text in (raw, other):
        try:
            value = read(text)
        except BadJson as error:
            assert error.place.code
        else:
            assert value == json.loads(text)


def nested(kinds: str, innermost: str) -> bytes:
    opening = "".join("[" if kind == "[" else '{"a":' for kind in kinds)
    closing = "".join("]" if kind == "[" else "}" for kind in reversed(kinds))
    return (opening + innermost + closing).encode()


@given(st.text(st.sampled_from("[{"), min_size=55, max_size=75), st.sampled_from(["1", "[]", "{}", '"]]}}"']))
def test_depth_is_counted_exactly(kinds: str, innermost: str) -> None:
    raw = nested(kinds, innermost)
    depth = len(kinds) + (innermost in ("[]", "{}"))
    # Many containers beside, so that their number alone does not tell.
    raw = b'{"w":[' + b",".join([b"[]"] * 80) + b'],"x":' + raw + b"}"
    if depth + 1 <= DEPTH_MAX:
        assert read(raw) == json.loads(raw)
    else:
        code, pointer = refused(raw)
        assert code == "too_deep"
        assert pointer.startswith("/x/")


@pytest.mark.parametrize("depth", [1, 2, 5, 64, 100])
def test_another_depth_can_be_asked_for(depth: int) -> None:
    assert read(nested("[" * depth, ""), depth_max=depth) == json.loads(nested("[" * depth, ""))
    assert refused(nested("[" * (depth + 1), ""), depth)[0] == "too_deep"
    assert refused(nested("{" * (depth + 1), "0"), depth)[0] == "too_deep"


def test_the_brackets_that_count_depth_let_nothing_through() -> None:
    many = b"[" + b",".join([b"{}"] * 100) + b"]"
    for raw in (many + b"],[" + many, many + b"," + many, many + b"]", b"[" + many, many[:-1], b"]" + many + b"["):
        assert refused(raw)[0] == "syntax"
    assert read(many) == [{}] * 100


def test_hostile_sizes_are_refused_or_read_without_a_quadratic_wait() -> None:
    size = 300_000
    for raw in (b"[" * size, b'["' + b"1" * size + b'"]', b'["' + b",1e000" * (size // 6) + b'"]', b'"' * size):
        try:
            read(raw)
        except BadJson as error:
            assert error.place.code in ("too_deep", "syntax")
    with pytest.raises(BadJson) as caught:
        read(b"[" + b"0," * size + b"x]")
    assert caught.value.pointer == ""
    assert "column 600002" in caught.value.detail


def test_sentences_name_line_and_column() -> None:
    with pytest.raises(BadJson, match=r"line 3, column 3"):
        read(b'{"a":\n\n  x}')
    with pytest.raises(BadJson, match=r'The name "k" appears twice'):
        read(b'{"k":1,\n"k":2}')


def test_jiter_is_as_lenient_as_we_think() -> None:
    """If these change, the checks of our own may be dropped."""
    assert jiter.from_json(b'"\\u0000"') == "\0"
    assert jiter.from_json(b"9223372036854775808") == 2**63
    assert math.isinf(jiter.from_json(b"1e999", allow_inf_nan=False))


def test_a_word_that_json_does_not_know_is_called_that() -> None:
    with pytest.raises(BadJson, match="a word that is not true, false or null"):
        read(b'{"a": nope}')


def test_an_integer_written_out_is_the_number_that_its_short_form_is() -> None:
    value = jsontext.read_exact(
        b'{"n":100000000000000000000,"m":[{"k":-20000000000000000000}],"i":9223372036854775807}'
    )
    assert value == {"n": 1e20, "m": [{"k": -2e19}], "i": 2**63 - 1} and type(value["n"]) is float
    assert type(value["m"][0]["k"]) is float and type(value["i"]) is int
    for text in (b"100000000000000000001", b"9" * 4_000, b"1" + b"0" * 309):
        with pytest.raises(jsontext.NotExact, match="nor exactly into a double; use the type decimal, or a string"):
            jsontext.read_exact(b'{"n":' + text + b"}")


def test_digits_in_the_middle_of_a_text_do_not_have_every_value_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number after a space in a text made each event three times as expensive to read."""
    walked: list[Any] = []
    out_of_range = jsontext._out_of_range

    def counted(value: Any) -> Any:
        walked.append(value)
        return out_of_range(value)

    monkeypatch.setattr(jsontext, "_out_of_range", counted)
    for text in ("parcel 12345678901234567890", "a\t\n 00000000001234567890 b", "DE 1e999", "x 1e+999"):
        raw = json.dumps({"text": text, "values": [1, 2]}).encode()
        assert read(raw) == json.loads(raw)
    assert not walked
    for gap in (b"", b" ", b"\r\n\t", b" " * 1_000):
        for number in (b"12345678901234567890", b"-12345678901234567890", b"1e999", b"1E+999"):
            assert refused(gap + number) == ("number_out_of_range", "")
            assert refused(b'{"a 1":' + gap + number + b"}") == ("number_out_of_range", "/a 1")
            assert refused(b"[" + gap + number + b"]") == ("number_out_of_range", "/0")
            assert refused(b'["b 12345678901234567890",' + gap + number + b"]") == ("number_out_of_range", "/1")


def test_a_text_with_many_digits_does_not_have_every_number_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte of numbers with one such text took a third of a second."""
    parsed: list[Any] = []
    from_json = jiter.from_json

    def counted(raw: bytes, **more: Any) -> Any:
        parsed.append(more)
        return from_json(raw, **more)

    monkeypatch.setattr(jiter, "from_json", counted)
    checked: list[str] = []
    is_kept = exact.is_kept

    def also_counted(text: str) -> bool:
        checked.append(text)
        return is_kept(text)

    monkeypatch.setattr(exact, "is_kept", also_counted)
    for text in ("12345678901234567.89", "1e-400", 'a \\"12345678901234567.89', "1.2.3456789012345678"):
        raw = json.dumps([1.5] * 1_000 + [text, {text: 7}]).encode()
        assert read_exact(raw) == json.loads(raw)
    assert not checked and len(parsed) == 4
    # Numbers are still looked at, wherever they are.
    for number in ("12345678901234567.89", "-1e-400", "1E-0400", "9" * 19, "9" * 500, "-9223372036854775809"):
        with pytest.raises(jsontext.NotExact) as caught:
            read_exact(f'{{"a": [1, {{"b/c": "x\\\\", "d": [[{number}]]}}], "e": {number}}}'.encode())
        assert [place.pointer for place in caught.value.errors] == ["/a/1/d/0/0", "/e"]
    with pytest.raises(jsontext.NotExact) as caught:
        read_exact(b"1e-400")
    assert [place.pointer for place in caught.value.errors] == [""]
    wide = ",".join(["1e-400"] * 200)
    with pytest.raises(jsontext.NotExact) as caught:
        read_exact(f"[{wide}]".encode())
    assert len(caught.value.errors) == jsontext.PLACES_MAX
    for number, value in (("1.50000000000000000", 1.5), ("10000000000000000000", 1e19), ("1e00000001", 10.0)):
        assert read_exact(f"[{number}, -{number}]".encode()) == [value, -value]
        assert type(read_exact(f"[{number}]".encode())[0]) is float


@pytest.mark.parametrize(
    ("text", "pointer", "within"),
    [
        ('{"type": "a.b", "data": {"x": 1', "/data/x", "an object, at /data/x"),
        ('{"a": ', "/a", "a value, at /a"),
        ("[1, 2,", "/2", "a value, at /2"),
        ('{"events": [{"type": "x"}, {"type": "y', "/events/1/type", "a string, at /events/1/type"),
    ],
)
def test_a_text_that_ends_early_says_within_what(text: str, pointer: str, within: str) -> None:
    with pytest.raises(BadJson) as refused:
        read(text.encode())
    assert refused.value.pointer == pointer
    assert f"Not JSON: it ends within {within} (line 1" in str(refused.value)
