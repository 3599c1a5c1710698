"""Templates: what happens to an event's values, which sources are refused, and what a rendering may cost."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.model.event import Event
from tidings.rules.reading.refused import Refused
from tidings.rules.template import MISSING, SOURCE_CHARS_MAX, JsonTemplate, Scope, TemplateFailed
from tidings.rules.templates.numbers import encode


def event(data: Any = None, text: str | None = None, **parts: Any) -> Event:
    written = msgspec.json.encode(data).decode() if text is None else text
    return Event(id="evt_1", type="order.made", time=1_700_000_000_000_000, data=written, **parts)


def filled(structure: Any, data: Any = None, text: str | None = None, **parts: Any) -> Any:
    return JsonTemplate(structure).fill(Scope(event(data, text, **parts)))


def written(structure: Any, text: str) -> str:
    return encode(filled(structure, text=text)).decode()


def refusal(structure: Any) -> tuple[str, str]:
    with pytest.raises(Refused) as refused:
        JsonTemplate(structure, "/item/data")
    return refused.value.pointer, refused.value.detail


# --- what values become -----------------------------------------------------------------------------------------------


def test_a_single_expression_keeps_its_type() -> None:
    data = {"n": 7, "f": 1.5, "t": True, "z": None, "l": [1, {"a": 2}], "s": "7"}
    assert filled({name: f"{{{{ data.{name} }}}}" for name in data}, data) == data
    assert filled({name: f"{{{{ data.{name} or data.{name} }}}}" for name in data}, data) == data


def test_a_missing_value_leaves_its_name_out_and_null_stays() -> None:
    structure = {"a": "{{ data.a }}", "b": "{{ data.b.c.d }}", "c": ["{{ data.x }}", "{{ data.a }}"], "d": "-"}
    assert filled(structure, {"a": None}) == {"a": None, "c": [None], "d": "-"}
    assert filled("{{ data.a }}", {}) is MISSING
    assert filled("{{ data.a | default('x') }}", {}) == "x"
    assert filled({"a": "{{ data.a.b ~ '' if data.a else data.nothing }}"}, {}) == {}


def test_text_around_an_expression_makes_text() -> None:
    data = {"n": 7, "t": True, "z": None, "l": [1, "<"], "s": "a<b"}
    assert filled("{{ data.n }}: {{ data.s }}{{ data.z }}{{ data.no }} {{ data.t }} {{ data.l }}", data) == (
        '7: a<b true [1,"<"]'
    )
    assert filled("{% if data.n > 5 %}many{% else %}few{% endif %}", data) == "many"


def test_a_template_sees_the_whole_event() -> None:
    structure = ["{{ id }}", "{{ type }}", "{{ subject }}", "{{ time }}", "{{ tenant }}", "{{ previous.a }}"]
    found = filled(structure, {}, subject="s", tenant="acme", previous='{"a": 1}')
    assert found == ["evt_1", "order.made", "s", "2023-11-14T22:13:20.000Z", "acme", 1]
    assert filled("{{ previous }}", {}) is MISSING


def test_names_with_dashes_and_of_methods_are_found() -> None:
    data = {"a-b": {"items": [{"keys": 5}]}}
    assert filled("{{ data['a-b'].items[0].keys }}", data) == 5
    assert filled("{{ data['a-b'].items[0].keys + 1 }}", data) == 6


@pytest.mark.parametrize(
    "value", ["../", "\r\n", "]]>", '"}', "{{ data }}", "{% for %}", "\\", "\\x00", "\\u0000", "é \U0001f600"]
)
def test_hostile_values_change_no_structure(value: str) -> None:
    assert filled({"a": "{{ data.v }}", "b": "<{{ data.v }}>"}, {"v": value}) == {"a": value, "b": f"<{value}>"}


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc-", max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_every_value_passes_unchanged(value: Any) -> None:
    structure = {"path": "{{ data.v }}", "expression": "{{ data.v if true else 0 }}"}
    assert filled(structure, {"v": value}) == {"path": value, "expression": value}


# --- numbers ----------------------------------------------------------------------------------------------------------

MONEY = "12345678901234567.89"


@pytest.mark.parametrize(
    "number", [MONEY, "123456789012345678901234567890", "-0.1234567890123456789", "1e400", "9e-999"]
)
def test_numbers_keep_every_digit(number: str) -> None:
    text = f'{{"a": {number}, "l": [{number}]}}'
    assert written("{{ data }}", text) == f'{{"a":{number},"l":[{number}]}}'
    assert written("{{ data.a }}", text) == number
    assert written("{{ data.no or data.a }}", text) == number
    assert written("{{ {'b': [data.a]} }}", text) == f'{{"b":[{number}]}}'
    assert written("{{ data.a | string }}", text) == f'"{number}"'
    assert written("EUR {{ data.a }}", text) == f'"EUR {number}"'
    assert JsonTemplate("{{ data.a }}").text(Scope(event(text=text))) == number


def test_integers_of_64_bits_are_calculated_with_exactly() -> None:
    text = '{"a": 9223372036854775807, "b": 4503599627370497}'
    assert written("{{ data.a - 1 }}", text) == "9223372036854775806"
    assert written("{{ data.b * 2 }}", text) == "9007199254740994"


@pytest.mark.parametrize("source", ["data.a * 2", "data.a + 1", "-data.a", "[data.a] | sum", "data.a | round"])
def test_what_cannot_be_calculated_exactly_fails(source: str) -> None:
    with pytest.raises(TemplateFailed, match=r"^The template at /x failed: "):
        JsonTemplate({"x": f"{{{{ {source} }}}}"}).fill(Scope(event(text=f'{{"a": {MONEY}}}')))


@pytest.mark.parametrize("source", ["data.a ~ ''", "[data.a] | join", "data.a | tojson", "'%s' | format(data.a)"])
def test_what_writes_a_number_keeps_every_digit(source: str) -> None:
    assert filled(f"{{{{ {source} }}}}", text=f'{{"a": {MONEY}}}') == MONEY


@pytest.mark.parametrize("source", ["data.a > 12345678901234567.88", "data.a < 12345678901234568", "data.a == data.a"])
def test_numbers_are_compared_with_every_digit(source: str) -> None:
    assert filled(f"{{{{ {source} }}}}", text=f'{{"a": {MONEY}}}') is True


# --- text of one value ------------------------------------------------------------------------------------------------


def test_an_id_is_text() -> None:
    assert [JsonTemplate("{{ data.v }}").text(Scope(event({"v": v}))) for v in ("a", 17, 1.5, None)] == [
        "a",
        "17",
        "1.5",
        None,
    ]
    assert JsonTemplate("{{ data.v }}").text(Scope(event({}))) is None
    assert JsonTemplate("fixed").text(Scope(event({}))) == "fixed"
    wrongs: list[Any] = [[], {}, True]
    for wrong in wrongs:
        with pytest.raises(TemplateFailed, match="must yield a string or a number"):
            JsonTemplate("{{ data.v }}").text(Scope(event({"v": wrong})))


# --- what is refused at declaration -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ 1 + }}", "does not compile"),
        ("{{ data.a", "does not compile"),
        ("{{ " + '"\\' * 4000, 'a string has no closing "'),
        ("{{ data.a %} x {% set b = 1 }}", "does not compile"),
        ("{% if data %}", "does not compile"),
        ("{{ " + "(" * 500 + "1" + ")" * 500 + " }}", "does not compile"),
        ("{{ record.a }}", "There is no record here. A template can use id, type,"),
        ("{{ data.a | nosuch }}", "There is no filter nosuch."),
        ("{{ data.a is nosuch }}", "There is no test nosuch."),
        ("{{ nosuch(1) }}", "There is no function nosuch."),
        ("{{ debug() }}", "There is no function debug."),
        ("{% include 'x' %}", "cannot have `include` statements"),
        ("{% macro m() %}{% endmacro %}", "cannot have `macro` statements"),
        ("{{ '" + "x" * SOURCE_CHARS_MAX + "' }}", "at most 8,192 characters"),
        ("{{ data }}\0", "NUL"),
    ],
)
def test_a_wrong_template_is_refused_with_its_place(source: str, said: str) -> None:
    pointer, detail = refusal({"a/b": [source]})
    assert pointer == "/item/data/a~1b/0"
    assert said in detail


def test_names_are_no_templates_and_depth_is_bounded() -> None:
    assert refusal({"{{ data.a }}": 1})[0] == "/item/data/{{ data.a }}"
    deep: Any = "{{ data }}"
    for _ in range(70):
        deep = [deep]
    assert "at most 64 levels" in refusal(deep)[1]
    assert "65,536 bytes" in refusal({"a": ["{{ data }}" + "x" * 8_000] * 10})[1]


# --- what fails with an event -----------------------------------------------------------------------------------------


def test_a_failure_names_the_template_and_why() -> None:
    structure = {"a": "{{ data.a + 1 }}", "b": "one\ntwo {{ data.a }}", "c": {"d": "{{ 1 / data.a }}"}}
    with pytest.raises(TemplateFailed) as failed:
        filled(structure, {"a": 0})
    assert str(failed.value) == "The template at /c/d failed: unable to calculate 1 / 0."


@pytest.mark.parametrize(
    "source",
    [
        "{{ [data.n] * 10000000 }}",
        "{{ {'a': [[1] * 10000000]} }}",
        "{{ 'x' * 1000000000 }}",
        "{{ data.s | replace('a', data.s) }}",
        "{{ '%999999999d' | format(1) }}",
        "{{ 'x' | indent(1000000000) }}",
        "{{ range(90000) | map('string') | join }}",
        "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
    ],
)
def test_what_costs_too_much_is_cut_off(source: str) -> None:
    template = JsonTemplate(source)
    began = time.process_time()
    with pytest.raises(TemplateFailed):
        template.fill(Scope(event({"n": 1, "s": "a" * 100_000})))
    assert time.process_time() - began < 1.0


def test_a_name_before_a_filter_with_arguments_is_not_a_function() -> None:
    event = Event(id="evt_1", type="x", time=1_764_410_400_000_000, data='{"n": 9}', subject="s")
    filled = JsonTemplate({"a": "{{ time | date('%Y') }}", "b": "{{ 1 if data.n is divisibleby(3) else 2 }}"})
    assert filled.fill(Scope(event)) == {"a": "2025", "b": 1}
    with pytest.raises(Refused, match="There is no function now"):
        JsonTemplate("{{ now('x') }}")


@pytest.mark.parametrize(
    "source",
    [
        "{{ data.a | tojson(indent=300000000) }}",
        "{{ data.a | tojson(300000000) }}",
        "{{ data.a | tojson(indent=data.n) }}",
        "{{ data.a | tojson (8 * 9) }}",
        "{{ data.a | tojson(**{'indent': 9}) }}",
        "it's {{ data.a | tojson(indent=data.n) }}, isn't it",
        "{{ [{'a': {}}, data.a | tojson(9)] }}",
        "{{ [data.a] | map('tojson', 300000000) }}",
        "{{ [data.a] | map('to' ~ 'json', 300000000) }}",
        "{{ [data.a] | map(data.filter, 300000000) }}",
        "{{ [data.a] | map(*['tojson', 300000000]) }}",
        "{{ [data.a] | map(attribute='a', 'tojson', 300000000) }}",
    ],
)
def test_no_template_may_indent_json_as_far_as_it_likes(source: str) -> None:
    with pytest.raises((Refused, TemplateFailed)):
        filled(source, {"a": {"b": 1}, "n": 300000000, "filter": "tojson"})


def test_small_indentations_and_mapped_filters_are_accepted() -> None:
    scope = Scope(event({"a": {"b": [1]}, "l": ["x"]}))
    for source, text in (
        ("{{ data.a | tojson }}", '{"b":[1]}'),
        ("{{ data.a | tojson() }}", '{"b":[1]}'),
        ("{{ data.a | tojson(indent=2) }}", '{\n  "b": [\n    1\n  ]\n}'),
        ("{{ data.l | map('upper') | join }}", "X"),
        ("{{ [data.a] | map('tojson') | join }}", '{"b":[1]}'),
        ("{{ [data.a] | map(attribute='b') | join }}", "[1]"),
        ('{{ data.l | map("default", "y") | join }}', "x"),
    ):
        assert "".join(str(JsonTemplate(source).fill(scope)).split()) == "".join(text.split()), source
