"""The language of templates is Jinja's: MiniJinja, which writes the pages of forms, is its oracle."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from minijinja import Environment

from tidings.model.event import Event
from tidings.rules.calls.texts import TextTemplate, in_text
from tidings.rules.reading.refused import Refused
from tidings.rules.template import Condition, JsonTemplate, Scope, TemplateFailed

DATA: dict[str, Any] = {
    "n": 7,
    "f": 2.5,
    "s": "Ada Lovelace",
    "z": None,
    "t": True,
    "l": [3, 1, 2],
    "words": ["b", "A", "c", "a"],
    "o": {"b": 1, "a": {"x": [1, 2]}},
    "rows": [{"k": "x", "v": 1}, {"k": "y", "v": 2}, {"k": "x", "v": 3}],
    "lines": "one\ntwo\n\nfour",
    "space": "  a b  ",
    "empty": "",
}
EXPRESSIONS = """
1 + 2 * 3 | (1 + 2) * 3 | 7 // 2 | 7 % 3 | 7 / 2 | 2 ** 3 | -data.n + 1 | data.n - -1 | 1 - 2 - 3 | 2 * 3 % 4
'a' ~ 1 + 2 ~ 'b' | data.s + '!' | data.l + [4] | 'ab' * 3 | [1, 2] * 2
data.n == 7 | data.n == 7.0 | data.n != 8 | 1 < data.n <= 7 | 1 < 2 > 1 | data.s == 'x' | data.z == none
data.n > 3 and data.t | data.z or 'd' | not data.z | not data.n == 7 | data.t and data.z | data.empty or data.n
1 in data.l | 4 not in data.l | 'Ada' in data.s | 'b' in data.o | 9 in data.l or 'q' in data.o
'a' if data.t else 'b' | 'a' if data.z else 'b' if data.t else 'c' | data.no.no.no is undefined | data.n is defined
data.l[0] | data.l[-1] | data.l[1:] | data.l[:-1] | data.l[::2] | data.s[0:3] | data.o['b'] | data.o.a.x[1] | data['n']
data.l is sequence | data.o is mapping | data.n is number | data.n is odd | data.n is even | data.s is string
data.n is divisibleby(7) | data.n is divisibleby 2 | data.z is none | data.t is true | data.s is startingwith('Ada')
data.s is endingwith('x') | data.n is not odd | data.n is in([7]) | data.n is eq(7) | data.n is gt(3)
true | false | none | 1.5 | 1e3 | 'it\\'s' | "q\\"" | 'a\\nb' | 'é' | {'a': 1, 'b': [data.n]} | [] | [1, 'a', none]
""".replace("\n", " | ")
FILTERED = """
data.s|upper ;; data.s|lower ;; data.s|title ;; data.words|first ;; data.words|last ;; data.l|length ;; data.s|count
data.o|length ;; data.words|join ;; data.words|join(', ') ;; data.rows|join('-', attribute='k') ;; data.l|sort
data.l|sort(reverse=true) ;; data.words|sort ;; data.words|sort(case_sensitive=true) ;; data.rows|sort(attribute='v')
data.l|sum ;; data.l|min ;; data.l|max ;; data.l|reverse ;; data.s|reverse ;; data.rows|map(attribute='k')|list
data.words|map('upper')|list ;; data.l|select('odd')|list ;; data.l|reject('odd')|list ;; data.l|select('gt', 1)|list
data.rows|selectattr('k', 'eq', 'x')|list ;; data.rows|rejectattr('k', 'eq', 'x')|list ;; data.rows|selectattr('v')|list
data.words|unique|list ;; data.l|list ;; data.no|default('d') ;; data.no|d ;; data.empty|default('d')
data.empty|default('d', true) ;; data.z|default('d') ;; data.s|replace('a', 'e') ;; data.space|trim ;; data.lines|lines
data.s|split ;; data.s|split('a') ;; data.s|split('a', 1) ;; data.lines|indent ;; data.lines|indent(2, true)
data.lines|indent(2, false, true) ;; 3.7|round ;; 2.345|round(2) ;; data.n|float ;; '12'|int ;; '1.5'|float
data.f|int ;; -3|abs ;; (-3)|abs ;; data.n|string ;; data.o|items|list ;; data.o|items|first
data.rows|map(attribute='z', default=0)|list ;; data.l|batch(2)|list ;; data.l|batch(2, 0)|list ;; data.l|bool
'%.2f'|format(data.f) ;; '%s-%d'|format(data.s, data.n) ;; '%5d|'|format(data.n) ;; data.s|capitalize
data.o|attr('b') ;; data.s|urlencode ;; {'q': 'a b'}|urlencode ;; data.s|title
data.l|zip(data.words)|list ;; data.l|chain([9])|list ;; data.rows|groupby('k')|map('first')|list ;; data.n|tojson
range(3)|list ;; range(1, 6, 2)|list ;; dict(a=1) ;; data.s|upper|lower|first ;; data.n ~ data.s|upper ;; -data.n|abs
data.words|map('replace', 'a', 'x')|list ;; not data.l|length ;; data.l|length > 2 ;; data.s|length in [12, 13]
"""
TEXTS = [
    "a{{ data.n }}b",
    "{% if data.n > 5 %}many{% elif data.n %}some{% else %}none{% endif %}",
    "{% if data.z %}z{% elif data.t %}t{% endif %}",
    "{% for x in data.l %}{{ loop.index }}{{ loop.index0 }}{{ x }}{% if not loop.last %},{% endif %}{% endfor %}",
    "{% for x in data.l if x > 1 %}{{ loop.length }}{{ x }}{% else %}no{% endfor %}",
    "{% for x in data.l if x > 9 %}{{ x }}{% else %}no{% endfor %}",
    "{% for x in data.no %}{{ x }}{% else %}none{% endfor %}",
    "{% for k, v in data.rows[0] | items %}{{ k }}={{ v }};{% endfor %}",
    "{% for k in data.rows[0] %}{{ k }}{% endfor %}",
    "{% for a in data.l %}{% for b in data.l %}{{ a * b }}{{ loop.first }}{% endfor %}{{ loop.first }};{% endfor %}",
    "{% set x = data.n %}{{ x + 1 }}{% for y in [1, 2] %}{% set x = y %}{{ x }}{% endfor %}{{ x }}",
    "{% set a, b = [1, 2] %}{{ a }}{{ b }}{% if true %}{% set a = 3 %}{% endif %}{{ a }}",
    "{% set x %}<{{ data.n }}>{% endset %}{{ x }}{{ x | length }}",
    "{% set x | upper %}abc{% endset %}{{ x }}",
    "a  {{- data.n -}}  b {%- if true -%}  c  {%- endif %} d",
    "a{# a comment with {{ braces }} #}b",
    "{{ '}}' }}{{ {'a': {'b': 1}}.a.b }}",
    "{% for x in [[1, 2], [3, 4]] %}{{ x[0] + x[1] }}{% endfor %}",
    "{{ data.l | map('string') | join('+') }} = {{ data.l | sum }}",
]


def scope() -> Scope:
    return Scope(Event(id="evt_1", type="t", time=1_700_000_000_000_000, data=msgspec.json.encode(DATA).decode()))


def oracle() -> Environment:
    def plain(value: Any) -> Any:
        return (
            {None: "", True: "true", False: "false"}.get(value, value) if type(value) in (bool, type(None)) else value
        )

    return Environment(undefined_behavior="chainable", pycompat=False, finalizer=plain)


def listed(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [listed(each) for each in value]
    return {name: listed(each) for name, each in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize(
    "expression",
    [each.strip() for each in EXPRESSIONS.split(" | ") + FILTERED.replace("\n", ";;").split(";;") if each.strip()],
)
def test_an_expression_means_what_it_means_in_jinja(expression: str) -> None:
    assert JsonTemplate(f"{{{{ {expression} }}}}").fill(scope()) == listed(oracle().eval_expr(expression, data=DATA))


@pytest.mark.parametrize("source", TEXTS)
def test_a_text_is_written_as_jinja_writes_it(source: str) -> None:
    assert TextTemplate(source, "", in_text).fill(scope()) == oracle().render_str(source, data=DATA)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("data.s | truncate(8)", "Ada..."),
        ("data.s | truncate(5, true, '')", "Ada L"),
        ("data.s | wordcount", 2),
        ("2.5 | round", 3),
        ("0.125 | round(2)", 0.13),
        ("1.9 | round(method='floor')", 1),
        ("1234 | round(-2)", 1200),
        ("data.t | string", "true"),
        ("data.o | json", '{"b":1,"a":{"x":[1,2]}}'),
        ("data.o.a | tojson(1)", '{\n "x": [\n  1,\n  2\n ]\n}'),
        ("'x' | hash('md5')", "9dd4e461268c8034f5c8564e155c67a6"),
        ("'x' | b64", "eA=="),
        ("\"it's\" | quote('soql')", "'it\\'s'"),
        ("'a' | int(default=5)", 5),
        ("[[], [1]] | map('first')", [None, 1]),
        ("[{}] | map('attr', 'x')", [None]),
        ("[{}] | map(attribute='x', default=data.no)", [None]),
        ("[{}] | groupby('x')", [[None, [{}]]]),
        ("dict(a=data.no, b=1)", {"b": 1}),
        ("data.rows | unique(attribute='k') | map(attribute='v')", [1, 2]),
    ],
)
def test_filters_that_are_ours(expression: str, value: Any) -> None:
    assert JsonTemplate(f"{{{{ {expression} }}}}").fill(scope()) == value


def test_what_differs_from_jinja_on_purpose() -> None:
    # A missing value is never less than a number, and a text ends as it is written.
    assert not Condition("{{ data.no < 5 }}", "", ("data",)).holds(scope())
    assert not Condition("{{ data.z < 5 }}", "", ("data",)).holds(scope())
    assert TextTemplate("{% if data.t %}a{% endif %}\n", "", in_text).fill(scope()) == "a\n"
    assert JsonTemplate("{{ data.z ~ data.no ~ data.t ~ data.o }}").fill(scope()) == 'true{"b":1,"a":{"x":[1,2]}}'


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ data.s | escape }}", "values are escaped automatically"),
        ("{{ data.items() }}", "Values have no methods. Use a filter"),
        ("{{ namespace(a=1) }}", "There is no function namespace."),
        ("{{ loop.index }}", "There is no loop here."),
        ("{{ x }}{% set x = 1 %}", "There is no x here."),
        ("{% for x in data.l %}{% endfor %}{{ x }}", "There is no x here."),
        ("{{ data.s | upper(1) }}", "upper does not accept these arguments"),
        ("{{ data.s | replace('a') }}", "replace does not accept these arguments: missing a required argument: new."),
        ("{{ data.s | date(form='x', zone='UTC', more=1) }}", "date does not accept these arguments"),
        ("{{ data.l | map('nosuch') }}", "map needs the name of a filter"),
        ("{{ data.l | select('nosuch') }}", "There is no test nosuch."),
        ("{{ data.l | select(data.s) }}", "There is no test"),
        ("{% for x in data.l %}", "does not compile: endfor is missing"),
        ("{% endif %}", "does not compile: endif has nothing to end"),
        ("{% if true %}{% endfor %}", "does not compile: endfor has nothing to end"),
        ("{% set loop = 1 %}", "does not compile: loop cannot be set"),
        ("{% set a.b = 1 %}", "does not compile"),
        ("{{ 'a }}", "does not compile"),
        ("{{ data.a ? 1 }}", "does not compile: it cannot contain '?' here"),
        ("{{ data. }}", "does not compile: a name was expected, not the end"),
        ("{{ data[] }}", "does not compile: [] needs a name or a number"),
        ("{{ }}", "does not compile: a value was expected, not the end"),
        ("{{ 1 2 }}", "does not compile"),
        ("{{ '\\x00' }}", "does not compile: a string cannot contain"),
        ("{{ 99999999999999999999 }}", "does not compile: the number 99999999999999999999 has too many digits"),
        (
            "{% raw %}{% endraw %}",
            "A template cannot have `raw` statements, only `if`, `elif`, `else`, `for` and `set`.",
        ),
        ("{% if 1 %}" * 40 + "{% endif %}" * 40, "does not compile: statements are nested"),
    ],
)
def test_what_is_not_in_the_language_is_refused_before_it_runs(source: str, said: str) -> None:
    with pytest.raises(Refused) as refused:
        JsonTemplate({"a": source})
    assert said in refused.value.detail


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("data.s + 1", "unable to calculate the text 'Ada Lovelace' + 1."),
        ("data.no + 1", "unable to calculate a missing value + 1."),
        ("data.l < 1", "unable to compare a list with 1."),
        ("data.s < 1", "unable to compare the text 'Ada Lovelace' with 1."),
        ("data.l | sort(attribute='x')", "a missing value cannot be sorted."),
        ("[1, 'a'] | sort", "numbers and texts cannot be sorted together."),
        ("data.s | int", "the text 'Ada Lovelace' is not a number."),
        ("data.n | items", "7 is not an object."),
        ("'%d' | format(data.s)", "the format '%d' does not fit its values"),
        ("data.s | date", "'Ada Lovelace' is not a time"),
        ("9223372036854775807 + 1", "the result has too many digits"),
        ("1e308 * 10", "the result has too many digits"),
        ("data.n % 0", "unable to calculate 7 % 0."),
        ("'%c' | format(0)", "the format '%c' makes a character that no text can contain."),
        ("'%c' | format(55296)", "the format '%c' makes a character that no text can contain."),
        ("('%' ~ '0' * 20000) | format(1)", "'%000000000' is not a printf format"),
        ("range(90000) | map(attribute='.' * 20000) | length", "it takes more than 200,000 steps"),
    ],
)
def test_what_fails_with_an_event_says_why(expression: str, said: str) -> None:
    with pytest.raises(TemplateFailed) as failed:
        JsonTemplate({"a": f"{{{{ {expression} }}}}"}).fill(scope())
    assert str(failed.value).startswith(f"The template at /a failed: {said}")
