"""Values of items: what is stored is what was sent, or it is refused; and every value can be asked for."""

from __future__ import annotations

import json
from urllib.parse import quote, urlencode

import pytest

from tests.items.collections import declare
from tidings.client import Client
from tidings.model.collection import Collection, Field
from tidings.testing import Api, ApiReply, TestServer

THINGS = Collection(
    name="things",
    fields=(
        Field(name="s", type="string", filterable=True, sortable=True),
        Field(name="n", type="integer", filterable=True, sortable=True),
        Field(name="x", type="number", filterable=True, sortable=True),
        Field(name="at", type="datetime", filterable=True, sortable=True),
        Field(name="kind", type="enum", values=("a", "b", "c,d"), filterable=True),
        Field(name="more", type="object"),
    ),
)
PATH = "/v1/items/things"
EXTREMES = (-(2**63), -(2**63) + 1, -(10**18), -1, 0, 10**18, 2**53 + 1, 2**63 - 2, 2**63 - 1)


@pytest.fixture(scope="module", autouse=True)
def _declared(server: TestServer) -> None:
    declare(server, THINGS)


@pytest.fixture
def client(server: TestServer) -> Client:
    """The Python client, with the operator's key."""
    return Client(server.url, server.api.key)


def put(api: Api, ident: str, text: str) -> ApiReply:
    """An item at this id, with its body as this text."""
    return api.call("PUT", f"{PATH}/{ident}", text.encode(), {"Content-Type": "application/json"})


def ids(api: Api, query: str) -> set[str]:
    """The ids that a query finds, as it is in the URL."""
    return {item["id"] for item in api.get(f"{PATH}?limit=1000&{query}")["data"]}


# --- every value can be asked for -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_text_with_commas_can_be_queried_in_every_way(api: Api, client: Client) -> None:
    names = {"smith": "Smith, John", "doe": "Doe", "comma": ",", "both": "Smith, John,Doe"}
    for ident, name in names.items():
        put(api, f"{ident}", json.dumps({"s": name, "kind": "c,d" if ident == "doe" else "a"}))
    assert ids(api, "s__in=Smith%2C%20John,Doe") == {"smith", "doe"}
    assert ids(api, urlencode([("s__in", "Smith, John"), ("s__in", "Doe")])) == {"smith", "doe"}
    assert ids(api, urlencode({"s__in": "Smith, John,Doe"})) == {"both"}
    assert ids(api, urlencode({"s__in": ","})) == {"comma"}
    assert ids(api, urlencode({"kind__in": "c,d"})) == {"doe"}
    assert ids(api, urlencode({"kind__in": "a,b"}) + "&s=Doe") == set()
    for asked in (["Smith, John", "Doe"], ["Smith, John"], [","], list(names.values())):
        found = {item["s"] for item in client.items("things").list(s__in=asked)}
        assert found == set(asked)
        assert {item["s"] for item in client.items("things").export(s__in=asked)} == set(asked)
    rest = {item["s"] for item in client.items("things").list(s__nin=["Smith, John", ","], s__exists=True)}
    assert rest & set(names.values()) == {"Doe", "Smith, John,Doe"}
    assert [item["id"] for item in client.items("things").list(kind__in=["c,d"], fields=["id", "kind"])] == ["doe"]


@pytest.mark.slow
def test_pages_of_a_query_with_commas_continue(api: Api) -> None:
    for number in range(5):
        put(api, f"page{number}", json.dumps({"s": f"page, {number % 2}"}))
    query = urlencode([("s__in", "page, 0"), ("s__in", "page, 1"), ("limit", "2"), ("sort", "s"), ("sort", "-created")])
    seen: list[str] = []
    reply = api.call("GET", f"{PATH}?{query}")
    while True:
        seen += [item["id"] for item in reply.json["data"]]
        if reply.json["next_cursor"] is None:
            break
        link = reply.headers["link"].removeprefix("<").split(">")[0]
        reply = api.call("GET", link)
    assert seen == ["page4", "page2", "page0", "page3", "page1"]
    first = api.call("GET", f"{PATH}?{query}").json["next_cursor"]
    other = urlencode([("s__in", "page, 0,page, 1"), ("limit", "2"), ("sort", "s"), ("sort", "-created")])
    refused = api.call("GET", f"{PATH}?{other}&cursor={first}")
    assert refused.status == 422 and refused.json["errors"][0]["code"] == "wrong_cursor"


@pytest.mark.slow
def test_all_64_bits_are_stored_queried_and_sorted_by(api: Api) -> None:
    for value in EXTREMES:
        assert put(api, f"n{value}", f'{{"n":{value}}}').json["n"] == value
    for value in EXTREMES:
        assert ids(api, f"n={value}") == ids(api, f"n__in={value}") == {f"n{value}"}
        assert ids(api, f"n__gte={value}&n__lte={value}") == {f"n{value}"}
        assert {f"n{other}" for other in EXTREMES if other > value} == ids(api, f"n__gt={value}")
    for sort in ("n", "-n"):
        found: list[int] = []
        cursor: str | None = ""
        while cursor is not None:
            page = api.get(f"{PATH}?n__exists=true&limit=2&sort={sort}" + (f"&cursor={cursor}" if cursor else ""))
            found += [item["n"] for item in page["data"]]
            cursor = page["next_cursor"]
        assert found == sorted(EXTREMES, reverse=sort == "-n")
    for beyond in (2**63, -(2**63) - 1, 10**19, 10**30):
        refused = api.call("GET", f"{PATH}?n={beyond}")
        assert refused.status == 422
        assert "between -9223372036854775808 and 9223372036854775807" in refused.json["errors"][0]["detail"]


@pytest.mark.parametrize("text", ["٣", "１", "1_0", "+1", " 1", "0x1", "1.0"])
def test_other_digits_than_ours_are_refused(api: Api, text: str) -> None:
    for name in ("n", "limit"):
        refused = api.call("GET", f"{PATH}?{name}={quote(text)}")
        assert refused.status == 422 and refused.json["errors"][0]["parameter"] == name
    line = json.dumps({"n": text}, ensure_ascii=False).encode()
    refused = api.call("POST", f"{PATH}:import", line, {"Content-Type": "application/x-ndjson"})
    assert refused.status == 422
    refused = api.call("POST", f"{PATH}:import", f"n\n{text}\n".encode(), {"Content-Type": "text/csv"})
    assert refused.status == 422 and refused.json["errors"][0]["line"] == 2


# --- entity tags ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_conditions_compare_entity_tags_as_the_standard_says(api: Api) -> None:
    path = f"{PATH}/tagged"
    put(api, "tagged", '{"s":"1"}')
    for weak in ('W/"1"', 'W/"1", W/"2"', '"01"', '"1.0"'):
        assert api.call("PATCH", path, {"s": "x"}, {"If-Match": weak}).status == 412
        assert api.call("DELETE", path, None, {"If-Match": weak}).status == 412
    for same in ('"1"', 'W/"1"', '"1" ,', ', W/"1"', '"0", "1"', "*"):
        assert api.call("GET", path, None, {"If-None-Match": same}).status == 304
    for other in ('"01"', '"2"', 'W/"x"'):
        assert api.call("GET", path, None, {"If-None-Match": other}).status == 200
    assert api.call("GET", path, None, {"If-None-Match": ","}).status == 400
    assert api.call("PUT", path, {"s": "y"}, {"If-None-Match": 'W/"1"'}).status == 412
    assert api.call("PATCH", path, {"s": "z"}, {"If-Match": '"x" , "1",'}).json["revision"] == 2


# --- times ------------------------------------------------------------------------------------------------------------


TIMES = {
    "2026-11-21T01:02:03.123456789Z": "2026-11-21T01:02:03.123456Z",
    "2026-11-21T01:02:03.9999999+01:00": "2026-11-21T00:02:03.999999Z",
    "1969-12-31T23:59:59.9999999Z": "1969-12-31T23:59:59.999999Z",
    "2026-11-21T01:02:03.1234560000000Z": "2026-11-21T01:02:03.123456Z",
}


@pytest.mark.parametrize("text", TIMES)
def test_a_time_with_more_digits_is_rounded_down_everywhere(api: Api, text: str) -> None:
    shown, ident = TIMES[text], f"at{list(TIMES).index(text)}"
    assert put(api, f"{ident}", json.dumps({"at": text})).json["at"] == shown
    files = {
        "text/csv": f"id,at\n{ident}c,{text}\n",
        "application/x-ndjson": json.dumps({"id": f"{ident}n", "at": text}),
    }
    for media, file in files.items():
        assert api.call("POST", f"{PATH}:import", file.encode(), {"Content-Type": media}).status == 200
    for asked in (text, shown):
        assert ids(api, f"at={quote(asked)}") >= {ident, f"{ident}c", f"{ident}n"}


# --- numbers that a double does not keep ------------------------------------------------------------------------------

LOST = ["9007199254740993", "12345678901234567.89", "1e400", "1e-400", "0.12345678901234567"]


@pytest.mark.parametrize("number", LOST)
def test_a_number_that_would_change_is_refused_wherever_items_are_written(api: Api, number: str) -> None:
    as_json = {"Content-Type": "application/json"}
    put(api, "lost", '{"x":1}')
    doors = [
        api.call("POST", PATH, f'{{"x":{number}}}'.encode(), as_json),
        put(api, "lost", f'{{"x":{number}}}'),
        api.call("PATCH", f"{PATH}/lost", f'{{"x":{number}}}'.encode(), as_json),
        api.call(
            "POST", f"{PATH}:batch", f'{{"operations":[{{"op":"create","data":{{"x":{number}}}}}]}}'.encode(), as_json
        ),
        api.call("POST", f"{PATH}:import", f'{{"x":{number}}}'.encode(), {"Content-Type": "application/x-ndjson"}),
        api.call("POST", f"{PATH}:import", f"x\n{number}\n".encode(), {"Content-Type": "text/csv"}),
        *(api.call("GET", f"{PATH}?{name}={number}") for name in ("x", "x__gte", "x__in", "x__nin")),
    ]
    for refused in doors:
        assert refused.status == 422, refused.json
        [place] = refused.json["errors"]
        assert place.get("parameter") or (place["pointer"].endswith("/x") and place["code"] == "not_exact")
        assert "use the type decimal" in place["detail"]
    assert api.get(f"{PATH}/lost")["x"] == 1.0


@pytest.mark.slow
def test_numbers_that_a_double_keeps_stay_the_same_number(api: Api) -> None:
    kept = [
        "0.1",
        "1e23",
        "9007199254740992",
        "100000000000000000000",
        "-0.30000000000000004",
        "123456.789",
        "5e-324",
        "1.7976931348623157e+308",
    ]
    for number in kept:
        for name in ("x", "more"):
            sent = number if name == "x" else f'{{"a":[{number}]}}'
            shown = put(api, "kept", f'{{"{name}":{sent}}}').json[name]
            assert (shown if name == "x" else shown["a"][0]) == float(number)
        put(api, "kept", f'{{"x":{number}}}')
        assert "kept" in ids(api, urlencode({"x": number}))
    csv = api.call("GET", f"{PATH}:export?format=csv&fields=id,x&x__exists=true").body
    put(api, "kept", "{}")
    assert api.call("POST", f"{PATH}:import?on_conflict=replace", csv, {"Content-Type": "text/csv"}).status == 200
    assert api.get(f"{PATH}/kept")["x"] == float(kept[-1])


@pytest.mark.parametrize("number", [*LOST, "123456789012345678901234", "-9223372036854775809"])
def test_objects_keep_their_numbers_or_are_refused_wherever_items_are_written(api: Api, number: str) -> None:
    as_json = {"Content-Type": "application/json"}
    put(api, "inside", '{"more":{"a":[1]}}')
    value = f'{{"more":{{"a":[{number}]}}}}'
    cell = json.dumps({"a": ["%"]}).replace('"%"', number).replace('"', '""')
    doors = [
        api.call("POST", PATH, value.encode(), as_json),
        put(api, "inside", value),
        api.call("PATCH", f"{PATH}/inside", value.encode(), as_json),
        api.call("POST", f"{PATH}:batch", f'{{"operations":[{{"op":"create","data":{value}}}]}}'.encode(), as_json),
        api.call("POST", f"{PATH}:import", value.encode(), {"Content-Type": "application/x-ndjson"}),
        api.call("POST", f"{PATH}:import", f'more\n"{cell}"\n'.encode(), {"Content-Type": "text/csv"}),
    ]
    if number == "9007199254740993":
        # An integer within an object has all its 64 bits.
        assert [reply.status for reply in doors] == [201, 200, 200, 200, 200, 200]
        assert all("9007199254740993" in api.call("GET", f"{PATH}/inside").body.decode() for _ in doors)
        return
    for refused in doors:
        assert refused.status == 422, refused.json
        [place] = refused.json["errors"]
        assert place["pointer"].endswith("/more/a/0") and place["code"] in ("not_exact", "number_out_of_range")
    assert api.get(f"{PATH}/inside")["more"] == {"a": [1]}


def test_zero_has_no_sign(api: Api) -> None:
    for number in ("-0", "-0.0", "-0e0"):
        shown = put(api, "zero", f'{{"x":{number},"n":{number},"more":{{"a":{number}}}}}').json
        assert (shown["x"], shown["n"], shown["more"]) == (0, 0, {"a": 0})
        assert "zero" in ids(api, f"x={number}")
    text = '{"type":"zeros.seen","data":{"a":-0,"b":-0.0,"c":12345678901234567.890}}'
    sent = api.call("POST", "/v1/events", text.encode(), {"Content-Type": "application/json"}).json
    assert b'{"a":-0,"b":-0.0,"c":12345678901234567.890}' in api.call("GET", f"/v1/events/{sent['id']}").body


@pytest.mark.slow
def test_a_declaration_has_no_number_that_would_change(api: Api) -> None:
    for attribute in ("default", "min", "max", "example"):
        for number in LOST:
            text = f'{{"fields":{{"x":{{"type":"number","{attribute}":{number}}}}}}}'
            refused = api.call("PUT", "/v1/collections/lost", text.encode(), {"Content-Type": "application/json"})
            assert refused.status == 422 and refused.json["errors"][0]["pointer"] == f"/fields/x/{attribute}"
    when = {"fields": {"x": "number"}, "events": {"reached": "when x becomes 12345678901234567.89"}}
    assert api.call("PUT", "/v1/collections/lost", when).status == 422


@pytest.mark.slow
def test_integers_become_numbers_only_if_all_of_them_are_kept(api: Api) -> None:
    api.call("PUT", "/v1/collections/counts", {"fields": {"n": "integer"}})
    for value in (2**53, 10**17):
        api.call("PUT", f"/v1/items/counts/c{value}", {"n": value})
    api.call("PUT", "/v1/items/counts/odd", {"n": 2**53 + 1})
    refused = api.call("PUT", "/v1/collections/counts", {"fields": {"n": "number"}})
    assert refused.status >= 400 and "1 item of counts has a value in n" in refused.body.decode()
    api.call("DELETE", "/v1/items/counts/odd")
    assert api.call("PUT", "/v1/collections/counts", {"fields": {"n": "number"}}).status == 200
    assert api.get("/v1/items/counts/c100000000000000000")["n"] == 1e17


def test_a_row_rule_has_no_number_that_would_change(api: Api) -> None:
    for rule in ('{"x":{"$lt":9007199254740993}}', '{"x":{"$lt":12345678901234567.89}}'):
        text = f'{{"name":"k","permits":[{{"collection":"things","verbs":["list"],"rows":{rule}}}]}}'
        assert api.call("POST", "/v1/keys", text.encode(), {"Content-Type": "application/json"}).status == 422


def test_errors_next_to_a_number_that_would_change_are_reported_too(api: Api) -> None:
    """A line, or an operation, with such a number named only that; the rest came with the next try."""
    bad = '{"x":12345678901234567.89,"n":"seven"}'
    batch = f'{{"operations":[{{"op":"create","data":{bad}}},{{"op":"edit","id":"a","data":{{"n":"x"}}}}]}}'
    refused = api.call("POST", f"{PATH}:batch", batch.encode(), {"Content-Type": "application/json"})
    assert [place["pointer"] for place in refused.json["errors"]] == [
        "/operations/0/data/x",
        "/operations/0/data/n",
        "/operations/1/data/n",
    ]
    for text, media in (
        (f'{{"n":1}}\n{bad}\n', "application/x-ndjson"),
        ("x,n\n12345678901234567.89,seven\n", "text/csv"),
    ):
        refused = api.call("POST", f"{PATH}:import", text.encode(), {"Content-Type": media})
        assert [(place["line"], place["pointer"], place["code"]) for place in refused.json["errors"]] == [
            (2, "/x", "not_exact"),
            (2, "/n", "wrong_type"),
        ]
