"""Whatever is sent to a collection: never a fault of the server, and every refusal says what is wrong."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import example, given, reject
from hypothesis import strategies as st

from tests.items.collections import TASKS
from tests.web.test_fuzz import NUMBERS, TEXTS, VALUES, check, fuzz, raw
from tests.web.wire import Said, send
from tidings.rules.items.field import operators
from tidings.store.seal import Sealer, load_key
from tidings.testing import TestServer
from tidings.web.wire.cursors import Cursors

PATH = "/v1/items/tasks"
FIELDS = [field.name for field in TASKS.fields]
PARAMETERS = [
    f"{field.name}__{op}" if op else field.name
    for field in TASKS.fields
    if field.filterable
    for op in ("", *operators(field.type))
]
LIKELY = st.one_of(
    NUMBERS,
    TEXTS,
    st.sampled_from(
        ["true", "null", "2026-01-01", "9999-12-31T23:59:59.999999Z", "low", "x,y", "1,2", "there", "0", "-0.0"]
    ),
)
OWN = st.sampled_from(
    ["sort", "fields", "expand", "limit", "count", "q", "tenant", "cursor", "If-Match", "id", "created", "revision"]
)
SHAPES = st.sampled_from(
    ["title", "-created", "title,-due,at,price", "id,title", "owner", "true", "3", "water", "acme", "-done,created"]
)
ITEMS = st.dictionaries(st.sampled_from([*FIELDS, "other", "id"]), st.one_of(VALUES, LIKELY), max_size=4).map(
    lambda item: {"title": "t", **item}
)
OPERATIONS = st.fixed_dictionaries(
    {},
    optional={
        "op": st.sampled_from(["create", "put", "edit", "delete", "none", None, 1]),
        "id": st.one_of(st.sampled_from(["there", "x"]), TEXTS, st.none()),
        "data": st.one_of(ITEMS, VALUES),
        "revision": st.one_of(st.integers(-1, 3), NUMBERS, st.none()),
        "more": VALUES,
    },
)


@pytest.fixture(scope="module", autouse=True)
def _there(server: TestServer) -> None:
    for number in range(5):
        server.api.call("PUT", f"{PATH}/there{number or ''}", {"title": f"t{number}", "pieces": number})


def encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


@pytest.mark.slow
@fuzz
@given(
    method=st.sampled_from(["POST", "PUT", "PATCH"]),
    body=st.one_of(ITEMS, VALUES).map(encoded) | st.binary(max_size=30),
    ident=st.sampled_from(["there", "there1", "new", "a b", "é"]),
    headers=st.dictionaries(
        st.sampled_from([b"if-match", b"if-none-match", b"idempotency-key"]),
        st.sampled_from([b'"1"', b"*", b'"x"', b"1", b'W/"2", "3"', b'"99999999999999999999"', b""]),
    ),
)
def test_any_item(server: TestServer, method: str, body: bytes, ident: str, headers: dict[bytes, bytes]) -> None:
    path = PATH if method == "POST" else f"{PATH}/{quote(ident)}"
    check(send(server.url, raw(method, path, body, headers)))


@pytest.mark.slow
@fuzz
@given(operations=st.one_of(st.lists(OPERATIONS, max_size=4), VALUES), more=st.dictionaries(TEXTS, VALUES, max_size=1))
def test_any_batch(server: TestServer, operations: Any, more: dict[str, Any]) -> None:
    check(send(server.url, raw("POST", f"{PATH}:batch", encoded({"operations": operations, **more}))))


@fuzz
@given(
    pairs=st.lists(
        st.one_of(
            st.tuples(st.sampled_from(PARAMETERS), LIKELY.map(str)),
            st.tuples(OWN, SHAPES | TEXTS),
            st.tuples(TEXTS, TEXTS),
        ),
        max_size=4,
    ),
    question=st.sampled_from(["", "", ":by_day", "/there"]),
)
def test_any_query(server: TestServer, pairs: list[tuple[str, str]], question: str) -> None:
    query = urlencode(pairs, errors="surrogatepass")
    said = send(server.url, raw("GET", f"{PATH}{question}?{query}"))
    check(said)
    if said.status == 200 and question != "/there" and said.json["next_cursor"] is not None:
        again = send(server.url, raw("GET", f"{PATH}{question}?{query}&cursor={said.json['next_cursor']}"))
        assert again.status == 200 or "cursor" in dict(pairs)


@pytest.mark.slow
@fuzz
@given(
    sort=st.sampled_from(["title", "-price", "due,-pieces", "-priority,at", "created"]),
    position=st.lists(st.one_of(VALUES, LIKELY), min_size=1, max_size=3),
    last=st.one_of(st.integers(0, 5), st.integers(0, 5), NUMBERS),
)
@example(sort="title", position=[True], last=0)
@example(sort="title", position=[7], last=0)
@example(sort="created", position=["x"], last=0)
@example(sort="title", position=["x"], last=-1)
@example(sort="-price", position=[1, 2], last=1)
def test_any_cursor(server: TestServer, sort: str, position: list[Any], last: Any) -> None:
    """Places that open, though what is in them may fit no list: an older server may have sealed them."""
    first = server.api.get(PATH, sort=sort, limit=1)["next_cursor"]
    cursors = Cursors(Sealer(load_key(None, server.folder)), 0)
    opened = cursors.open(first)
    assert opened is not None
    place, mark = opened
    assert asked(server, sort, cursors.seal(place, mark)).status == 200
    try:
        made = cursors.seal([*position, last], mark)
    except UnicodeEncodeError:
        reject()
    said = asked(server, sort, made)
    check(said)
    fits = len(position) == len(sort.split(",")) and type(last) is int and 0 <= last < 1 << 62
    kinds = {"title": (str, type(None)), "created": (int,)}.get(sort)
    if kinds is not None and fits:
        fits = type(position[0]) in kinds
    assert said.status == 422 or fits
    assert said.status == 200 or said.json["errors"][0]["code"] == "wrong_cursor"


def asked(server: TestServer, sort: str, cursor: str) -> Said:
    return send(server.url, raw("GET", f"{PATH}?{urlencode({'sort': sort, 'limit': 1, 'cursor': cursor})}"))


@pytest.mark.slow
@fuzz
@given(
    rows=VALUES | st.dictionaries(st.sampled_from([*FIELDS, "tenant", "id", "$or", "$not"]), VALUES, max_size=3),
    permit=st.dictionaries(
        st.sampled_from(["verbs", "read", "write", "filter", "sort", "questions"]),
        st.one_of(st.lists(st.sampled_from([*FIELDS, "list", "get", "edit", "by_day", "q"]), max_size=3), VALUES),
        max_size=3,
    ),
)
def test_any_permit(server: TestServer, rows: Any, permit: dict[str, Any]) -> None:
    body = {"permits": [{"collection": "tasks", "verbs": ["list", "create"], "rows": rows, **permit}]}
    said = send(server.url, raw("POST", "/v1/keys", encoded(body)))
    check(said)
    if said.status == 201:
        its = server.api.with_key(said.json["key"])
        assert its.call("GET", PATH).status in (200, 403)
        assert its.call("POST", PATH, {"title": "x"}).status in (201, 403, 409, 422)
        assert its.call("GET", "/v1/openapi.json").status == 200
