"""What people write in each type of field, and what the form says about it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tidings.model.errors import Malformed, TidingsError
from tidings.model.forms.form import FormField
from tidings.rules.forms.fields import check_fields
from tidings.rules.forms.posted import Posted, read_posted
from tidings.rules.forms.texts import LANGUAGES, Says, sentences, size_text, types_text
from tidings.rules.forms.values import FormChecks
from tidings.rules.reading.multipart import file_name
from tidings.rules.reading.refused import Refused

FIELDS: dict[str, dict[str, Any]] = {
    "line": {"min": 2, "max": 5},
    "area": {"type": "textarea", "max": 10},
    "email": {"type": "email"},
    "tel": {"type": "tel"},
    "url": {"type": "url"},
    "number": {"type": "number", "min": -1.5, "max": 100},
    "whole": {"type": "integer", "min": 1},
    "day": {"type": "date", "min": "2026-01-01", "max": "2026-12-31"},
    "hour": {"type": "time", "max": "17:30"},
    "pick": {"type": "select", "options": {"a": "A", "b": "B"}},
    "box": {"type": "checkbox"},
    "must": {"type": "checkbox", "required": True},
    "many": {"type": "checkboxes", "options": ["x", "y", "z"], "min": 2, "max": 2},
    "code": {"pattern": "[A-Z]{3}", "pattern_help": "Three letters."},
}


def said(name: str, *texts: str, **change: Any) -> Any:
    """The value of a field, or the code of what is wrong with it."""
    field = msgspec.convert(FIELDS[name] | change, FormField)
    data, wrong = FormChecks({name: field}, "en").check(Posted({name: list(texts)}, {}))
    if wrong:
        return wrong[0].code
    value = data.get(name)
    return bytes(value).decode() if isinstance(value, msgspec.Raw) else value


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("line", "  abc ", "abc"),
        ("line", "a", "too_short"),
        ("line", "abcdef", "too_long"),
        ("line", "é€😀", "é€😀"),
        ("line", "a\u2028b", "wrong_value"),
        ("line", "a\rb", "wrong_value"),
        ("line", "a\x07b", "control_character"),
        ("line", " \t ", None),
        ("area", "a\r\nb\rc", "a\nb\nc"),
        ("area", "  a\n", "  a\n"),
        ("area", "\r\n\r\n", None),
        ("area", "x" * 11, "too_long"),
        ("email", "ann@example.com", "ann@example.com"),
        ("email", "ann", "format"),
        ("email", "ann@example.com, eve@example.com", "format"),
        ("tel", "+43 (1) 234-56.78", "+43 (1) 234-56.78"),
        ("tel", "call me", "format"),
        ("tel", "---", "format"),
        ("url", "https://example.com/a?b#c", "https://example.com/a?b#c"),
        ("url", "javascript:alert(1)", "format"),
        ("url", "https://user:secret@example.com", "format"),
        ("url", "example.com", "format"),
        ("number", "-1.50", "-1.50"),
        ("number", "1e2", "1e2"),
        ("number", "1,5", "format"),
        ("number", "0x10", "format"),
        ("number", "NaN", "format"),
        ("number", "100.1", "out_of_range"),
        ("number", "0.12345678901234567890123", "not_exact"),
        ("number", "9" * 5_000, "format"),
        ("number", "1e999999999", "not_exact"),
        ("whole", "12", "12"),
        ("whole", "0", "out_of_range"),
        ("whole", "1.5", "format"),
        ("whole", "9223372036854775808", "not_exact"),
        ("whole", "٣", "format"),
        ("day", "2026-11-29", "2026-11-29"),
        ("day", "2026-02-30", "format"),
        ("day", "29.11.2026", "format"),
        ("day", "2027-01-01", "out_of_range"),
        ("hour", "09:30", "09:30"),
        ("hour", "17:30:01", "out_of_range"),
        ("hour", "9:30", "format"),
        ("hour", "24:00", "format"),
        ("pick", "a", "a"),
        ("pick", "A", "not_in_enum"),
        ("pick", "", None),
        ("box", "on", True),
        ("box", "", False),
        ("box", "perhaps", "wrong_value"),
        ("must", "", "missing"),
        ("code", "ABC", "ABC"),
        ("code", "ABCD", "pattern"),
    ],
)
def test_what_is_typed_is_a_value_or_what_is_wrong_with_it(name: str, text: str, expected: Any) -> None:
    assert said(name, text) == expected


@pytest.mark.parametrize(
    "digits", ["9007199254740993", "9223372036854775807", "-9223372036854775808", "9007199254740992", "-1", "0"]
)
def test_a_whole_number_has_64_bits(digits: str) -> None:
    assert said("whole", digits, min=None) == digits


@pytest.mark.parametrize("digits", ["9223372036854775808", "-9223372036854775809", "9" * 30])
def test_a_whole_number_of_more_than_64_bits_has_too_many_digits(digits: str) -> None:
    assert said("whole", digits, min=None) == "not_exact"


@pytest.mark.parametrize(
    ("digits", "code"),
    [
        ("1.10", None),
        ("1e2", None),
        ("-0.0", None),
        ("1e20", None),
        ("100000000000000000000", None),
        ("0.1000000000000000055", "not_exact"),
        ("12345678901234567.89", "not_exact"),
    ],
)
def test_a_number_of_a_script_keeps_every_digit_or_is_refused(digits: str, code: str | None) -> None:
    fields = {"n": msgspec.convert({"type": "number"}, FormField), "t": FormField()}
    body = f'{{"n": {digits} , "t":[null,{digits}\n]}}'.encode()
    if "." not in digits and len(digits) > 19:
        with pytest.raises(Malformed):
            read_posted("application/json", body)
        return
    data, wrong = FormChecks(fields, "en").check(read_posted("application/json", body))
    assert [each.code for each in wrong] == ([code] if code else [])
    assert data["t"] == digits
    assert code or bytes(data["n"]).decode() == digits


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("..", "file"),
        (".", "file"),
        (" ", "file"),
        ("a/..", "file"),
        (". .", "file"),
        ("\u202e", "file"),
        ("cv\u202efdp.exe", "cvfdp.exe"),
        ("a\u0085\u2066b\u2028.txt", "ab.txt"),
        ("\ufeffa\u200b.txt. ", "a.txt"),
        ("C:\\dir\\a b.txt", "a b.txt"),
        (".profile", ".profile"),
        ("می\u200cخواهم.txt", "می\u200cخواهم.txt"),
        ("é" * 300, "é" * 255),
    ],
)
def test_a_file_has_a_name_that_a_file_may_have(sent: str, name: str) -> None:
    assert file_name(sent) == name


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"(\p{L}{0,10}){0,10}", "too large"),
        ("a{1000}{1000}", "too large"),
        (r"a{20000}\\", "too large"),
        ("(?=a)b", "lookarounds"),
        ("(?<!a)b", "lookarounds"),
        (r"(a)\1", "backreferences"),
        ("[a", "not a regular expression"),
        ("a{3,1}", "not a regular expression"),
        (r"\p{Nothing}", "not a regular expression"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused_for_its_reason(pattern: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        check_fields({"a": FormField(pattern=pattern)})


def test_several_choices() -> None:
    assert said("many", "z", "x") == ["x", "z"]
    assert said("many", "x") == "too_few"
    assert said("many", "x", "y", "z") == "too_many"
    assert said("many", "x", "x") == "repeated"
    assert said("many", "q") == "not_in_enum"
    assert said("many") is None and said("many", required=True) == "missing"


def test_the_help_of_a_pattern_is_what_is_said() -> None:
    fields = {"code": msgspec.convert(FIELDS["code"], FormField)}
    assert FormChecks(fields, "en").check(Posted({"code": ["x"]}, {}))[1][0].text == "Three letters."


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_everything_with_the_same_values(language: str) -> None:
    import string

    def holes(text: str) -> set[str | None]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    english, own = sentences("en"), sentences(language)
    assert list(own) == list(english)
    assert {name: holes(text) for name, text in own.items()} == {name: holes(text) for name, text in english.items()}


def test_sizes_are_said_in_round_numbers() -> None:
    sizes = (1, 999, 1_000, 1_536, 500_000, 1_048_576, 1_572_864, 20_000_000)
    assert [size_text(size) for size in sizes] == [
        *("1 B", "999 B", "1 KB", "1.5 KB", "500 KB", "1 MB", "1.5 MB", "20 MB")
    ]  # fmt: skip


def test_types_of_files_have_words() -> None:
    accept = ("image/*", ".pdf", "application/pdf", "application/vnd.ms-excel", "image/svg+xml", ".jpg")
    assert types_text(accept, Says("de")) == "Bilder, PDF, EXCEL, XML, JPG"


@settings(max_examples=examples(200))
@given(st.binary(max_size=300), st.sampled_from(["application/x-www-form-urlencoded", "application/json"]))
def test_any_bytes_are_read_or_refused(body: bytes, kind: str) -> None:
    try:
        posted = read_posted(kind, body)
    except TidingsError as wrong:
        assert wrong.status in (400, 415)
    else:
        _check_everything(posted)


@settings(max_examples=examples(200))
@given(st.lists(st.sampled_from([b"--b", b"\r\n", b"--", b'Content-Disposition: form-data; name="line"', b"; ", b"x"])))
def test_any_pieces_of_multipart_are_read_or_refused(pieces: list[bytes]) -> None:
    try:
        posted = read_posted("multipart/form-data; boundary=b", b"".join(pieces))
    except TidingsError as wrong:
        assert wrong.status == 400
    else:
        _check_everything(posted)


def _check_everything(posted: Posted) -> None:
    fields = {name: msgspec.convert(field, FormField) for name, field in FIELDS.items()}
    checks = FormChecks(fields, "de")
    data, _ = checks.check(posted)
    msgspec.json.decode(msgspec.json.encode(data))
    checks.unknown(posted, ())
