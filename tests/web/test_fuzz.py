"""Whatever is sent, with the operator's key: never a fault of the server, and every refusal says what is wrong."""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import quote, quote_from_bytes, urlencode

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.web.wire import KEY_LINE, Said, send
from tidings.testing import Api, TestServer, until
from tidings.web.operation import Operation
from tidings.web.operations import OPERATIONS

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", examples(120)))
"""For each test and engine; more of them for a long look by hand."""

fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
HTTP = [operation for operation in OPERATIONS if not operation.stream]
WRITES = [operation for operation in HTTP if operation.method != "GET"]
READS = [operation for operation in HTTP if operation.method == "GET"]


@pytest.fixture(scope="module")
def ids(server: TestServer) -> dict[str, str]:
    """Names of things that are there, by their collection, so that not every path ends at 404."""
    api = server.api
    endpoint, _ = api.register("http://127.0.0.1:9/", events=["*"], retry_delays_seconds=[0, 3600])
    event = api.publish("fuzz.a", {"n": 1}, id="fuzz:1", subject="s")
    api.post("/v1/tenants", {"id": "acme"})
    api.post("/v1/event-types", {"name": "fuzz.a"})
    return {
        "endpoints": endpoint,
        "events": event,
        "tenants": "acme",
        "event-types": "fuzz.a",
        "collections": api.post("/v1/collections", {"name": "fuzzy", "fields": {"a": "string"}})["name"],
        "keys": api.post("/v1/keys", {"scopes": ["events:read"]})["id"],
        "replays": api.post("/v1/replays", {"endpoint_id": endpoint, "since": "2020-01-01T00:00:00Z"})["id"],
        "deliveries": until(lambda: api.get("/v1/deliveries", limit=1)["data"], "a delivery is there")[0]["id"],
    }


def check(said: Said) -> None:
    """No fault, and a refusal is a problem that says itself."""
    assert said.status and (said.status < 500 or said.status == 503), (said.status, said.body)
    assert said.headers["request-id"].startswith("req_")
    if said.status >= 400:
        assert said.headers["content-type"] == "application/problem+json", said.headers
        found = said.json
        assert found["code"] and found["detail"] and found["title"] and found["status"] == said.status
        assert "Traceback" not in found["detail"]
        for place in found["errors"]:
            assert place["code"] and place["detail"] and ("pointer" in place) != ("parameter" in place)
    if said.status in (429, 503):
        assert said.headers["retry-after"].isdigit()


def raw(method: str, target: str, body: bytes = b"", headers: dict[bytes, bytes] | None = None) -> bytes:
    lines = {b"content-type": b"application/json", **(headers or {})}
    head = (
        f"{method} {target} HTTP/1.1\r\nHost: tidings\r\nConnection: close\r\nContent-Length: {len(body)}\r\n".encode()
    )
    return head + KEY_LINE + b"".join(b"%b: %b\r\n" % line for line in lines.items()) + b"\r\n" + body


# --- what is sent -----------------------------------------------------------------------------------------------------

TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["*", "", "a.b", "acme", "2026-01-01T00:00:00Z", "-1", "evt_", "\x00", "\ud7ff", "x" * 300, "***"]),
)
NUMBERS = st.one_of(
    st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([-1, 0, 2**63, 2**64, 1e308])
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)

LIKELY = st.one_of(
    st.sampled_from([1, 10, 60, True, "a.b", "acme", "*", "subject", "all", "cloudevents", "2099-01-01T00:00:00Z"]),
    st.sampled_from(["http://127.0.0.1:9/x", "http://[::1]/", "whsec_" + "A" * 43 + "=", {}, []]),
    st.sampled_from([["a.*", "b"], ["id", "data.x"], [1, 2.5], ["events:read"], [{"calls": 1, "seconds": 9}]]),
    st.sampled_from([{"max_events": 3}, {"X-A": "***"}, {"X-A": "b"}, {"type": "object"}, {"$ref": "#"}]),
    st.sampled_from([{"data": {"n": [{"$gt": 5}]}}, {"$or": [{"type": ["a"]}, {"subject": [{"$exist": False}]}]}]),
    st.just({"pattern": "(a+)+$"}),
    st.sampled_from([{"a": "string"}, {"a": {"type": "enum", "values": ["x"]}, "b": {"type": "integer", "was": "a"}}]),
)


def fields_of(operation: Operation) -> list[str]:
    return [] if operation.request is None else list(operation.request.__struct_fields__)


@st.composite
def bodies(draw: st.DrawFn, operation: Operation, ids: dict[str, str]) -> bytes:
    """Bytes, JSON, or something near to what the operation takes."""
    kind = draw(st.sampled_from([*["near"] * 8, "json", "bytes"]))
    if kind == "bytes":
        return draw(st.binary(max_size=60))
    value: Any = draw(VALUES)
    if kind == "near":
        value = dict(operation.example) if isinstance(operation.example, dict) else {}
        if "endpoint_id" in value:
            value["endpoint_id"] = ids["endpoints"]
        for name in draw(st.lists(st.sampled_from([*fields_of(operation), "other"]), max_size=2)):
            value[name] = draw(st.one_of(VALUES, LIKELY))
        for name in draw(st.lists(st.sampled_from([*value, "none"]), max_size=1)):
            value.pop(name, None)
    text = json.dumps(value, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    return text.replace(b":", b" :\n") if draw(st.booleans()) else text


@st.composite
def targets(draw: st.DrawFn, operation: Operation, ids: dict[str, str]) -> str:
    """The operation's path, mostly with the name of a thing that is there."""
    head, brace, rest = operation.path.partition("{")
    if not brace:
        return head
    # What was not made by a call is there from the start: a file of the pages.
    right = ids.get(head.split("/")[2], "page.js")
    name = draw(st.one_of(st.just(right), st.just(right), st.sampled_from(list(ids.values())), st.text(min_size=1)))
    return head + quote(name, safe="") + rest.partition("}")[2]


def likely(operation: Operation, schema: dict[str, Any], name: str = "") -> st.SearchStrategy[str]:
    """Values that a parameter takes."""
    if name == "fields" and operation.item is not None:
        return st.sampled_from([*operation.item.__struct_fields__, "data.n", "id,created"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("format") == "date-time":
        return st.sampled_from(["2026-01-01T00:00:00Z", "2020-02-29T23:59:59.999+23:59", "0001-01-01T00:00:00Z"])
    kind = schema.get("type")
    if kind == "integer":
        return st.integers(schema.get("minimum", 0), schema.get("maximum", 9)).map(str)
    if kind == "boolean":
        return st.sampled_from(["true", "false"])
    if kind == "array":
        return st.lists(likely(operation, schema["items"]), min_size=1, max_size=3).map(",".join)
    return st.sampled_from(["a.b", "acme", "fuzz.a", "start", "end", "s"])


@st.composite
def queries(draw: st.DrawFn, operation: Operation) -> str:
    """Mostly parameters that there are, mostly with values that they take."""
    pairs = []
    for parameter in operation.parameters:
        if parameter.where == "query" and draw(st.integers(0, 9)) < 3:
            value = draw(st.one_of(*[likely(operation, parameter.schema, parameter.name)] * 6, TEXTS))
            # A long poll that waits would only wait.
            pairs.append((parameter.name, "0" if parameter.name == "wait" and value.isdigit() else value))
    if draw(st.integers(0, 9)) == 0:
        pairs.append((draw(TEXTS), draw(TEXTS)))
    return urlencode(pairs, errors="surrogatepass")


@pytest.mark.slow
@fuzz
@given(data=st.data())
def test_any_body(server: TestServer, ids: dict[str, str], data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(WRITES))
    target = data.draw(targets(operation, ids))
    if operation.method == "DELETE" and target.endswith(tuple(quote(name, safe="") for name in ids.values())):
        return
    check(send(server.url, raw(operation.method, target, data.draw(bodies(operation, ids)))))


@pytest.mark.slow
@fuzz
@given(data=st.data())
def test_any_query(server: TestServer, ids: dict[str, str], data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(READS))
    query = data.draw(queries(operation))
    said = send(server.url, raw("GET", data.draw(targets(operation, ids)) + "?" + query))
    check(said)
    if said.status == 200 and operation.is_list:
        cursor = said.json["next_cursor"]
        if cursor is not None and "after=" not in query and "cursor=" not in query:
            check(send(server.url, raw("GET", f"{operation.path}?{query}&cursor={cursor}")))


@pytest.mark.slow
@fuzz
@given(data=st.data(), query=st.binary(max_size=40))
def test_any_bytes_as_a_query(server: TestServer, data: st.DataObject, query: bytes) -> None:
    operation = data.draw(st.sampled_from(READS))
    safe = data.draw(st.sampled_from(["&=", "&=+%", "&=,%;/?:@!$'()*"]))
    check(
        send(
            server.url,
            raw("GET", operation.path.replace("{", "").replace("}", "") + "?" + quote_from_bytes(query, safe)),
        )
    )


@pytest.mark.slow
@fuzz
@given(
    method=st.sampled_from(
        ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "get", "X"]
    ),
    steps=st.lists(
        st.one_of(
            st.sampled_from(
                ["v1", "events", "endpoints", "..", ".", "", "stream", "keys:x", "tenants", "a:b:c", "docs"]
            ),
            st.text(max_size=12),
            st.binary(max_size=6),
        ),
        max_size=6,
    ),
)
@example(method="GET", steps=["v1", "events", b"\xff"])
@example(method="POST", steps=["v1", "events", "fuzz:1:batch"])
def test_any_path(server: TestServer, method: str, steps: list[str | bytes]) -> None:
    path = "/" + "/".join(
        quote(step if isinstance(step, bytes) else step.encode("utf-8", "surrogatepass")) for step in steps
    )
    if path == "/v1/events/stream":
        return
    said = send(server.url, raw(method, path))
    if method == "HEAD":
        assert said.status < 500
    else:
        check(said)


USUAL = (
    "authorization content-type idempotency-key if-match if-none-match last-event-id accept accept-encoding cookie "
    "origin range x-forwarded-for te upgrade-insecure-requests"
)
NAMES = st.one_of(
    st.sampled_from(USUAL.split()),
    st.text("abcdefghijklmnopqrstuvwxyz-_!#$%&'*+.^`|~0123456789", min_size=1, max_size=15),
)
FRAMING = ("content-length", "transfer-encoding", "connection", "expect", "upgrade", "host", "authorization")


@pytest.mark.slow
@fuzz
@given(
    data=st.data(),
    headers=st.dictionaries(
        NAMES,
        st.one_of(
            st.text([chr(c) for c in [9, *range(32, 127), *range(128, 256)]], max_size=40).map(
                lambda t: t.encode("latin-1")
            ),
            st.sampled_from(
                [b'"1"', b"*", b'W/"2"', b"application/json; charset=utf-8", b"multipart/form-data", b"\xff"]
            ),
        ),
        max_size=4,
    ),
)
def test_any_headers(server: TestServer, ids: dict[str, str], data: st.DataObject, headers: dict[str, bytes]) -> None:
    operation = data.draw(st.sampled_from([*READS, *(op for op in WRITES if op.request is not None)]))
    lines = {name.encode(): value for name, value in headers.items() if name not in FRAMING}
    body = b"" if operation.request is None else json.dumps(operation.example).encode()
    check(send(server.url, raw(operation.method, data.draw(targets(operation, ids)), body, lines)))


def test_the_server_survives_the_fuzzing(server: TestServer, api: Api) -> None:
    assert api.get("/readyz") == {"status": "ok"} and api.publish("fuzz.end")
