"""What declarations of connections and calls may say, and that no value changes the structure it is put into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidings.model.errors import Invalid
from tidings.model.event import Event
from tidings.model.link import CallApi
from tidings.rules.calls.request import CallRequest, CallTemplate
from tidings.rules.declare import connections, links
from tidings.rules.hooks.xml import xml_object
from tidings.rules.template import Scope, TemplateFailed


def places(read: Callable[[], object]) -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        read()
    return {each.pointer or "": each.detail for each in refused.value.errors}


@pytest.mark.parametrize(
    ("declared", "place", "said"),
    [
        ({}, "/base", "needs `base`"),
        ({"base": "ftp://x"}, "/base", "begin with https://"),
        ({"base": "https://u:p@x"}, "/base", "user name"),
        ({"base": "https://x/?a=1"}, "/base", "cannot have a query"),
        ({"base": "https://x", "auth": {}}, "/auth", "exactly one of"),
        ({"base": "https://x", "auth": {"bearer": "a", "basic": ["a", "b"]}}, "/auth", "exactly one of"),
        ({"base": "https://x", "auth": {"magic": 1}}, "/auth/magic", "'magic' is unknown here"),
        ({"base": "https://x", "auth": {"bearer": "a\r\nb"}}, "/auth/bearer", "line breaks"),
        ({"base": "https://x", "auth": {"bearer": "***"}}, "/auth/bearer", "no value is stored"),
        ({"base": "https://x", "auth": {"basic": ["a:b", "c"]}}, "/auth/basic/0", "colon"),
        ({"base": "https://x", "auth": {"header": {"Host": "x"}}}, "/auth/header/Host", "set by Tidings itself"),
        ({"base": "https://x", "auth": {"header": {"a b": "x"}}}, "/auth/header/a b", "header name"),
        ({"base": "https://x", "rate": "5/day"}, "/rate", "such as 5/s"),
        ({"base": "https://x", "rate": 0}, "/rate", "from 0.001"),
        ({"base": "https://x", "max_in_flight": 0}, "/max_in_flight", "from 1 to"),
        ({"base": "https://x", "timeout_seconds": 0}, "/timeout_seconds", "from 0.1"),
        ({"base": "https://x", "private": ["0.0.0.0/0"]}, "/private", "nearly everything"),
        ({"base": "https://x", "private": ["home"]}, "/private", "not an address range"),
        ({"base": "http://x", "ca": "PEM"}, "/ca", "requires TLS"),
        ({"base": "https://x", "ca": "PEM"}, "/ca", "certificate"),
        (
            {"base": "https://x", "client_certificate": {"key": "k"}},
            "/client_certificate/certificate",
            "needs `certificate`",
        ),
    ],
)
def test_a_wrong_declaration_is_refused_with_its_place(declared: Any, place: str, said: str) -> None:
    found = places(lambda: connections.read_one("shop", declared, None, 0))
    assert place in found and said in found[place], found


@pytest.mark.parametrize(
    ("call", "place", "said"),
    [
        ({}, "", "exactly one of get"),
        ({"get": "/a", "post": "/b"}, "", "exactly one of get"),
        ({"post": "/a"}, "/post", "must be a URL such as"),
        ({"via": "shop", "post": "a"}, "/post", "must be a path"),
        ({"post": "https://{{ data.host }}/a"}, "/post", "its host cannot be a template"),
        ({"post": "https://x{{ data.host }}"}, "/post", "its host cannot be a template"),
        ({"post": "ftp://x/a"}, "/post", "begin with https://"),
        ({"via": "shop", "post": "/a b"}, "/post", "cannot contain ' '"),
        ({"via": "shop", "post": "/{{ datum.id }}"}, "/post", "There is no datum here."),
        ({"via": "shop", "post": "/a", "json": {}, "text": ""}, "/text", "one body"),
        ({"via": "shop", "get": "/a", "json": {}}, "/json", "takes no body"),
        ({"via": "shop", "post": "/a", "form": "x"}, "/form", "an object of parameters"),
        ({"via": "shop", "post": "/a", "headers": {"X-A": "a\r\nX-B: b"}}, "/headers/X-A", "a single line"),
        ({"via": "shop", "post": "/a", "xml": "<a>"}, "/xml", "not well-formed"),
        ({"via": "shop", "post": "/a", "xml": "<?" * 4000}, "/xml", "not end with ?>"),
        ({"via": "shop", "post": "/a", "xml": "<a " + "b" * 8000}, "/xml", "not well-formed"),
        ({"via": "shop", "post": "/a", "xml": "<a {{ data.x }}='1'/>"}, "/xml", "cannot change"),
        ({"via": "shop", "post": "/a", "ok": "yes"}, "/ok", "one expression"),
        ({"via": "shop", "post": "/a", "ok": "{{ answer }}"}, "/ok", "There is no answer here."),
        ({"via": "shop", "post": "/a", "headers": {"Host": "x"}}, "/headers/Host", "set by Tidings itself"),
        ({"via": "shop", "post": "/a", "headers": {"X": 1}}, "/headers/X", "must be a string"),
        ({"via": "shop", "post": "/a", "in_doubt": "maybe"}, "/in_doubt", "retry or park"),
        ({"via": "shop", "post": "/a", "give_up_on": [200]}, "/give_up_on/0", "300 to 599"),
        ({"via": "shop", "post": "/a", "timeout_seconds": 1000}, "/timeout_seconds", "from 0.1 to 120"),
        ({"via": "shop", "post": "/a", "pages": {"next": "{{ body.x }}"}}, "/pages", "`pages` requires `emit`"),
        ({"via": "x", "get": "/a", "sign": "nobody"}, "/sign", "no signature scheme named"),
    ],
)
def test_a_wrong_call_is_refused_with_its_place(call: Any, place: str, said: str) -> None:
    found = places(lambda: links.read_one("push", {"when": {"event": "order.*"}, "call": call}))
    assert f"/call{place}" in found and said in found[f"/call{place}"], found


# --- hostile values ---------------------------------------------------------------------------------------------------

HOSTILE = (
    *("../", "..", ".", "", "/", "%2e%2e", "\r\n", "a\r\nX-Evil: 1", "]]>", "--><b/>", '"}', "'", "&a=b"),
    *("{{ id }}", "{% if %}", "\0", "\ud800"),
)
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(), st.text().map(lambda text: f"../{text}\r\n"))
NUMBERS = st.one_of(st.integers(-(2**63), 2**63), st.floats(allow_nan=False, allow_infinity=False))
VALUES = st.one_of(TEXTS, st.none(), st.booleans(), NUMBERS, st.lists(TEXTS))


def scope(value: Any) -> Scope:
    """An event with a value that no caller may publish."""
    return Scope(Event(id="evt_1", type="a", time=1, data="{}"), {"data": {"v": value}})


def filled(value: Any, **parts: Any) -> CallRequest | None:
    """The request with the value; None if it is refused."""
    what = CallApi(via="shop", **{"verb": "post", "path": "/x", **parts})
    try:
        return CallTemplate(what, "https://shop.example/api").fill(scope(value))
    except TemplateFailed:
        return None


@given(VALUES)
@example("..")
def test_no_value_changes_the_path_or_the_query_of_a_url(value: Any) -> None:
    found = filled(value, path="/a/{{ data.v }}/b/x{{ data.v | string }}?k={{ data.v }}", query={"q": "{{ data.v }}"})
    if found is None:
        return
    url = urlsplit(found.url)
    assert found.url.isascii() and (url.scheme, url.netloc, url.fragment) == ("https", "shop.example", "")
    steps = url.path.split("/")
    assert len(steps) == 6 and steps[:3] == ["", "api", "a"] and steps[4] == "b" and unquote(steps[5]).startswith("x")
    assert steps[3] not in ("", ".", "..")
    assert [name for name, _ in parse_qsl(url.query, keep_blank_values=True)][:1] == ["k"]
    assert {name for name, _ in parse_qsl(url.query, keep_blank_values=True)} <= {"k", "q"}


@given(VALUES)
def test_no_value_adds_a_header(value: Any) -> None:
    found = filled(value, headers={"X-Value": "{{ data.v }}", "X-Text": "a{{ data.v }}b"})
    if found is not None:
        assert {name for name, _ in found.headers} <= {"X-Value", "X-Text"}
        assert all("\n" not in text and "\r" not in text and "\0" not in text for _, text in found.headers)


@given(VALUES)
def test_no_value_changes_the_structure_of_xml(value: Any) -> None:
    source = '<a><b x="{{ data.v }}" y="1">{{ data.v }}</b>{% for one in [data.v] %}<c>-{{ one }}-</c>{% endfor %}</a>'
    found = filled(value, form="xml", content=source)
    if found is None:
        return
    root = xml_object(found.body)["a"]
    assert set(root) == {"b", "c"} and type(root["c"]) is str and root["c"].startswith("-")
    assert set(root["b"]) <= {"@x", "@y", "#text"} and root["b"]["@y"] == "1"
    # Half of a surrogate pair has no bytes of its own.
    if type(value) is str and not any("\ud800" <= char <= "\udfff" for char in value):
        assert root["b"]["@x"] == value and root["c"] == f"-{value}-"


@given(VALUES)
def test_no_value_changes_the_structure_of_json_or_of_a_form(value: Any) -> None:
    structure = {"a": "{{ data.v }}", "b": ["x{{ data.v }}y"], "c": {"d": "{{ data.v | string }}"}}
    found = filled(value, form="json", content=structure)
    if found is not None:
        read = msgspec.json.decode(found.body)
        assert set(read) <= {"a", "b", "c"} and type(read["b"]) is list and len(read["b"]) == 1
        assert read.get("a") == value
    form = filled(value, form="form", content={"To": "{{ data.v }}", "From": "1"})
    if form is not None:
        pairs = parse_qsl(form.body.decode(), keep_blank_values=True)
        assert {name for name, _ in pairs} <= {"To", "From"} and ("From", "1") in pairs
        if type(value) is str:
            assert ("To", value) in pairs
