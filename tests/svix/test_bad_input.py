"""Whatever is sent to Svix's door is answered in Svix's form: never with 500, and never about someone else's things."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import jsonschema_rs
import msgspec
import pytest

from tests.svix.conftest import Connect
from tidings.testing import TestServer, until
from tidings.web.svix import rows, shapes, table
from tidings.web.svix.document import ERRORS, document
from tidings.web.svix.door import ELSEWHERE
from tidings.web.svix.table import OPERATIONS, TABLE

# Cases differ in what is refused, not in what the store does.
pytestmark = pytest.mark.sqlite_only
Call = Callable[..., httpx.Response]
IDS = [
    "..x",  # a client resolves `..` itself
    "a b",
    "%",
    "\x00",
    "ä",
    "x" * 5_000,
    "'; DROP TABLE tenant; --",
    "app_01m8mgq4nafvwb82swkbgq5gve",
    "-1",
    "*",
]
BODIES: list[Any] = [
    None,
    [],
    7,
    "text",
    {},
    {"name": 7},
    {"url": [], "channels": "a"},
    {"name": "x" * 300, "uid": "a b"},
]
BODIES += [
    {"payload": 1, "eventType": "a"},
    {"payload": {}, "eventType": "..", "channels": [""]},
    {"headers": {"a": 1}},
]
BODIES += [{"metadata": {"a": {}}, "name": "n"}, {"metadata": {"a": "b" * 20_000}, "name": "n"}, {"since": "yesterday"}]
BODIES += [{"url": "http://127.0.0.1:9/", "secret": "short"}, {"url": "x", "throttleRate": -1}, {"name": "\ud800"}]


MESSAGE = {"eventType": "a.b", "payload": {}}
_URL = {"url": "http://127.0.0.1:9/"}
VALID: dict[Any, dict[str, Any]] = {
    shapes.ApplicationIn: {"name": "n"},
    shapes.EndpointIn: _URL,
    shapes.EndpointUpdate: _URL,
    shapes.EndpointHeadersIn: {"headers": {}},
    shapes.EndpointHeadersPatchIn: {"headers": {}},
    shapes.RecoverIn: {"since": "2026-01-01T00:00:00Z"},
    shapes.EventExampleIn: {"eventType": "a.b"},
    shapes.EventTypeIn: {"name": "a.b", "description": ""},
    shapes.EventTypeUpdate: {"description": ""},
    shapes.MessageIn: MESSAGE,
    shapes.ApplicationPatch: {},
    shapes.EndpointPatch: {},
    shapes.EndpointSecretRotateIn: {},
    shapes.EventTypePatch: {},
    shapes.AppPortalAccessIn: {},
    shapes.ApplicationTokenExpireIn: {},
}
"""A body of each kind that has only what is required."""
CHECKED_BY_TYPE = {("EndpointIn", "version")}
"""Fields whose type permits the one value that is true here."""


@pytest.fixture(scope="module")
def call(server: TestServer) -> Call:
    client = httpx.Client(base_url=f"{server.url}/svix/api/v1")

    def send(method: str, path: str, body: Any = None, key: str = "", **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key or server.api.key}", **more.pop("headers", {})}
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        return client.request(method, path, content=content, headers=headers, **more)

    return send


@pytest.fixture(scope="module", autouse=True)
def things(call: Call) -> None:
    assert call("POST", "/app", {"name": "Acme", "uid": "acme"}).status_code == 201
    made = call("POST", "/app/acme/endpoint", {"url": "http://127.0.0.1:9/", "uid": "mine"})
    assert made.status_code == 201, made.text
    assert call("POST", "/event-type", {"name": "a.b", "description": ""}).status_code == 201
    sent = call("POST", "/app/acme/msg", {"eventType": "a.b", "payload": {"n": 1}, "eventId": "one"})
    assert sent.status_code == 202


def is_refusal(reply: httpx.Response) -> None:
    """It has Svix's form."""
    name = "HTTPValidationError" if reply.status_code == 422 else "HttpErrorOut"
    jsonschema_rs.validate(ERRORS[name], reply.json())
    assert 400 <= reply.status_code < 500 or reply.status_code == 501, reply.text


NAMES = {"app_id": "acme", "endpoint_id": "mine", "msg_id": "one", "event_type_name": "a.b", "attempt_id": "x.1"}


@pytest.mark.few(6)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_bodies_that_are_wrong(operation: Any, call: Call) -> None:
    if operation.request is None:
        return
    path = operation.path.format(**NAMES)
    for body in (b"{", b"\xff", b"[" * 10_000, *BODIES):
        reply = call(operation.method, path, body)
        if reply.status_code >= 300:
            is_refusal(reply)
    assert call(operation.method, path, b"{}", headers={"content-type": "text/plain"}).status_code == 415


@pytest.mark.few(6)
@pytest.mark.parametrize("operation", [each for each in OPERATIONS if "{" in each.path], ids=lambda each: each.name)
def test_ids_that_are_wrong(operation: Any, call: Call) -> None:
    for name in operation.path.split("{")[1:]:
        for ident in IDS:
            path = operation.path.format(**{**NAMES, name.partition("}")[0]: quote(ident, safe="")})
            body = None if operation.request is None else {"name": "n", "url": "http://127.0.0.1:9/", "headers": {}}
            if operation.name in ("v1.event-type.update", "v1.application.update") or operation.method == "DELETE":
                body = {}
            reply = call(operation.method, path, body)
            if reply.status_code >= 300:
                is_refusal(reply)


@pytest.mark.slow
def test_a_large_payload_is_too_large(call: Call, server: TestServer) -> None:
    body = b'{"eventType": "a.b", "payload": {"x": "' + b"x" * 10_000_000 + b'"}}'
    reply = call("POST", "/app/acme/msg", body)
    assert reply.status_code == 413 and reply.json()["code"] == "payload_too_large"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_unknown_members_and_parameters_are_refused(operation: Any, call: Call) -> None:
    path = operation.path.format(**NAMES)
    reply = call(operation.method, f"{path}?colour=red", {} if operation.request is None else VALID[operation.request])
    assert reply.status_code == 422 and reply.json()["detail"][0]["loc"] == ["query", "colour"], reply.text
    if operation.request is not None:
        body = VALID[operation.request] | {"colour": "red", "tags": ["a"]}
        reply = call(operation.method, path, body)
        assert reply.status_code == 422, reply.text
        assert [each["loc"] for each in reply.json()["detail"]] == [["body", "colour"], ["body", "tags"]]


@pytest.mark.parametrize("kind", {each.request for each in OPERATIONS if each.request}, ids=lambda each: each.__name__)
def test_every_field_of_a_body_is_read_somewhere(kind: Any) -> None:
    sources = "".join(path.read_text() for path in (Path(table.__file__).parent / "nouns").glob("*.py"))
    sources += Path(rows.__file__).read_text()
    for field in msgspec.structs.fields(kind):
        is_read = re.search(rf"\bgiven\.{field.name}\b|\"{field.name}\"", sources)
        assert is_read or (kind.__name__, field.name) in CHECKED_BY_TYPE, field.name


def test_members_without_a_meaning_here_are_refused_by_name(call: Call) -> None:
    url = {"url": "http://127.0.0.1:9/"}
    for path, body, place in (
        ("/app/acme/endpoint", url | {"eventTypes": ["a"], "filterTypes": ["b"]}, ["filterTypes"]),
        ("/app/acme/endpoint", url | {"throttleRate": 1, "rateLimit": 2}, ["rateLimit"]),
        ("/app/acme/endpoint", url | {"version": 2}, ["version"]),
        ("/auth/app-portal-access/acme", {"featureFlags": ["beta"]}, ["featureFlags"]),
        ("/auth/app-portal-access/acme", {"capabilities": ["ViewBase", "CreateAttempts"]}, ["capabilities"]),
        ("/auth/app-portal-access/acme", {"capabilities": ["ViewBase"], "sessionId": "x"}, ["sessionId"]),
        ("/app/acme/msg", MESSAGE | {"application": {"name": "n", "colour": 1}}, ["application", "colour"]),
        ("/app/acme/msg", MESSAGE | {"transformationsParams": {"x": 1}}, ["transformationsParams", "x"]),
    ):
        reply = call("POST", path, body)
        assert reply.status_code == 422, (path, reply.text)
        assert reply.json()["detail"][0]["loc"] == ["body", *place]
    assert call("POST", "/app", {"name": "n", "uid": "nulls", "colour": None}).status_code == 201


def test_a_header_is_removed_by_name(call: Call) -> None:
    path = "/app/acme/endpoint/headed"
    made = call(
        "POST", "/app/acme/endpoint", {"url": "http://127.0.0.1:9/", "uid": "headed", "headers": {"X-Old": "1"}}
    )
    assert made.status_code == 201
    assert call("PATCH", f"{path}/headers", {"headers": {"X-New": "2"}, "deleteHeaders": ["x-old"]}).status_code == 204
    assert call("GET", f"{path}/headers").json()["sensitive"] == ["X-New"]
    both = call("PATCH", f"{path}/headers", {"headers": {"X-New": "2"}, "deleteHeaders": ["x-new"]})
    assert both.json()["detail"][0]["loc"] == ["body", "headers", "X-New"]


def test_a_refusal_uses_svix_s_names_and_plain_words(call: Call) -> None:
    reply = call("POST", "/app/acme/msg", MESSAGE | {"payload": 7})
    assert reply.json()["detail"][0]["msg"].startswith("payload must be an object")
    reply = call("POST", "/app", {"name": "n", "uid": "a b"})
    assert "regex" not in reply.text and "letters without accents" in reply.json()["detail"][0]["msg"]


def test_a_message_has_one_timestamp(call: Call) -> None:
    made = call("POST", "/app/acme/msg", MESSAGE | {"eventId": "timed"}).json()
    [listed] = [each for each in call("GET", "/app/acme/msg").json()["data"] if each["id"] == "timed"]
    assert made["timestamp"] == call("GET", "/app/acme/msg/timed").json()["timestamp"] == listed["timestamp"]


@pytest.mark.slow
def test_what_is_not_offered_is_said(call: Call) -> None:
    for method, path in (
        ("GET", "/app/acme/endpoint/mine/transformation"),
        ("POST", "/app/acme/endpoint/mine/replay-missing"),
        ("DELETE", "/app/acme/msg/one/content"),
        ("POST", "/auth/logout"),
        ("GET", "/background-task"),
        ("POST", "/ingest/api/v1/source"),
    ):
        reply = call(method, path)
        assert reply.status_code == 501 and reply.json()["code"] == "not_implemented", path
    page = " ".join((Path(__file__).parents[2] / "docs/howto/from-svix.md").read_text().split())
    [named] = re.findall(r"These calls return 501: (.*?)\* ", page)
    for what, paths in ELSEWHERE.items():
        assert what in named, what
        for each in paths:
            assert call("POST", f"/{each.replace('X', 'x')}").status_code in (405, 501), each
    assert call("GET", "/nothing").json()["code"] == "not_found"
    assert call("DELETE", "/app").status_code == 405
    for body in ({"name": "n", "throttleRate": 5}, {"name": "n", "rateLimit": 5}):
        assert call("POST", "/app", body).json()["detail"][0]["loc"][1] in body
    message = {"eventType": "a.b", "payload": {}}
    for more in ({"deliverAt": "2030-01-01T00:00:00Z"}, {"payloadRetentionPeriod": 5}, {"channels": ["x" * 128] * 3}):
        more = {"channels": [f"{n}{'x' * 120}" for n in range(3)]} if "channels" in more else more
        reply = call("POST", "/app/acme/msg", message | more)
        assert reply.status_code == 422 and reply.json()["detail"][0]["loc"] == ["body", *more], reply.text
    for path, more in (
        ("/app/a%20b", {"name": "n"}),
        ("/app/acme/endpoint/a%20b", _URL),
        (f"/app/{'x' * 300}", {"name": "n"}),
    ):
        reply = call("PUT", path, more)
        assert reply.json()["detail"][0]["loc"] == ["body", "uid"], path
    for raw in ("<xml/>", "[1]", '{"a": 1, "a": 2}'):
        reply = call("POST", "/app/acme/msg", message | {"transformationsParams": {"rawPayload": raw}})
        assert reply.status_code == 422, raw
    reply = call("POST", "/app/acme/endpoint", {"url": "http://127.0.0.1:9/", "headers": {"Svix-Id": "1"}})
    assert reply.json()["detail"][0]["loc"] == ["body", "headers", "Svix-Id"]


@pytest.mark.slow
def test_a_tenants_key_sees_its_application_alone(call: Call, server: TestServer) -> None:
    call("POST", "/app", {"name": "Other", "uid": "other"})
    made = server.api.post("/v1/keys", {"name": "acme's", "tenant": "acme", "scopes": ["*"]})
    key = made["key"]
    assert [each["id"] for each in call("GET", "/app", key=key).json()["data"]] == ["acme"]
    assert call("GET", "/app/acme/endpoint", key=key).status_code == 200
    assert call("POST", "/app", {"name": "n", "uid": "mine-too"}, key=key).status_code == 403
    for method, path in (("GET", "/app/other"), ("GET", "/app/other/endpoint"), ("DELETE", "/app/other")):
        reply = call(method, path, key=key)
        assert reply.status_code == 404, path
        assert reply.json() == call(method, "/app/nobody", key=key).json() | reply.json()
    reply = call("POST", "/app/other/msg", {"eventType": "a.b", "payload": {}}, key=key)
    assert reply.status_code == 404
    call("POST", "/app/acme/endpoint", {"url": "http://127.0.0.1:9/", "uid": "kept"})
    narrow = server.api.post("/v1/keys", {"name": "n", "tenant": "acme", "scopes": ["endpoints:read"]})["key"]
    assert call("GET", "/app/acme/endpoint/kept", key=narrow).status_code == 200
    for path in ("/app/acme/endpoint/kept/secret", "/app/acme/msg", "/app/acme/attempt/endpoint/kept", "/event-type"):
        reply = call("GET", path, key=narrow)
        assert reply.status_code == 403 and reply.json()["code"] == "insufficient access", path


@pytest.mark.slow
def test_an_application_that_was_deleted_leaves_nothing_to_its_successor(call: Call) -> None:
    call("POST", "/app", {"name": "First", "uid": "again"})
    call("POST", "/app/again/endpoint", {"url": "http://127.0.0.1:9/", "uid": "ep"})
    call("POST", "/app/again/msg", {"eventType": "a.b", "payload": {"secret": 1}, "eventId": "old"})
    assert call("DELETE", "/app/again").status_code == 204
    assert call("GET", "/app/again/msg").status_code == 404
    assert call("POST", "/app", {"name": "Second", "uid": "again"}).status_code == 201
    assert call("GET", "/app/again/endpoint").json()["data"] == []
    assert call("GET", "/app/again/msg").json()["data"] == []
    assert call("GET", "/app/again/msg/old").status_code == 404


def test_an_application_whose_tenant_has_a_key_keeps_its_endpoints(call: Call, server: TestServer) -> None:
    call("POST", "/app", {"name": "n", "uid": "keyed"})
    call("POST", "/app/keyed/endpoint", {"url": "http://127.0.0.1:9/"})
    key = server.api.post("/v1/keys", {"name": "n", "tenant": "keyed", "scopes": ["events:read"]})["id"]
    assert call("DELETE", "/app/keyed").status_code == 409
    assert len(call("GET", "/app/keyed/endpoint").json()["data"]) == 1
    server.api.delete(f"/v1/keys/{key}")
    assert call("DELETE", "/app/keyed").status_code == 204


@pytest.mark.slow
def test_of_many_at_once_one_gets_a_uid(call: Call) -> None:
    def made(path: str, body: Any) -> list[int]:
        with ThreadPoolExecutor(8) as pool:
            return sorted(reply.status_code for reply in pool.map(lambda _: call("POST", path, body), range(8)))

    for uid in ("raced", "raced.too"):
        assert made("/app", {"name": "n", "uid": uid}) == [201, *[409] * 7], uid
    body = {"url": "http://127.0.0.1:9/", "uid": "one"}
    assert made("/app/raced.too/endpoint", body) == [201, *[409] * 7]
    message = {"eventType": "a.b", "payload": {}, "eventId": "raced"}
    assert made("/app/raced.too/msg", message) == [202, *[409] * 7]
    both = {**message, "eventId": "e", "application": {"name": "n", "uid": "raced.three"}}
    assert made("/app/raced.three/msg", both) == [202, *[409] * 7]


@pytest.mark.slow
def test_what_the_operators_links_do_is_not_an_attempt(call: Call, server: TestServer) -> None:
    call("POST", "/app", {"name": "n", "uid": "linked"})
    link = {"name": "calls", "when": {"event": "linked.*"}, "tenant": "linked", "call": {"post": "http://127.0.0.1:9/"}}
    server.api.put("/v1/links/calls", {name: value for name, value in link.items() if name != "name"})
    sent = call("POST", "/app/linked/msg", {"eventType": "linked.now", "payload": {}}).json()
    until(lambda: server.api.get("/v1/deliveries", event=sent["id"])["data"], "the link's delivery")
    delivery = until(lambda: server.api.get("/v1/deliveries", event=sent["id"])["data"][0]["attempts"], "an attempt")
    assert delivery
    path = f"/app/linked/attempt/msg/{sent['id']}"
    assert call("GET", path).json() == {"data": [], "iterator": None, "prevIterator": None, "done": True}
    [row] = server.api.get("/v1/deliveries", event=sent["id"])["data"]
    assert call("GET", f"/app/linked/msg/{sent['id']}/attempt/{row['id']}.1").status_code == 404


def test_tokens_of_every_form(call: Call, server: TestServer) -> None:
    assert call("GET", "/app", key=f"{server.api.key}.eu").status_code == 200
    assert call("GET", "/app", key=f"{server.api.key}.xx").status_code == 401
    for token in ("appsk_", "appsk_ä", "appsk_" + "A" * 300, "appsk_" + "A" * 5_000):
        reply = call("GET", "/app", key=quote(token))
        assert reply.status_code == 401 and reply.json()["code"] == "authentication_failed"
    assert call("GET", "/health").status_code == 204


@pytest.mark.slow
def test_a_page_may_call_with_the_token_if_the_key_names_its_origin(server: TestServer) -> None:
    origin = "https://app.example.com"
    key = server.api.post("/v1/keys", {"name": "web", "scopes": ["*"], "cors_origins": [origin]})["key"]
    url = f"{server.url}/svix/api/v1"
    access = httpx.post(
        f"{url}/auth/app-portal-access/acme", json={}, headers={"Authorization": f"Bearer {key}"}
    ).json()
    asked = {"Origin": origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "svix-req-id"}
    preflight = httpx.options(f"{url}/app/acme/endpoint", headers=asked)
    assert preflight.status_code == 204 and "Svix-Req-Id" in preflight.headers["access-control-allow-headers"]
    headers = {"Authorization": f"Bearer {access['token']}", "Origin": origin}
    reply = httpx.get(f"{url}/app/acme/endpoint", headers=headers)
    assert reply.headers["access-control-allow-origin"] == origin
    elsewhere = httpx.get(f"{url}/app/acme/endpoint", headers=headers | {"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in elsewhere.headers


@pytest.mark.slow
def test_the_document_describes_every_operation(call: Call) -> None:
    found = call("GET", "/openapi.json").json()
    assert found["paths"] == json.loads(json.dumps(document(OPERATIONS)))["paths"]
    described = {each["operationId"] for methods in found["paths"].values() for each in methods.values()}
    assert described == {each.name for each in OPERATIONS}
    assert len(TABLE) == 2 * (len(OPERATIONS) + 1)


@pytest.mark.slow
def test_repeated_iterators_end(connect: Connect, call: Call) -> None:
    for ident in range(7):
        call("POST", "/app/acme/msg", {"eventType": "a.b", "payload": {"n": ident}, "channels": ["rare"]})
    seen, iterator = [], None
    for _ in range(20):
        page = call(
            "GET",
            "/app/acme/msg",
            params={"limit": 2, "channel": "rare", **({"iterator": iterator} if iterator else {})},
        )
        body = page.json()
        assert page.status_code == 200, page.text
        seen += [each["payload"]["n"] for each in body["data"]]
        iterator = body["iterator"]
        if body["done"]:
            break
    assert seen == [6, 5, 4, 3, 2, 1, 0]


def test_whatever_the_document_names_is_in_it() -> None:
    found = document(OPERATIONS)
    text = json.dumps(found)
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', text)):
        part: Any = found
        for step in reference.split("/"):
            part = part[step]
