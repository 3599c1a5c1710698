"""No template takes memory or time out of proportion: each is cut off before it makes something large.

The sources are tried in a process of their own, whose memory is measured and limited.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

GROWTH_MB_MAX = 48
"""What all of them may take, on top of an event of 150 kB: four million characters of four bytes each, three times."""
SECONDS_MAX = 5.0
"""Processor time of any of them; the slowest takes a fifth of a second on an idle machine."""

DOUBLED = "{% set a = data.s %}" + "{% set a = a ~ a %}" * 40 + "{{ a }}"
NESTED = "{% set a = [data.s] %}" + "{% set a = [a, a] %}" * 40
PAIRED = "{% set a = {'x': data} %}" + "{% set a = {'l': a, 'r': a} %}" * 40
SOURCES = [
    # Text.
    "{{ data.s * 100000 }}",
    "{{ 'x' * 1000000000 }}",
    "{{ 'é' * 3900000 }}",
    "{{ '\U0001f600' * 1900000 ~ '\U0001f600' * 1900000 }}",
    DOUBLED,
    DOUBLED.replace("~", "+"),
    "{{ data.s | replace('a', data.s) }}",
    "{{ data.s | replace('', data.s) }}",
    "{{ ([data.s] * 10000) | join | length }}",
    "{{ range(90000) | map('string') | join(data.s) | length }}",
    "{{ '%999999999d' | format(1) }}",
    "{{ ('%1000d' * 100000) | format(1) }}",
    "{{ ('%(a)s' * 100000) | format(a=data.s) }}",
    "{{ '%.999999999f' | format(1) }}",
    "{{ '%*d' | format(999999999, 1) }}",
    "{{ data.lines | indent(1000) | length }}",
    "{{ data.lines | indent(1000000000) }}",
    "{{ data.s | truncate(1000000000, end=data.s) }}",
    "{{ data.s | urlencode | urlencode | urlencode | urlencode | urlencode }}",
    "{{ data.quotes | quote('sql') | quote('sql') | quote('sql') | quote('sql') | quote('sql') | quote('sql') }}",
    "{{ data.s | b64 | b64 | b64 | b64 | b64 | b64 | b64 | b64 | b64 | b64 | b64 | b64 }}",
    "{% for i in range(60000) %}{{ data.s }}{% endfor %}",
    "{% set a %}{% for i in range(60000) %}{{ data.s }}{% endfor %}{% endset %}{{ a | length }}",
    "{{ data }}" * 800,
    "{{ data | tojson(indent=8) }}" * 200,
    # Lists and objects: shared, so small until they are written, compared or hashed.
    "{{ [1] * 100000000 }}",
    "{{ [[1] * 1000] * 1000 }}",
    "{{ [[[1] * 1000] * 1000] * 1000 }}",
    "{{ {'a': [[1] * 10000000]} }}",
    NESTED + "{{ a }}",
    NESTED + "{{ a | tojson }}",
    NESTED + "{{ a | tojson(indent=8) }}",
    NESTED + "{{ a | string | length }}",
    NESTED + "{{ a ~ '' }}",
    NESTED + "{{ a | join }}",
    NESTED + "{{ a | hash }}",
    NESTED + "{{ a | b64 | length }}",
    NESTED + "{{ a | quote('sql') | length }}",
    NESTED + "{{ a | date }}",
    NESTED + "{{ a | urlencode }}",
    NESTED + "{{ '%s' | format(a) }}",
    NESTED + "{{ 'x' | replace('x', a) }}",
    NESTED + "{{ a | unique | length }}",
    NESTED + "{{ a | groupby('0') | length }}",
    NESTED + "{{ a | sort }}",
    NESTED + "{{ {a: 1} }}",
    NESTED + NESTED.replace("a", "b").replace("dbtb", "data") + "{{ a == b }}",
    NESTED + NESTED.replace("a", "b").replace("dbtb", "data") + "{{ a in [b] }}",
    NESTED.replace("[a, a]", "a + a") + "{{ a | length }}",
    NESTED.replace("[a, a]", "a | zip(a)") + "{{ a }}",
    NESTED.replace("[a, a]", "a | chain(a)") + "{{ a | length }}",
    NESTED.replace("[a, a]", "[1] | batch(1000, a)") + "{{ a }}",
    NESTED.replace("[a, a]", "range(9) | map(attribute='x', default=a)") + "{{ a }}",
    NESTED.replace("[a, a]", "a * 1000") + "{{ a }}",
    PAIRED + "{{ a }}",
    PAIRED + "{{ a == a }}",
    PAIRED + "{{ a | dictsort(by='value') }}",
    "{{ [" + "data, " * 1300 + "1] }}",
    "{{ [" + "data, " * 1300 + "1] | hash }}",
    "{{ range(100000) | list | length }}" * 200,
    "{{ data.s | list | length }}" * 200,
    "{{ (data.s ~ data.s ~ data.s ~ data.s) | list | length }}",
    "{{ (data.words * 15) | wordcount }}",
    "{{ (data.words * 15) | split | length }}",
    "{{ (data.lines * 15) | lines | length }}",
    # Numbers.
    "{{ 9 ** 9 ** 9 }}",
    "{{ 2 ** 64 ** 64 }}",
    "{{ ('9' * 1000000) | int }}",
    "{{ '1.0e999999999' | int }}",
    "{{ '1e999999999' | float }}",
    "{{ 1.5 | round(999999999) }}",
    "{{ data.huge > 1 and data.huge == 1 and data.huge | round }}",
    # Time.
    "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
    "{% for a in range(99999) %}{% endfor %}" * 100,
    "{% for a in range(60000) %}{% if data == data %}{% endif %}{% endfor %}",
    "{% for a in range(60000) %}{% if data.s in data.s %}{% endif %}{% endfor %}",
    "{% for a in range(60000) %}{{ data | hash | length }}{% endfor %}",
    "{% for a in range(60000) %}{% set b = data.s | upper %}{% endfor %}",
    "{% for a in range(60000) %}{% set b = data.list | sort %}{% endfor %}",
    "{% for a in range(60000) %}{% set b = data.list | max %}{% endfor %}",
    "{% for a in range(60000) %}{% set b = 1 in data.list %}{% endfor %}",
    "{% for a in range(60000) %}{% set b = data.list[1:] %}{% endfor %}",
    "{% for a in range(60000) %}{% set b = data.s[1:] %}{% endfor %}",
    "{% for a in range(60000) %}{% set b = data.list | map('string') | list %}{% endfor %}",
    "{% for a in range(60000) %}{% set b = data.list | select('gt', 5) %}{% endfor %}",
    "{% for a in range(60000) %}{% for b in data.list if b > 1000000 %}{% endfor %}{% endfor %}",
    "{% for a in range(60000) %}{{ '%1000d' | format(1) | length }}{% endfor %}",
    "{% for a in data.s %}{% for b in data.s %}{% endfor %}{% endfor %}",
    "{% for a in range(60000) %}{% if data.s == data.same %}{% endif %}{% endfor %}",
    "{% for a in range(60000) %}{% if data.s < data.same %}{% endif %}{% endfor %}",
    "{% for a in range(60000) %}{% if data.long == data.longer %}{% endif %}{% endfor %}",
    "{% for a in range(60000) %}{% if data.long < data.longer %}{% endif %}{% endfor %}",
    "{% for a in range(60000) %}{% if data.long %}{% endif %}{% endfor %}",
    "{{ ([data.long] * 60000) | max }}",
    "{{ data | attr(data.dots) or 1 }}",
    *(
        "{{ range(90000) | " + each + " | length }}"
        for each in (
            "map(attribute=data.dots)",
            "join('', data.dots)",
            "unique(attribute=data.dots)",
            "groupby(data.dots)",
            "selectattr(data.dots)",
            "sort(attribute=data.dots)",
        )
    ),
    "{{ ('%' ~ '0' * 20000) | format(1) }}",
    "{{ " + '"\\' * 4000,
    "{{ " + "'" + '"\\' * 2700,
    "{{ " + "not " * 1900 + "1 }}",
    "{{ " + "-" * 8000 + "1 }}",
    "{{ " + "1" + " if 1" * 1500 + " }}",
    "{{ data" + ".a" * 4000 + " }}",
    "{{ data" + "|list" * 1600 + " }}",
]
# Many leaves that each name all of the event: a structure of 64 kB that would be 1 GB.
STRUCTURES = [["{{ data }}"] * 4000, ["{{ data.s }}"] * 4000, {str(n): "{{ [data] }}" for n in range(2000)}]

PROGRAM = """
import json, resource, sys, time
from tidings.model.event import Event
from tidings.rules.calls.texts import TextTemplate, in_text, in_xml
from tidings.rules.reading.refused import Refused
from tidings.rules.template import JsonTemplate, Scope, TemplateFailed
from tidings.rules.templates.numbers import encode

kb = 20_000
data = {"s": "a" * kb, "quotes": "'" * kb, "lines": "\\n" * kb, "words": "ab " * kb, "list": list(range(9000)),
        "deep": [[[[[list(range(5000))]]]]], "same": "a" * kb, "dots": "." * kb}
text = json.dumps(data)[:-1] + ', "huge": 1.5e99999999999, "long": ' + "1" * 4200 + ', "longer": ' + "1" * 4201 + "}"
scope = Scope(Event(id="evt_1", type="x", time=1_700_000_000_000_000, data=text))

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def tried(template, source):
    began = time.process_time()
    try:
        made = template(source)
        size = len(made if isinstance(made, str) else encode(made))
        said = "made " + str(size)
    except (Refused, TemplateFailed) as wrong:
        said = wrong.detail[:80]
    return said, time.process_time() - began

def value(source):
    return JsonTemplate(source).fill(scope)

def written(source):
    return TextTemplate(source + ".", "", in_text).fill(scope)

def in_document(source):
    return TextTemplate(source + ".", "", in_xml).fill(scope)

before = peak()
found = []
for source in json.load(sys.stdin):
    for template in (value, written, in_document) if isinstance(source, str) else (value,):
        said, seconds = tried(template, source)
        found.append((str(source)[:60], str(source)[-40:], template.__name__, said, seconds, peak() - before))
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def tried() -> list[tuple[str, str, str, str, float, float]]:
    """For each source: how it begins and ends, what filled it, what came of it, its seconds, the peak so far in MB."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps([*SOURCES, *STRUCTURES]),
        capture_output=True,
        text=True,
        timeout=280,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30)),
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[tuple[str, str, str, str, float, float]] = json.loads(done.stdout)
    return found


def test_no_template_takes_memory_out_of_proportion(tried: list[tuple[str, str, str, str, float, float]]) -> None:
    assert len(tried) > len(SOURCES)
    grown = [each for each in tried if each[5] > GROWTH_MB_MAX]
    assert not grown, f"the first that grew too far: {grown[0]}"


def test_no_template_takes_time_out_of_proportion(tried: list[tuple[str, str, str, str, float, float]]) -> None:
    assert [each for each in tried if each[4] > SECONDS_MAX] == []


def test_what_a_template_makes_is_bounded(tried: list[tuple[str, str, str, str, float, float]]) -> None:
    made = [int(each[3].removeprefix("made ")) for each in tried if each[3].startswith("made ")]
    assert made
    # Four million characters, each of which UTF-8 writes with at most four bytes.
    assert max(made) <= 16_000_000
