"""The bodies of events: standard, CloudEvents, thin, in batches, and cut to chosen fields."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.model.event import Event
from tidings.model.link import Body
from tidings.rules.deliver import bodies as shape
from tidings.rules.reading.refused import Refused

AT = 1795222923456789
EVENT = Event(id="evt_1", type="tasks.completed", time=AT, data='{"b" : 1.10, "a":"\\u00e9"}')
FULL = msgspec.structs.replace(EVENT, tenant="t-1", subject='s"1', previous='{"b":1}', changed='["b"]')
KINDS: tuple[Body, ...] = ("standard", "cloudevents", "thin")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXT,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "é", 'q"']), inner, max_size=3)
    ),
)


def test_standard_is_spelt_exactly_so() -> None:
    assert shape.standard(EVENT).decode() == (
        '{"type":"tasks.completed","timestamp":"2026-11-21T01:02:03.456789Z","id":"evt_1",'
        '"data":{"b" : 1.10, "a":"\\u00e9"}}'
    )
    assert shape.standard(FULL).decode() == (
        '{"type":"tasks.completed","timestamp":"2026-11-21T01:02:03.456789Z","id":"evt_1","subject":"s\\"1",'
        '"tenant":"t-1","data":{"b" : 1.10, "a":"\\u00e9"},"previous":{"b":1},"changed":["b"]}'
    )


def test_cloudevents_has_what_the_standard_requires() -> None:
    assert json.loads(shape.cloudevent(FULL, "/tidings")) == {
        "specversion": "1.0",
        "id": "evt_1",
        "source": "/tidings",
        "type": "tasks.completed",
        "time": "2026-11-21T01:02:03.456789Z",
        "subject": 's"1',
        "tenant": "t-1",
        "datacontenttype": "application/json",
        "data": {"b": 1.1, "a": "é"},
    }
    bare = json.loads(shape.cloudevent(msgspec.structs.replace(EVENT, subject="", tenant=None), "https://x"))
    assert "subject" not in bare
    assert "tenant" not in bare


def test_thin_says_only_that_it_happened() -> None:
    assert json.loads(shape.thin(FULL)) == {
        "type": "tasks.completed",
        "timestamp": "2026-11-21T01:02:03.456789Z",
        "id": "evt_1",
        "subject": 's"1',
        "data": {"id": 's"1'},
    }
    assert json.loads(shape.thin(EVENT))["data"] == {"id": "evt_1"}


@given(JSON, TEXT, TEXT, st.none() | TEXT, st.integers(0, 4_000_000_000_000_000))
def test_every_body_is_json_whatever_the_event_holds(
    data: Any, id_: str, source: str, subject: str | None, at: int
) -> None:
    event = Event(id=id_, type="a", time=at, data=json.dumps(data), subject=subject, tenant=subject)
    for kind in KINDS:
        body = json.loads(shape.body(event, kind, source))
        assert body["id"] == id_
        if kind != "thin":
            assert body["data"] == data


@pytest.mark.parametrize("kind", KINDS)
def test_a_time_is_shown_as_it_is_stored(kind: Body) -> None:
    exact = msgspec.structs.replace(EVENT, time=AT // 1_000_000 * 1_000_000 + 123_456)
    shown = json.loads(shape.body(exact, kind, "/s"))
    assert shown["time" if kind == "cloudevents" else "timestamp"] == "2026-11-21T01:02:03.123456Z"


def test_batches() -> None:
    bodies = {kind: [shape.body(event, kind, "/s") for event in (EVENT, FULL)] for kind in KINDS}
    for kind in ("standard", "thin"):
        batch = json.loads(shape.batch(bodies[kind], kind, AT))
        assert batch["type"] == "batch"
        assert batch["timestamp"] == "2026-11-21T01:02:03.456789Z"
        assert batch["data"] == [json.loads(body) for body in bodies[kind]]
    assert json.loads(shape.batch(bodies["cloudevents"], "cloudevents", AT)) == [
        json.loads(body) for body in bodies["cloudevents"]
    ]
    assert shape.CONTENT_TYPES["cloudevents"] == "application/cloudevents+json"
    assert shape.BATCH_CONTENT_TYPES["cloudevents"] == "application/cloudevents-batch+json"
    assert shape.BATCH_CONTENT_TYPES["standard"] == "application/json"


# --- fields -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fields", "kept"),
    [
        ('{"a":1, "b" : 1.10,"c":3}', ["c", "b"], '{"c":3,"b":1.10}'),
        ('{"a":{"x": 1,"y":2},"b":3}', ["a.x"], '{"a":{"x":1}}'),
        ('{"a":{"x":1,"y": [ 2 ]},"b":3}', ["a", "a.x"], '{"a":{"x":1,"y": [ 2 ]}}'),
        ('{"a":{"x":1,"y":2}}', ["a.x", "a"], '{"a":{"x":1,"y":2}}'),
        ('{"l":[{"p":1,"q":2},{"p":3},5]}', ["l.p"], '{"l":[{"p":1},{"p":3},{}]}'),
        (' [ {"p":1,"q":2} ]', ["p"], '[{"p":1}]'),
        ('{"a":1}', ["b", "a.x.y"], '{"a":{}}'),
        ("5", ["a"], "{}"),
        ('"text"', ["a"], "{}"),
        ('{"\\u00e9":1,"x":2}', ["é"], '{"é":1}'),
        ("{}", ["a"], "{}"),
    ],
)
def test_selected_fields_are_kept_verbatim(text: str, fields: list[str], kept: str) -> None:
    assert shape.select(text, shape.choose(shape.check_fields(fields))) == kept


def test_fields_that_are_not_selected_are_nowhere_in_the_body() -> None:
    event = msgspec.structs.replace(
        EVENT,
        data='{"status":"new","secret":"s3","owner":{"name":"Ada","pin":"s3"}}',
        previous='{"status":"old","secret":"s3"}',
        changed='["status","secret","owner.pin","owner.name","owner"]',
    )
    chosen = shape.choose(["status", "owner.name"])
    body = shape.body(event, "standard", "/s", chosen)
    assert b"s3" not in body
    assert json.loads(body)["previous"] == {"status": "old"}
    assert json.loads(body)["changed"] == ["status", "owner.name", "owner"]
    assert b"s3" not in shape.body(event, "cloudevents", "/s", chosen)
    as_object = msgspec.structs.replace(event, changed='{"secret":["s3","s4"],"status":["a","b"]}')
    assert json.loads(shape.body(as_object, "standard", "/s", chosen))["changed"] == {"status": ["a", "b"]}
    assert shape.body(event, "thin", "/s", chosen) == shape.thin(event)


def slowly(value: Any, paths: list[list[str]]) -> Any:
    if isinstance(value, list):
        return [slowly(element, paths) for element in value]
    if not isinstance(value, dict):
        return {}
    kept = {}
    for name, member in value.items():
        below = [path[1:] for path in paths if path[0] == name]
        if below:
            kept[name] = member if [] in below else slowly(member, below)
    return kept


@given(JSON, st.lists(st.lists(st.sampled_from(["a", "b", "é"]), min_size=1, max_size=3), min_size=1, max_size=4))
def test_selection_agrees_with_the_definition(data: Any, paths: list[list[str]]) -> None:
    chosen = shape.choose([".".join(path) for path in paths])
    assert json.loads(shape.select(json.dumps(data), chosen)) == slowly(data, paths)


MIB = 1_000_000
COSTLY = {
    "many small objects": ('{"l":[' + ",".join(['{"p":1}'] * (MIB // 8)) + "]}", "l.p"),
    "many numbers": ('{"l":[' + ",".join(["1"] * (MIB // 2)) + "]}", "l.p"),
    "deep": ('{"a":' * 32 + "[" + ",".join(["1"] * (MIB // 2)) + "]" + "}" * 32, ".".join("a" * 32)),
    "lists in lists": ('{"l":' + "[" * 60 + '"' + "x" * MIB + '"' + "]" * 60 + "}", "l.p"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", COSTLY)
@pytest.mark.few(2)
def test_if_selecting_costs_too_much_the_body_is_as_thin_as_can_be(case: str) -> None:
    data, path = COSTLY[case]
    event = msgspec.structs.replace(FULL, data=data)
    body = json.loads(shape.body(event, "standard", "/s", shape.choose([path])))
    assert body["data"] == {"id": 's"1'}
    assert not {"previous", "changed"} & body.keys()
    assert json.loads(shape.body(event, "bare", "/s", shape.choose([path]))) == {"id": 's"1'}
    # A reader's own choice of fields is not cut off.
    assert json.loads(shape.select(data, shape.choose([path]))).keys() == json.loads(data).keys()


def test_fields_of_a_large_event_are_selected_like_those_of_a_small_one() -> None:
    wide = {f"n{number}": number for number in range(20_000)} | {
        'quo"te': 1,
        "b": [{"x": n, "y": 0} for n in range(3000)],
    }
    fields = ["n19999", "b.x", "n7", "none.x"]
    few = {"n19999": 19999, "b": [{"x": n} for n in range(3000)], "n7": 7}
    event = msgspec.structs.replace(EVENT, data=json.dumps(wide))
    body = shape.body(event, "standard", "/s", shape.choose(fields))
    assert json.loads(body)["data"] == few
    assert json.loads(shape.select(event.data, shape.choose(['quo"te', "n7"]))) == {'quo"te': 1, "n7": 7}
    digits = event.data.replace('"n7": 7,', '"n7": 7.10E+2,')
    assert shape.select(digits, shape.choose(["n7"])) == '{"n7":7.10E+2}'


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ([], "/fields"),
        ("a", "/fields"),
        (None, "/fields"),
        (["a"] * 101, "/fields"),
        (["a", ""], "/fields/1"),
        (["."], "/fields/0"),
        (["a..b"], "/fields/0"),
        (["a."], "/fields/0"),
        ([".id."], "/fields/0"),
        (["x", "a.\x7f"], "/fields/1"),
        (["a.\x00b"], "/fields/0"),
        ([1], "/fields/0"),
        (["a\n"], "/fields/0"),
        (["a" * 300], "/fields/0"),
        ([".".join("a" * 40)], "/fields/0"),
    ],
)
def test_field_lists_are_checked(fields: object, pointer: str) -> None:
    with pytest.raises(Refused) as caught:
        shape.check_fields(fields, "/fields")
    assert caught.value.pointer == pointer
