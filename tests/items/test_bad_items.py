"""Wrong items, filters, cursors and conditions, as raw bytes: a refusal that names the place, never a fault."""

from __future__ import annotations

import itertools
import json
import threading
from typing import Any

import pytest

from tests.examples import slow
from tests.items.collections import declare
from tests.web.test_bad_input import problem
from tests.web.wire import KEY_LINE, Said, get, post, send
from tidings.model.collection import Collection, Field
from tidings.testing import Api, TestServer

LONG = "n" * 40
TYPES = Collection(
    name=f"t{LONG[1:]}",
    fields=(
        Field(name="text", type="string", max=20, min=2, pattern="^[a-z]", filterable=True, sortable=True),
        Field(name="mail", type="string", format="email"),
        Field(name="free", type="string", searchable=True),
        Field(name="whole", type="integer", filterable=True, sortable=True),
        Field(name="few", type="integer", min=1, max=3),
        Field(name="real", type="number", max=100, filterable=True, sortable=True),
        Field(name="flag", type="boolean", filterable=True, sortable=True),
        Field(name="day", type="date", filterable=True, sortable=True),
        Field(name="soon", type="date", min="2026-01-01", max="2026-12-31"),
        Field(name="at", type="datetime", filterable=True, sortable=True),
        Field(name="late", type="datetime", min="2026-01-01T00:00:00Z"),
        Field(name="kind", type="enum", values=("a", "b"), filterable=True),
        Field(name="up", type="reference", to=f"t{LONG[1:]}", filterable=True),
        Field(name="gone", type="reference", to="dropped"),
        Field(name="shape", type="object", schema={"type": "object", "properties": {"x": {"type": "integer"}}}),
        Field(name="list", type="array", max=2, schema={"type": "string"}),
        Field(name=LONG, type="string", unique=True),
    ),
)
NEEDS = Collection(
    name="needs",
    fields=(Field(name="must", type="string", required=True), Field(name="default", type="integer", default=7)),
)
PATH = f"/v1/items/{TYPES.name}"


@pytest.fixture(scope="module", autouse=True)
def _declared(server: TestServer) -> None:
    declare(server, TYPES)
    declare(server, NEEDS)


@pytest.fixture(autouse=True)
def _goes_on(server: TestServer) -> object:
    yield
    assert server.api.call("GET", "/readyz").status == 200


WRONG: dict[str, tuple[str, str, str]] = {
    "a list": ("[]", "wrong_type", ""),
    "null": ("null", "wrong_type", ""),
    "a string": ('"x"', "wrong_type", ""),
    "unknown": ('{"nothing":1}', "unknown_field", "/nothing"),
    "odd name": ('{"a/b~c":1}', "unknown_field", "/a~1b~0c"),
    "another case": ('{"Text":"abc"}', "unknown_field", "/Text"),
    "number for text": ('{"text":5}', "wrong_type", "/text"),
    "too long": ('{"text":"' + "a" * 21 + '"}', "too_long", "/text"),
    "too short": ('{"text":"a"}', "too_short", "/text"),
    "pattern": ('{"text":"ABC"}', "pattern", "/text"),
    "email": ('{"mail":"no"}', "format", "/mail"),
    "very long": ('{"free":"' + "x" * 10_001 + '"}', "too_long", "/free"),
    "text for integer": ('{"whole":"5"}', "wrong_type", "/whole"),
    "a fraction": ('{"whole":1.5}', "wrong_type", "/whole"),
    "true for integer": ('{"whole":true}', "wrong_type", "/whole"),
    "2**63": ('{"whole":9223372036854775808}', "number_out_of_range", "/whole"),
    "2**63 as a float": ('{"whole":9223372036854775808.0}', "not_exact", "/whole"),
    "2**53 + 1 as a float": ('{"whole":9007199254740993.0}', "not_exact", "/whole"),
    "all digits but as a power": ('{"whole":9.223372036854775e18}', "not_exact", "/whole"),
    "2**53 + 1 for number": ('{"real":-9007199254740993}', "not_exact", "/real"),
    "money that no double keeps": ('{"real":-12345678901234567.89}', "not_exact", "/real"),
    "infinite": ('{"real":1e999}', "not_exact", "/real"),
    "nearly zero": ('{"real":1e-400}', "not_exact", "/real"),
    "a number deep inside": ('{"shape":{"a":[{"b":0.12345678901234567890}]}}', "not_exact", "/shape/a/0/b"),
    "1e30": ('{"whole":1e30}', "too_large", "/whole"),
    "too large": ('{"few":4}', "too_large", "/few"),
    "too small": ('{"few":0}', "too_small", "/few"),
    "number too large": ('{"real":100.5}', "too_large", "/real"),
    "text for number": ('{"real":"1"}', "wrong_type", "/real"),
    "1 for true": ('{"flag":1}', "wrong_type", "/flag"),
    "text for true": ('{"flag":"true"}', "wrong_type", "/flag"),
    "30 February": ('{"day":"2026-02-30"}', "format", "/day"),
    "year 0": ('{"day":"0000-01-01"}', "format", "/day"),
    "month 0": ('{"day":"0000-00-00"}', "format", "/day"),
    "year 10000": ('{"day":"10000-01-01"}', "too_long", "/day"),
    "a time as a date": ('{"day":"2026-01-01T00:00:00Z"}', "too_long", "/day"),
    "full-width digits": ('{"day":"２026-01-1"}', "format", "/day"),
    "too early a date": ('{"soon":"2025-12-31"}', "too_small", "/soon"),
    "too late a date": ('{"soon":"2027-01-01"}', "too_large", "/soon"),
    "year 0 with bounds": ('{"soon":"0000-01-01"}', "format", "/soon"),
    "no zone": ('{"at":"2026-01-01T00:00:00"}', "format", "/at"),
    "leap second": ('{"at":"2016-12-31T23:59:60Z"}', "format", "/at"),
    "leap second with bounds": ('{"late":"2016-12-31T23:59:60Z"}', "format", "/late"),
    "year 0 with a time": ('{"late":"0000-01-01T00:00:00Z"}', "format", "/late"),
    "too early a time": ('{"late":"2025-12-31T23:59:59.999999Z"}', "too_small", "/late"),
    "forty-one characters": ('{"at":"2026-01-01T00:00:00.12345678901234567890Z"}', "too_long", "/at"),
    "other digits": ('{"at":"2026-01-01T00:00:0٣Z"}', "format", "/at"),
    "before year 1": ('{"at":"0001-01-01T00:00:00+23:59"}', "format", "/at"),
    "after year 9999": ('{"at":"9999-12-31T23:59:59-23:59"}', "format", "/at"),
    "hour 24": ('{"at":"2026-01-01T24:00:00Z"}', "format", "/at"),
    "seconds": ('{"at":1700000000}', "wrong_type", "/at"),
    "enum": ('{"kind":"c"}', "not_in_enum", "/kind"),
    "not there": ('{"up":"nobody"}', "no_such_item", "/up"),
    "no id": ('{"up":"a b"}', "pattern", "/up"),
    "of a dropped collection": ('{"gone":"x"}', "no_such_item", "/gone"),
    "schema": ('{"shape":{"x":"y"}}', "wrong_type", "/shape/x"),
    "list for object": ('{"shape":[]}', "wrong_type", "/shape"),
    "too many": ('{"list":["a","b","c"]}', "too_many", "/list"),
    "element": ('{"list":["a",5]}', "wrong_type", "/list/1"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.few(20)
def test_wrong_values_name_their_location(server: TestServer, name: str) -> None:
    text, code, pointer = WRONG[name]
    before = server.api.get(PATH, count="true", limit=1)["count"]
    said = problem(send(server.url, post(text.encode(), PATH)), 422, code)
    assert said.places == [pointer] or pointer in said.places, said.json
    put = (
        f"PUT {PATH}/bad HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: {len(text.encode())}"
    )
    problem(send(server.url, put.encode() + b"\r\n" + KEY_LINE + b"\r\n" + text.encode()), 422, code)
    operation = b'{"operations":[{"op":"create","data":{}},{"op":"create","data":' + text.encode() + b"}]}"
    said = send(server.url, post(operation, f"{PATH}:batch"))
    assert said.status == 422 and any(place.startswith("/operations/1/data") for place in said.places), said.json
    assert server.api.get(PATH, count="true", limit=1)["count"] == before
    assert server.api.call("GET", f"{PATH}/bad").status == 404


NOT_JSON = {
    "NUL": rb'{"free":"a\u0000b"}',
    "NUL in an object": rb'{"shape":{"a\u0000":1}}',
    "lone surrogate": rb'{"free":"\ud800"}',
    "NaN": b'{"real":NaN}',
    "twice": b'{"whole":1,"whole":2}',
    "deep": b'{"shape":' + b'{"a":' * 80 + b"1" + b"}" * 80 + b"}",
    "not UTF-8": b'{"free":"\xff"}',
    "empty": b"",
}


@pytest.mark.parametrize("name", NOT_JSON)
def test_a_body_that_is_not_json_is_400(server: TestServer, name: str) -> None:
    problem(send(server.url, post(NOT_JSON[name], PATH)), 400)


@pytest.mark.slow
def test_values_at_the_limits_are_kept_unchanged(api: Api) -> None:
    given = {
        "whole": 2**63 - 1,
        "real": -1.7976931348623157e308,
        "at": "2026-01-01T01:00:00.123456+01:00",
        "day": "0001-01-01",
        "free": "\U0010ffff\ud7ff'\"\\%_\u2028 " + "x" * 9_000,
        "shape": {"deep": json.loads("[" * 50 + "]" * 50), "": [1, 1.5, "\U0001f600", None, True]},
        "list": [],
        LONG: "q",
    }
    made = api.post(PATH, given)
    should = {**given, "at": "2026-01-01T00:00:00.123456Z"}
    assert {name: made[name] for name in given} == should
    again = api.get(f"{PATH}/{made['id']}")
    assert again == made
    edited = api.patch(f"{PATH}/{made['id']}", {"whole": -(2**63), "real": -0.0, "at": "0001-01-01T00:00:00Z"})
    assert (edited["whole"], json.dumps(edited["real"]), edited["at"]) == (-(2**63), "0.0", "0001-01-01T00:00:00.000Z")
    assert api.get(f"{PATH}/{made['id']}") == edited
    assert api.patch(f"{PATH}/{made['id']}", {"whole": -(2.0**63) / 2**40})["whole"] == -(2**23)
    assert api.call("POST", PATH, {LONG: "q"}).json["errors"][0]["pointer"] == f"/{LONG}"


def test_required_fields_cannot_be_cleared(api: Api) -> None:
    for body in ({}, {"must": None}, {"default": 1}):
        reply = api.call("POST", "/v1/items/needs", body)
        assert reply.status == 422 and reply.json["errors"][0]["code"] == "missing"
        assert reply.json["errors"][0]["pointer"] == "/must"
    made = api.post("/v1/items/needs", {"must": ""})
    path = f"/v1/items/needs/{made['id']}"
    assert made["default"] == 7 and api.post("/v1/items/needs", {"must": "", "default": None})["default"] is None
    assert api.call("PATCH", path, {"must": None}).json["errors"][0]["pointer"] == "/must"
    assert api.call("PUT", path, {}).status == 422
    assert api.patch(path, {"default": None})["default"] is None
    assert api.call("PUT", path, {"must": "x"}).json["default"] == 7
    same = api.call("PATCH", path, {})
    assert same.status == 200 and same.json["revision"] == 3


QUERIES = [
    "nothing=1", "text__like=a", "text__=a", "__eq=1", "free=x", "shape=x", "limit=0", "limit=1001", "limit=x",
    "whole=x", "whole=1.0", "whole=99999999999999999999", "whole__gt=%2B1", "real=NaN", "real=1e400", "real=inf",
    "flag=1", "flag=True", "day=2026-02-30", "day=0000-01-01", "day=2026-1-1", "at=2026-01-01", "at=x",
    "at__lt=2016-12-31T23:59:60Z", "at__gt=0001-01-01T00:00:00%2B01:00&limit=1", "at__nin=9999-12-31T23:59:59-01:00",
    "kind=c", "kind__in=a,c", "kind__in=", "flag__gt=true", "up__contains=x",
    "text__starts_with=", "text__exists=1", "whole__in=" + ",".join(["1"] * 101), "text=" + "x" * 1_001,
    "up=" + "x" * 65, "sort=free", "sort=shape", "sort=nothing", "sort=text,-text", "sort=", "sort=--text",
    "sort=text,whole,real,flag,day", "fields=nothing", "fields=", "expand=text", "expand=up,nothing", "count=yes",
    "q=", "q=%2D%21..%20", "q=" + "x" * 1_001, "tenant=a/b", "tenant=" + "a" * 65, "whole=1&whole=2",
    "cursor=", "cursor=x", "cursor=%C3%A9", "cursor=" + "A" * 20_001, "WHOLE=1", "id=x", "revision=1", "created=x",
]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.few(20)
def test_wrong_parameters_are_refused_by_name(server: TestServer, query: str) -> None:
    said = problem(send(server.url, get(f"{PATH}?{query}")), 422)
    assert said.places == [query.partition("=")[0]]


@pytest.mark.parametrize(
    "query", ["text=%00", "text=%FF", "%00=1", "text__in=a,%00", "q=%00", "cursor=%00", "text=%ED%A0%80"]
)
def test_characters_that_no_string_can_hold_are_400(server: TestServer, query: str) -> None:
    problem(send(server.url, get(f"{PATH}?{query}")), 400)


@pytest.mark.parametrize("path", ["x%00", "%FF", "x%0d", "%ED%A0%80"])
def test_impossible_ids_in_paths_are_404(server: TestServer, path: str) -> None:
    problem(send(server.url, get(f"{PATH}/{path}")), 400)
    problem(send(server.url, get(f"/v1/items/{path}")), 400)


@pytest.mark.parametrize("ident", ["-x", ".x", "_x", "x" * 65, "é", "a b", "a%2Fb", "a,b", "%27"])
def test_ids_at_the_edge(server: TestServer, ident: str) -> None:
    from urllib.parse import quote

    target = f"{PATH}/{quote(ident, safe='%')}"
    body = b"Host: t\r\nContent-Type: application/json\r\nContent-Length: 2\r\n" + KEY_LINE + b"\r\n{}"
    said = send(server.url, f"PUT {target} HTTP/1.1\r\n".encode() + body)
    if "%2F" in ident:
        assert said.status == 404
    else:
        assert problem(said, 422).json["errors"][0]["parameter"] == "id"
    problem(send(server.url, get(target)), 404)
    batch = json.dumps({"operations": [{"op": "create", "id": ident, "data": {}}]}).encode()
    assert problem(send(server.url, post(batch, f"{PATH}:batch")), 422).places == ["/operations/0/id"]


@pytest.mark.slow
def test_ids_at_the_limits_are_accepted(api: Api) -> None:
    for ident in ("0", "x" * 64, "a.b_c-d", "batch", "itm_own", "null"):
        assert api.call("PUT", f"{PATH}/{ident}", {}).status == 201
        assert api.get(f"{PATH}/{ident}")["id"] == ident
        assert api.call("DELETE", f"{PATH}/{ident}").status == 204


# --- cursors ----------------------------------------------------------------------------------------------------------


SORTED = ("text", "whole", "real", "flag", "day", "at")
MADE_UP: list[Any] = [
    None, True, 1, -1, 2**62, 2**63, 2**64, 10**40, 1.5, 1e308, -0.0, "", "x", "a\0b", "\ud800", "2026-02-30",
    "x" * 5_000, [], [1], {}, {"a": 1},
]  # fmt: skip

RESTS: list[list[Any]] = [[1], ["x", 1], [None, 1], [-1], [2**62], [True], [1.5], [], ["\0"], [None, None]]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SORTED[:2], *slow(*SORTED[2:])])
def test_cursors_of_a_recreated_collection_are_refused(server: TestServer, api: Api, name: str) -> None:
    """Nobody can make a cursor up, but a field may have become of another type since it was given."""
    assert server.server is not None
    cursors = server.server.parts.cursors
    for _ in range(2):
        api.post(
            PATH,
            {"text": "abc", "whole": 1, "real": 1.0, "flag": True, "day": "2026-01-01", "at": "2026-01-01T00:00:00Z"},
        )
    second = f"-{name},whole" if name != "whole" else "-whole,text"
    for index, sort in enumerate((name, second, f"-{name}", f"{name},-created")):
        opened = cursors.open(api.get(PATH, sort=sort, limit=1)["next_cursor"])
        assert opened is not None
        pairs = list(itertools.product(MADE_UP, RESTS))
        # The first two ways to sort begin with the same column up and down: of the others, every third pair is tried.
        for first, rest in pairs if index < 2 else pairs[index::3]:
            try:
                made = cursors.seal([first, *rest], opened[1])
            except (UnicodeEncodeError, OverflowError):
                continue
            said = send(server.url, get(f"{PATH}?sort={sort}&limit=1&cursor={made}"))
            assert said.status in (200, 422), (said.status, said.body, first, rest)
            if said.status == 422:
                assert said.places == ["cursor"]


def test_a_cursor_belongs_to_its_query(api: Api) -> None:
    for number in range(3):
        api.post(PATH, {"text": "cursor", "whole": number})
    first = api.get(PATH, text="cursor", sort="whole", limit=1)["next_cursor"]
    others: list[dict[str, Any]] = [
        {"text": "other", "sort": "whole"}, {"sort": "whole"}, {"text": "cursor", "sort": "-whole"},
        {"text": "cursor"}, {"text": "cursor", "sort": "whole", "tenant": "a"},
        {"text": "cursor", "sort": "whole,text"},
    ]  # fmt: skip
    for query in others:
        reply = api.call("GET", PATH, cursor=first, **query)
        assert reply.status == 422 and reply.json["errors"][0]["code"] == "wrong_cursor", query
    assert api.call("GET", "/v1/items/needs", cursor=first).status == 422
    more = api.get(PATH, text="cursor", sort="whole", limit=2, fields="whole", count="true", cursor=first)
    assert [item["whole"] for item in more["data"]] == [1, 2] and more["count"] == 3


def test_texts_of_any_length_may_be_sorted_by(api: Api) -> None:
    names = [letter * 499 for letter in "\U0001f600éa"]
    for name in names:
        api.post("/v1/items/tasks", {"title": name[:200], "priority": "high"})
    found = api.pages("/v1/items/tasks", sort="title,-priority,pieces,due", priority="high", limit=1)
    assert [item["title"] for item in found] == sorted(name[:200] for name in names)


@pytest.mark.slow
def test_q_finds_words_of_any_kind(api: Api) -> None:
    api.post(PATH, {"free": "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich"})
    for query in ("zwolf", "BOXKÄMPFER deich", "gros", "vik qu sy", "ZWÖLF, zwölf!", "'deich' OR \"x\"*"):
        found = api.get(PATH, q=query)["data"]
        assert (len(found) == 1) is ("x" not in query.split("OR")[-1]), query
    many = " ".join(chr(0x4E00 + number) for number in range(499))
    api.post(PATH, {"free": many})
    assert len(api.get(PATH, q=many)["data"]) == 1
    assert api.get(PATH, q="y" * 1_000)["data"] == [] and api.get(PATH, q="& | ! ( ) :* <-> x1z")["data"] == []


@pytest.mark.slow
def test_q_finds_changed_items(api: Api) -> None:
    def found(word: str) -> list[str]:
        return [item["id"] for item in api.get(PATH, q=word)["data"]]

    for ident in ("q1", "q2"):
        api.call("PUT", f"{PATH}/{ident}", {"free": "oldword kept"})
    api.patch(f"{PATH}/q1", {"free": "newword kept"})
    assert (found("oldword"), found("newword"), found("kept")) == (["q2"], ["q1"], ["q2", "q1"])
    api.patch(f"{PATH}/q1", {"free": None})
    assert (found("newword"), found("kept")) == ([], ["q2"])
    api.call("PUT", f"{PATH}/q1", {"free": "oldword again"})
    api.call("DELETE", f"{PATH}/q2")
    assert (found("oldword"), found("kept"), found("old ag")) == (["q1"], [], ["q1"])


# --- conditions, conflicts, races -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_conditions_of_put_and_edit(api: Api) -> None:
    path = f"{PATH}/conditions"
    assert api.call("PUT", path, {}, {"If-Match": '"1"'}).status == 412
    assert api.call("PUT", path, {}, {"If-Match": "*"}).status == 412
    assert api.call("PUT", path, {}, {"If-None-Match": "*"}).status == 201
    assert api.call("PUT", path, {}, {"If-None-Match": "*"}).status == 412
    assert api.call("PUT", path, {"whole": 1}, {"If-None-Match": '"1"'}).status == 412
    assert api.call("PUT", path, {"whole": 1}, {"If-Match": "*"}).json["revision"] == 2
    assert api.call("PUT", path, {"whole": 2}, {"If-Match": '"1", "2"'}).json["revision"] == 3
    for method, body in (("PUT", {}), ("PATCH", {"whole": 9}), ("DELETE", None)):
        stale = api.call(method, path, body, {"If-Match": '"2"'})
        assert stale.status == 412 and "revision 3" in stale.json["detail"]
        assert api.call(method, path, body, {"If-Match": "3"}).status == 400
        assert api.call(method, f"{PATH}/none-such", body, {"If-Match": '"x"'}).status in (404, 412)
    assert api.call("GET", path, None, {"If-None-Match": '"3"'}).status == 304
    assert api.call("POST", PATH, {}, {"If-Match": '"1"'}).status == 400
    assert api.call("POST", f"{PATH}:batch", {"operations": []}, {"If-None-Match": "*"}).status == 400
    assert api.call("DELETE", path, None, {"If-Match": '"3"'}).status == 204


def test_referenced_items_cannot_be_deleted(api: Api) -> None:
    api.call("PUT", f"{PATH}/up", {"up": "up"})
    api.call("PUT", f"{PATH}/down", {"up": "up"})
    refused = api.call("DELETE", f"{PATH}/up")
    assert refused.status == 409 and refused.json["code"] == "referenced" and "down" not in refused.json["detail"]
    batch = {"operations": [{"op": "delete", "id": "up"}, {"op": "delete", "id": "down"}]}
    refused = api.call("POST", f"{PATH}:batch", batch)
    assert refused.status == 409 and refused.json["errors"][0]["pointer"] == "/operations/0/id"
    batch["operations"].reverse()
    assert [each["status"] for each in api.post(f"{PATH}:batch", batch)["results"]] == [204, 204]


def test_two_callers_cannot_take_the_same_value_at_once(api: Api) -> None:
    statuses: list[int] = []
    start = threading.Barrier(8)

    def want(number: int) -> None:
        start.wait()
        if number % 2:
            reply = api.call("PUT", f"{PATH}/race-{number}", {LONG: "wanted"})
        else:
            reply = api.call("POST", PATH, {LONG: "wanted"})
        statuses.append(reply.status)

    threads = [threading.Thread(target=want, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] + [409] * 7


@pytest.mark.slow
def test_simultaneous_edits_lose_nothing(api: Api) -> None:
    made = api.post(PATH, {"whole": 0})
    path = f"{PATH}/{made['id']}"

    def count_up() -> None:
        done = 0
        while done < 10:
            there = api.get(path)
            reply = api.call("PATCH", path, {"whole": there["whole"] + 1}, {"If-Match": f'"{there["revision"]}"'})
            assert reply.status in (200, 412)
            done += reply.status == 200

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = api.get(path)
    assert (found["whole"], found["revision"]) == (40, 41)
    told = api.pages("/v1/events", collection=TYPES.name, subject=made["id"])
    assert len(told) == 41


BATCHES: dict[str, tuple[Any, str, str]] = {
    "none": ([], "too_few", "/operations"),
    "too many": ([{"op": "create", "data": {}}] * 1_001, "too_many", "/operations"),
    "a verb": ([{"op": "upsert", "data": {}}], "not_in_enum", "/operations/0/op"),
    "no verb": ([{"data": {}}], "missing", "/operations/0/op"),
    "no id": ([{"op": "edit", "data": {}}], "missing", "/operations/0/id"),
    "no data": ([{"op": "create"}], "missing", "/operations/0/data"),
    "null data": ([{"op": "create", "data": None}], "wrong_value", "/operations/0/data"),
    "data of a delete": ([{"op": "delete", "id": "x", "data": {}}], "not_possible_here", "/operations/0/data"),
    "a revision of none": (
        [{"op": "create", "data": {}, "revision": 1}],
        "not_possible_here",
        "/operations/0/revision",
    ),
    "revision 0": ([{"op": "delete", "id": "x", "revision": 0}], "too_small", "/operations/0/revision"),
    "unknown": ([{"op": "create", "data": {}, "tenant": "a"}], "unknown_field", "/operations/0/tenant"),
    "a list as data": ([{"op": "create", "data": []}], "wrong_value", "/operations/0/data"),
}


@pytest.mark.parametrize("name", BATCHES)
def test_malformed_batches_are_refused(server: TestServer, name: str) -> None:
    operations, code, pointer = BATCHES[name]
    body = json.dumps({"operations": operations}).encode()
    said: Said = problem(send(server.url, post(body, f"{PATH}:batch")), 422, code)
    assert said.places == [pointer]


@pytest.mark.slow
def test_a_batch_is_done_whole_or_not_at_all(api: Api) -> None:
    operations: list[dict[str, Any]] = [
        {"op": "create", "id": "b1", "data": {LONG: "b1"}},
        {"op": "create", "id": "b2", "data": {"up": "b1"}},
        {"op": "edit", "id": "b1", "data": {"whole": 1}, "revision": 1},
        {"op": "put", "id": "b3", "data": {}},
        {"op": "put", "id": "b3", "data": {}, "revision": 1},
        {"op": "delete", "id": "b2"},
    ]
    for wrong, status, pointer in (
        ({"op": "create", "data": {LONG: "b1"}}, 409, f"/operations/6/data/{LONG}"),
        ({"op": "create", "id": "b1", "data": {}}, 409, "/operations/6/id"),
        ({"op": "edit", "id": "none", "data": {}}, 404, "/operations/6"),
        ({"op": "edit", "id": "b1", "data": {}, "revision": 1}, 412, "/operations/6"),
        ({"op": "create", "data": {"up": "b2"}}, 422, "/operations/6/data/up"),
    ):
        refused = api.call("POST", f"{PATH}:batch", {"operations": [*operations, wrong]})
        assert refused.status == status and refused.json["errors"][0]["pointer"] == pointer, refused.body
        assert api.call("GET", f"{PATH}/b1").status == 404
        assert api.pages("/v1/events", collection=TYPES.name, subject="b1") == []
    done = api.post(f"{PATH}:batch", {"operations": operations})["results"]
    assert [each["status"] for each in done] == [201, 201, 200, 201, 200, 204] and done[5]["item"] is None
    told = api.pages("/v1/events", collection=TYPES.name, sort="created")[-5:]
    assert [event["subject"] for event in told] == ["b1", "b2", "b1", "b3", "b2"]


SAID = {
    '{"at":"2026-11-29"}': 'at must be an RFC 3339 time such as 2026-11-21T01:02:03Z, not "2026-11-29".',
    '{"day":"29.11.2026"}': 'day must be a date such as 2026-11-21, not "29.11.2026".',
    '{"flag":"no"}': 'flag must be true or false, not "no".',
    '{"whole":"1"}': 'whole must be a whole number, not "1".',
    '{"text":5}': "text must be a string, not 5.",
    '{"late":"2025-01-01T00:00:00Z"}': "late must be 2026-01-01T00:00:00Z or later.",
    '{"id":"mine"}': (
        "The id is generated here. To choose it yourself, send PUT to the collection's URL followed by a slash "
        "and the id."
    ),
    '{"revision":1}': "revision cannot be set by callers. Leave it out.",
    '{"tenant":"acme"}': "The tenant is not a field. Pass it as a query parameter: ?tenant=NAME.",
}


@pytest.mark.parametrize("body", SAID)
def test_the_error_about_a_wrong_value_says_what_to_send(api: Api, body: str) -> None:
    (place,) = api.call("POST", PATH, body.encode()).json["errors"]
    assert place["detail"] == SAID[body]


def test_a_batch_says_where_an_id_of_the_callers_goes(api: Api) -> None:
    batch = {"operations": [{"op": "create", "data": {"id": "mine"}}]}
    (place,) = api.call("POST", f"{PATH}:batch", batch).json["errors"]
    assert place["pointer"] == "/operations/0/data/id" and place["detail"].endswith("give id next to data.")


def test_all_errors_are_reported_next_to_numbers_that_cannot_be_kept(api: Api) -> None:
    body = b'{"whole":9223372036854775808,"shape":{"x":[1,12345678901234567.89]},"flag":1,"zz":1,"real":101}'
    for method, path in (("POST", PATH), ("PUT", f"{PATH}/mine"), ("PATCH", f"{PATH}/mine")):
        refused = api.call(method, path, body)
        assert refused.status == 422
        pointers = [place["pointer"] for place in refused.json["errors"]]
        assert sorted(pointers) == ["/flag", "/real", "/shape/x/1", "/whole", "/zz"], refused.json
    needs = api.call("POST", "/v1/items/needs", b'{"default":9223372036854775808}').json["errors"]
    assert [place["pointer"] for place in needs] == ["/default", "/must"]
    edited = api.call("PATCH", "/v1/items/needs/x", b'{"default":9223372036854775808}').json["errors"]
    assert [place["pointer"] for place in edited] == ["/default"]


def test_a_key_with_a_permit_does_not_learn_of_hidden_fields(api: Api) -> None:
    permit = {"collection": "needs", "verbs": ["edit"], "read": ["default"], "write": ["default"]}
    key = api.post("/v1/keys", {"permits": [permit]})["key"]
    refused = api.with_key(key).call("PATCH", "/v1/items/needs/x", b'{"default":9223372036854775808,"zz":1}').json
    assert [place["pointer"] for place in refused["errors"]] == ["/default", "/zz"]
    assert refused["errors"][1]["detail"].endswith("The fields are: default.") and "must" not in str(refused)


def test_a_body_of_an_endpoint_is_named_whole_beside_a_number_too(api: Api) -> None:
    places = api.call("POST", "/v1/endpoints", b'{"rate":1234567890123456789.5,"zz":1,"events":5}').json["errors"]
    assert {place["pointer"] for place in places} == {"/rate", "/zz", "/events", "/url"}
