"""Records, keys, differences and cursors: what a link makes of what it observes."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.model.link import CursorRule, EmitRule
from tidings.model.moment import SECOND, from_text
from tidings.rules.mirror import cursors
from tidings.rules.mirror.difference import Counted, Mirrored, Observation, differ, vanished
from tidings.rules.mirror.observer import Observer
from tidings.rules.mirror.records import BadRecord, key_text, read_path, records
from tidings.rules.reading.refused import Refused
from tidings.rules.templates.numbers import exactly, read

NOON = from_text("2026-11-29T12:00:00Z")


def step(counted: Counted, held: dict[str, Mirrored], *observed: Observation) -> list[tuple[Any, ...]]:
    """Take observations in; what was emitted, as values."""
    found = differ(counted, held, observed)
    held.update({each.key: each for each in found.puts})
    for key in found.drops:
        del held[key]
    return [
        (kind, key, *(None if text is None else json.loads(text) for text in texts))
        for kind, key, *texts in found.changes
    ]


# --- records ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "answer", "expected"),
    [
        ("records", {"records": [1, 2]}, [1, 2]),
        (
            "Envelope.Body.*.result.records",
            {"Envelope": {"Body": {"q": {"result": {"records": {"Id": 1}}}}}},
            [{"Id": 1}],
        ),
        ("a.*.b", {"a": [{"b": 1}, {"b": [2, 3]}, {"c": 4}]}, [1, 2, 3]),
        ("a.1", {"a": [[1], [2, 3]]}, [2, 3]),
        ("records", {"records": []}, []),
        ("a.*", {"a": []}, []),
        ("a.*", {"a": {}}, []),
        ("a.*.b", {"a": []}, []),
    ],
)
def test_records_are_found_at_a_path_always_as_a_list(path: str, answer: Any, expected: list[Any]) -> None:
    assert records(answer, read_path(path, "")) == expected


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("missing", {"records": [1]}),
        ("records", {"records": None}),
        ("records", [1, 2]),
        ("records", "text"),
        ("a.9999999999999999999999", {"a": [1]}),
        ("a.0.b", {"a": []}),
        ("a.*.b", {"a": None}),
        ("a.*.b", {"a": [{"error": 1}]}),
        ("a.*.b", {"a": [{"b": [1]}, {"b": None}]}),
    ],
)
def test_nothing_at_a_path_is_not_an_empty_list(path: str, answer: Any) -> None:
    with pytest.raises(BadRecord, match="The response has nothing at"):
        records(answer, read_path(path, ""))
    with pytest.raises(BadRecord, match="The response is null"):
        records(None, ())


@pytest.mark.parametrize(
    ("xml", "said"),
    [
        ("<rows/>", []),
        ("<rows><row><id>1</id></row></rows>", [{"id": "1"}]),
        ("<html><body/></html>", "nothing at rows.row"),
        ("<error>later</error>", "nothing at rows.row"),
        ("<Envelope><Body><Fault><faultcode>x</faultcode></Fault></Body></Envelope>", "a SOAP fault"),
    ],
)
def test_a_list_in_xml_may_have_no_elements_but_must_be_there(xml: str, said: Any) -> None:
    observer = Observer(EmitRule(type="x", each=("rows", "row"), key="id"))
    if type(said) is list:
        assert observer.read({}, xml.encode()).records == said
        return
    with pytest.raises(BadRecord, match=said):
        observer.read({}, xml.encode())


def test_without_a_path_the_answer_is_the_records() -> None:
    assert records([1, 2], ()) == [1, 2]
    assert records({"id": 1}, ()) == [{"id": 1}]


def test_a_wrong_path_is_refused() -> None:
    for wrong in ("", ".", "a..b", "a.", "x" * 501):
        with pytest.raises(Refused):
            read_path(wrong, "/emit/each")


def test_keys_are_texts_and_numbers() -> None:
    assert [key_text(value, 1, "id") for value in ("a", 17, msgspec.Raw(b"12345678901234567890123"))] == [
        "a",
        "17",
        "12345678901234567890123",
    ]
    bad: tuple[Any, ...] = (None, "", True, {}, [], "x" * 257, "a\nb", "a\0")
    for wrong in bad:
        with pytest.raises(BadRecord, match=r"ecord 3 of the response"):
            key_text(wrong, 3, "id")


# --- differences ------------------------------------------------------------------------------------------------------


def test_only_what_differs_is_emitted() -> None:
    held: dict[str, Mirrored] = {}
    assert step(Counted(), held, Observation("a", {"id": "a", "n": 1})) == [
        ("created", "a", {"id": "a", "n": 1}, None, None)
    ]
    assert step(Counted(), held, Observation("a", {"n": 1, "id": "a"})) == [], "the order of names does not count"
    assert step(Counted(), held, Observation("a", {"id": "a", "n": 2, "m": None})) == [
        ("updated", "a", {"id": "a", "n": 2, "m": None}, {"id": "a", "n": 1}, ["n", "m"])
    ]
    assert step(Counted(), held, Observation("a", {"id": "a"}, is_deleted=True)) == [
        ("deleted", "a", {"id": "a", "n": 2, "m": None}, None, None)
    ]
    assert step(Counted(), held, Observation("a", {}, is_deleted=True)) == [], "what is gone is gone"
    assert vanished([Mirrored("b", '{"id": "b"}', "")])[0][:3] == ("deleted", "b", '{"id": "b"}')


def test_fields_that_do_not_count_emit_nothing_and_are_kept_as_they_were() -> None:
    held: dict[str, Mirrored] = {}
    only = Counted(only=("status",))
    step(only, held, Observation("a", {"status": "on", "at": 1}))
    assert step(only, held, Observation("a", {"status": "on", "at": 2})) == []
    assert step(only, held, Observation("a", {"status": "off", "at": 3})) == [
        ("updated", "a", {"status": "off", "at": 3}, {"status": "on", "at": 1}, ["status"])
    ]
    ignore = Counted(ignore=("at",))
    assert step(ignore, held, Observation("a", {"status": "off", "at": 9})) == []


def test_an_edit_of_what_counts_repeats_nothing() -> None:
    held: dict[str, Mirrored] = {}
    step(Counted(), held, Observation("a", {"status": "on", "at": 1}))
    assert step(Counted(only=("status",)), held, Observation("a", {"status": "on", "at": 2})) == []
    assert step(Counted(only=("status",)), held, Observation("a", {"status": "off", "at": 2})) != []


def test_numbers_keep_their_digits() -> None:
    held: dict[str, Mirrored] = {}
    record = read('{"id": "a", "n": 123456789012345678901234567890.5}')
    step(Counted(), held, Observation("a", record))
    assert held["a"].value == '{"id":"a","n":123456789012345678901234567890.5}'
    assert step(Counted(), held, Observation("a", record)) == []
    assert step(Counted(), held, Observation("a", read('{"id": "a", "n": 123456789012345678901234567890.6}')))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("1", "1.0"),
        ("1", "1e0"),
        ("0", "-0.0"),
        ("0.1", "0.10"),
        ("100", "1E2"),
        ("1e20", "100000000000000000000"),
        ("9007199254740993", "9007199254740993.0"),
        ("12345678901234567.89", "12345678901234567.890"),
        ("1e400", "10E+399"),
        ('{"a": [1, 2]}', '{"a": [1.0, 2]}'),
    ],
)
def test_a_number_that_is_written_otherwise_is_no_change(before: str, after: str) -> None:
    held: dict[str, Mirrored] = {}
    step(Counted(), held, Observation("a", read(f'{{"id": "a", "v": {before}}}')))
    assert step(Counted(), held, Observation("a", read(f'{{"v": {after}, "id": "a"}}'))) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("9007199254740992", "9007199254740993"),
        ("9007199254740992.0", "9007199254740993.0"),
        ("12345678901234567.89", "12345678901234567.9"),
        ("1e400", "1e401"),
        ("1e99999999999999999999", "1e99999999999999999998"),
        ("1", "true"),
        ("1", '"1"'),
        ("0", "null"),
    ],
)
def test_another_number_is_a_change_however_long_it_is(before: str, after: str) -> None:
    held: dict[str, Mirrored] = {}
    step(Counted(), held, Observation("a", read(f'{{"id": "a", "v": {before}}}')))
    assert len(step(Counted(), held, Observation("a", read(f'{{"id": "a", "v": {after}}}')))) == 1


def test_a_mirror_from_before_this_emits_nothing_for_it() -> None:
    held = {"a": Mirrored("a", '{"id":"a","v":1.0}', "as it was computed")}
    assert step(Counted(), held, Observation("a", read('{"id": "a", "v": 1}'))) == []


def test_the_last_of_several_observations_counts() -> None:
    held: dict[str, Mirrored] = {}
    twice = (Observation("a", {"n": 1}), Observation("a", {"n": 2}))
    assert step(Counted(), held, *twice) == [("created", "a", {"n": 2}, None, None)]
    assert step(Counted(), held, *twice) == [], "done twice, it changes nothing"


RECORDS = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3), min_size=1)
HISTORIES = st.lists(
    st.tuples(st.sampled_from(["put", "delete"]), st.sampled_from("abcd"), st.integers(0, 2), st.booleans()),
    max_size=30,
)


@given(HISTORIES, st.randoms(use_true_random=False))
def test_any_order_overlap_and_repetition_gives_the_source_and_each_change_once(history: Any, chance: Any) -> None:
    source: dict[str, int] = {}
    held: dict[str, Mirrored] = {}
    replayed: dict[str, Any] = {}
    for word, key, value, is_looked_at in history:
        if word == "put":
            source[key] = value
        else:
            source.pop(key, None)
        if not is_looked_at:
            continue
        keys = [*"abcd", *chance.choices("abcd", k=3)]
        chance.shuffle(keys)
        observed = [Observation(each, {"v": source.get(each)}, is_deleted=each not in source) for each in keys]
        while observed:
            size = chance.randint(1, len(observed))
            page, observed = observed[:size], observed[size:]
            for _ in range(chance.randint(1, 2)):
                for kind, name, data, previous, changed in step(Counted(), held, *page):
                    assert (kind == "created") == (name not in replayed)
                    if kind == "updated":
                        assert previous == replayed[name] != data
                        assert changed == ["v"]
                    if kind == "deleted":
                        assert data == replayed.pop(name)
                    else:
                        replayed[name] = data
        assert replayed == {each: {"v": found} for each, found in source.items()}
        assert {each: json.loads(found.value) for each, found in held.items()} == replayed


# --- cursors ----------------------------------------------------------------------------------------------------------


def by(kind: Any = "record", path: tuple[str, ...] = ("at",), **rest: Any) -> CursorRule:
    return CursorRule(kind=kind, path=path, **rest)


def test_a_cursor_of_records_is_the_largest_value_seen_and_asks_again_a_little_before() -> None:
    rule = by()
    assert cursors.since(rule, None) == cursors.BEGINNING
    found = cursors.advanced(rule, None, [{"at": "2026-11-29T10:00:00Z"}, {"at": "2026-11-29T09:00:00Z"}, {}], NOON)
    assert found == "2026-11-29T10:00:00Z"
    assert cursors.since(rule, found) == "2026-11-29T09:58:00.000Z"
    assert cursors.since(by(overlap_seconds=0), found) == "2026-11-29T10:00:00.000Z"
    assert cursors.advanced(rule, found, [{"at": "2026-11-29T08:00:00Z"}], NOON) == found, "it never goes back"


def test_a_cursor_never_passes_the_request() -> None:
    rule = by()
    assert cursors.advanced(rule, None, [{"at": "2099-01-01T00:00:00Z"}], NOON) == "2026-11-29T12:00:00.000Z"


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("2026-11-29T10:00:00.000+0000", "2026-11-29T09:58:00.000Z"),
        ("2026-11-29T11:00:00+01:00", "2026-11-29T09:58:00.000Z"),
        ("2026-11-29 10:00:00", "2026-11-29T09:58:00.000Z"),
        ("2026-11-29", "2026-11-28T23:58:00.000Z"),
        ("row-17", "row-17"),
        (1_764_410_400, 1_764_410_400),
    ],
)
def test_cursors_are_times_in_many_forms_texts_and_numbers(written: Any, asked: Any) -> None:
    stored = cursors.advanced(by(), None, [{"at": written}], NOON)
    assert (stored, cursors.since(by(), stored)) == (written, asked)


def test_times_with_different_offsets_are_compared_as_moments() -> None:
    rows = [{"at": "2026-11-29T11:30:00+02:00"}, {"at": "2026-11-29T10:00:00Z"}]
    assert cursors.advanced(by(), None, rows, NOON) == "2026-11-29T10:00:00Z"


def test_numbers_overlap_only_if_that_is_declared() -> None:
    assert cursors.since(by(overlap_seconds=60), 1_764_410_400) == 1_764_410_340
    assert cursors.since(by(overlap_seconds=60), 1_764_410_400_000) == 1_764_410_340_000
    assert cursors.advanced(by(), 5, [{"at": "x"}, {"at": True}, {"at": 7}], NOON) == 7


def test_a_cursor_of_another_kind_is_forgotten() -> None:
    # Before an edit it was a token of the response, of any type.
    for stored in ([1], {"a": None}, True):
        assert cursors.advanced(by(), stored, [{"at": 7}], NOON) == 7
        assert cursors.since(by(), stored) == cursors.BEGINNING


def test_a_text_that_is_no_time_neither_passes_nor_holds_up_a_cursor_of_times() -> None:
    rows = [{"at": "pending"}, {"at": "2026-11-29T10:00:00Z"}, {"at": "soon"}]
    assert cursors.advanced(by(), None, rows, NOON) == "2026-11-29T10:00:00Z"
    assert cursors.advanced(by(), "2026-11-29T09:00:00Z", rows, NOON) == "2026-11-29T10:00:00Z"
    assert cursors.advanced(by(), "zzz", rows, NOON) == "2026-11-29T10:00:00Z"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("9007199254740993", "9007199254740994"),
        ("9223372036854775807", "9223372036854775808"),
        ("18446744073709551617", "18446744073709551618"),
        ("18446744073709551617", "18446744073709551617.5"),
        ("0.12345678901234567890", "0.12345678901234567891"),
    ],
)
def test_numbers_of_any_length_are_cursors(first: str, second: str) -> None:
    rule = CursorRule(kind="record", path=("at",))
    stored: Any = None
    for each in (first, second, first):
        stored = cursors.advanced(rule, stored, [{"at": read(each)}], 0)
    assert msgspec.json.encode(cursors.since(rule, stored)).decode() == second
    earlier = cursors.since(msgspec.structs.replace(rule, overlap_seconds=2), stored)
    assert Decimal(str(exactly(stored))) - Decimal(str(exactly(earlier))) in (2, 2000)
    stored = cursors.advanced(rule, stored, [{"at": read("1e99999999999999999999")}], 0)
    assert msgspec.json.encode(cursors.since(rule, stored)).decode() == second, "what nobody can compare is passed over"


def test_the_answer_or_the_clock_may_tell() -> None:
    body = by("body", ("sync", "token"))
    assert (cursors.since(body, None), cursors.since(body, "t1")) == (None, "t1")
    assert cursors.told(body, None, {"sync": {"token": "t2"}}, {}, NOON) == "t2"
    assert cursors.told(body, "t1", {"sync": {}}, {}, NOON) == "t1"
    assert cursors.told(by("header", ("ETag",)), None, None, {"etag": '"5"'}, NOON) == '"5"'
    clock = by("clock", ())
    stored = cursors.told(clock, None, None, {}, NOON)
    assert cursors.since(clock, stored) == "2026-11-29T11:58:00.000Z"


def test_where_it_begins() -> None:
    assert cursors.since(by(since="2026-01-01T00:00:00Z"), None) == "2026-01-01T00:00:00Z"
    assert cursors.since(by(since="now"), None) == cursors.BEGINNING, "the first run fills the mirror"
    assert cursors.since(by(since=0), None) == 0
    assert cursors.since(by("body", ("t",), since="first"), None) == "first"
    assert cursors.since(None, None) is None
    assert SECOND == 1_000_000
