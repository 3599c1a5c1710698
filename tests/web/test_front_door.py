"""What a caller meets first: the address, hints on wrong paths, proxies, and pages of other origins."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from tests.web.test_events import Reader
from tests.web.wire import KEY_LINE, get, send
from tidings.model.moment import to_text
from tidings.testing import Api, FakeClock, TestServer

PAGE = "https://app.example"
OWN = "https://own.example"
PUBLIC = "https://hooks.example/api"


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """A server behind a proxy, whose answers pages of one origin may read. No minute ends between two calls."""
    with TestServer(
        tmp_path_factory.mktemp("door"),
        clock=FakeClock(),
        public_url=f"{PUBLIC}/",
        cors_origins=f"{PAGE}:443",
        trusted_proxies="127.0.0.0/8,10.0.0.0/8",
        max_calls_per_address=40,
    ) as server:
        yield server


_seen = iter(range(1, 65_000))


def through_proxy(server: TestServer, path: str, more: str = "", method: str = "GET", key: bytes = KEY_LINE):  # type: ignore[no-untyped-def]
    """An answer to a caller whom nobody has counted before."""
    number = next(_seen)
    hop = f"X-Forwarded-For: 198.51.{number // 250}.{number % 250 + 1}\r\n"
    return send(server.url, f"{method} {path} HTTP/1.1\r\nHost: x\r\n{hop}{more}".encode() + key + b"\r\n")


# --- paths ------------------------------------------------------------------------------------------------------------


def test_the_root_leads_to_the_docs(server: TestServer, open_server: TestServer) -> None:
    assert [send(server.url, get(path)).headers["location"] for path in ("/", "/docs/")] == ["docs", "../docs"]
    found = through_proxy(open_server, "/", key=b"")
    assert (found.status, found.headers["location"]) == (307, f"{PUBLIC}/docs")
    assert send(server.url, b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").status == 307


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/v1/customers", "Items of a collection are at /v1/items/customers."),
        ("/customers", "Items of a collection are at /v1/items/customers."),
        ("/v1/customers/itm_1", "Items of a collection are at /v1/items/customers/itm_1."),
        ("/v1/events/", "Did you mean /v1/events?"),
        ("/v1//events", "Did you mean /v1/events?"),
        ("/v1/items/tasks/", "Did you mean /v1/items/tasks?"),
        ("/events", "Did you mean /v1/events?"),
        ("/V1/Events", "Did you mean /v1/events?"),
        ("/v1/event", "Did you mean /v1/events?"),
        ("/v1/event_types", "Did you mean /v1/event-types?"),
        ("/v1/item/tasks", "Did you mean /v1/items/tasks?"),
        ("/v1/deliveries/dlv_1/retry", "Did you mean /v1/deliveries/dlv_1:retry?"),
        ("/v1/webhooks", "Did you mean /v1/endpoints?"),
        ("/v1/healthz", "Did you mean /healthz?"),
        ("/v1/items", "Items are at /v1/items/COLLECTION."),
        ("/v1/" + "a" * 5000, "The page /docs shows"),
    ],
)
def test_a_wrong_path_is_answered_with_a_hint(server: TestServer, path: str, hint: str) -> None:
    found = send(server.url, get(path))
    assert found.status == 404 and hint in found.json["detail"]


def test_a_wrong_plural_names_the_collection_to_those_who_may_use_it(server: TestServer, api: Api) -> None:
    api.post("/v1/collections", {"name": "hinted_invoices", "fields": {"n": {"type": "integer"}}})
    wrong = api.call("GET", "/v1/items/hinted_invoice")
    assert wrong.json["detail"] == "There is no collection hinted_invoice; there is hinted_invoices."
    stranger = api.with_key(api.post("/v1/keys", {"scopes": ["events:read"]})["key"])
    assert stranger.call("GET", "/v1/items/hinted_invoice").json["detail"] == "There is no collection hinted_invoice."


def test_a_wrong_choice_is_answered_with_the_right_ones(api: Api) -> None:
    wrong = api.call("POST", "/v1/keys", {"permits": [{"collection": "x", "verbs": ["read"]}]})
    assert wrong.json["errors"][0]["detail"] == (
        '\'read\' is not allowed here. Allowed: "list", "get", "create", "edit", "put", "delete".'
    )
    wrong = api.call("POST", "/v1/keys", {"scopes": ["*"], "tenant": 7, "limits": {}})
    details = {place["pointer"]: place["detail"] for place in wrong.json["errors"]}
    assert details == {
        "/tenant": "Expected a string or null, got an integer.",
        "/limits": "Expected a list, got an object.",
    }


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /v1/events?amount>=100 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b'GET /v1/events?a="x" HTTP/1.1\r\nHost: x\r\n\r\n', 400),
        (b"GET /v1/a b HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 200 + b"\r\n", 431),
    ],
)
def test_what_is_not_http_is_refused_below_us_without_a_body(server: TestServer, raw: bytes, status: int) -> None:
    """A limit of the HTTP server below, which docs/reference/errors.md tells of; once it has bodies, so does that."""
    found = send(server.url, raw)
    assert (found.status, found.body, found.closed) == (status, b"", True)


# --- the public URL ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_public_url_is_used_wherever_the_server_names_itself(open_server: TestServer) -> None:
    api = open_server.api
    made = [api.call("POST", "/v1/tenants", {"id": f"door{n}", "name": "x"}) for n in range(3)]
    assert made[0].headers["location"] == f"{PUBLIC}/v1/tenants/door0"
    page = api.call("GET", "/v1/tenants", limit=1)
    assert page.headers["link"].startswith(f"<{PUBLIC}/v1/tenants?") and page.headers["link"].endswith('>; rel="next"')
    assert api.get("/v1/openapi.json")["servers"][0]["url"] == PUBLIC


def test_a_proxy_that_keeps_the_prefix_is_reported(open_server: TestServer) -> None:
    found = through_proxy(open_server, "/api/v1/events")
    assert found.status == 404 and "the proxy in front of the server must strip it" in found.json["detail"]


@pytest.mark.slow
def test_without_a_public_url_paths_are_answered(server: TestServer, api: Api) -> None:
    made = api.call("POST", "/v1/tenants", {"id": "door-plain", "name": "x"})
    assert made.headers["location"] == "/v1/tenants/door-plain"
    assert api.get("/v1/openapi.json")["servers"][0]["url"] == "/"


# --- proxies ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_callers_behind_a_trusted_proxy_are_counted_each_for_themselves(open_server: TestServer) -> None:
    def ask(hops: str) -> int:
        return send(open_server.url, f"GET /healthz HTTP/1.1\r\nHost: x\r\n{hops}\r\n".encode()).status

    assert [ask("X-Forwarded-For: 203.0.113.1\r\n") for _ in range(41)][-2:] == [200, 429]
    assert ask("X-Forwarded-For: 203.0.113.2\r\n") == 200
    # What the caller wrote itself stands to the left of what the proxy wrote, and changes nothing.
    assert ask("X-Forwarded-For: 203.0.113.77, 203.0.113.1\r\n") == 429
    assert ask("X-Forwarded-For: 203.0.113.78\r\nX-Forwarded-For: 203.0.113.1, 10.1.2.3\r\n") == 429
    assert ask('Forwarded: for="203.0.113.1:999"\r\n') == 429


@pytest.mark.slow
def test_without_trusted_proxies_the_headers_say_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    with TestServer(tmp_path_factory.mktemp("none"), clock=FakeClock(), max_calls_per_address=3) as server:
        for number in range(4):
            hops = f"X-Forwarded-For: 203.0.113.{number}\r\nForwarded: for=203.0.113.{number}\r\n"
            found = send(server.url, f"GET /healthz HTTP/1.1\r\nHost: x\r\n{hops}\r\n".encode())
        assert found.status == 429


def test_wrong_keys_are_counted_by_the_callers_address(
    open_server: TestServer, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = "Authorization: Bearer tdk_wrong\r\n"
    hop = "X-Forwarded-For: 203.0.113.50\r\n"
    with caplog.at_level(logging.WARNING, "tidings.web"):
        for _ in range(21):
            found = send(open_server.url, f"GET /v1/events HTTP/1.1\r\nHost: x\r\n{hop}{wrong}\r\n".encode())
    assert found.status == 429
    assert [record.client for record in caplog.records] == ["203.0.113.50"]  # type: ignore[attr-defined]
    assert through_proxy(open_server, "/v1/events", wrong, key=b"").status == 401


# --- pages of other origins -------------------------------------------------------------------------------------------


def test_a_page_of_an_allowed_origin_may_read_every_answer(open_server: TestServer) -> None:
    for path, key, status in (
        ("/v1/events", KEY_LINE, 200),
        ("/v1/nothing", KEY_LINE, 404),
        ("/v1/events", b"", 401),
        ("/v1/events?wrong=1", KEY_LINE, 422),
    ):
        found = through_proxy(open_server, path, f"Origin: {PAGE}\r\n", key=key)
        assert found.status == status
        assert found.headers["access-control-allow-origin"] == PAGE and found.headers["vary"] == "Origin"
        assert {"ETag", "Link", "RateLimit", "Request-Id"} <= set(
            found.headers["access-control-expose-headers"].split(", ")
        )
        assert "access-control-allow-credentials" not in found.headers


@pytest.mark.slow
def test_the_address_limit_and_streams_carry_it_too(open_server: TestServer) -> None:
    head = f"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.9\r\nOrigin: {PAGE}\r\n\r\n".encode()
    found = [send(open_server.url, head) for _ in range(41)][-1]
    assert found.status == 429 and found.headers["access-control-allow-origin"] == PAGE
    assert (
        through_proxy(open_server, "/v1/events/stream", f"Origin: {PAGE}\r\n", "HEAD").headers[
            "access-control-allow-origin"
        ]
        == PAGE
    )


@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"{PAGE}.evil.example", "http://app.example", ""])
def test_other_origins_learn_nothing(open_server: TestServer, origin: str) -> None:
    found = through_proxy(open_server, "/v1/events", f"Origin: {origin}\r\n")
    assert found.status == 200 and not any(name.startswith("access-control") for name in found.headers)
    assert found.headers["vary"] == "Origin"
    asked = through_proxy(
        open_server, "/v1/events", f"Origin: {origin}\r\nAccess-Control-Request-Method: POST\r\n", "OPTIONS"
    )
    assert asked.status == 204 and not any(name.startswith("access-control") for name in asked.headers)


def test_a_preflight_is_answered_without_a_key(open_server: TestServer) -> None:
    more = (
        f"Origin: {PAGE}\r\nAccess-Control-Request-Method: PATCH\r\nAccess-Control-Request-Headers: authorization\r\n"
    )
    found = through_proxy(open_server, "/v1/tenants/x", more, "OPTIONS", key=b"")
    assert found.status == 204
    assert "PATCH" in found.headers["access-control-allow-methods"]
    assert "Authorization" in found.headers["access-control-allow-headers"]
    assert int(found.headers["access-control-max-age"]) > 0
    # So that the page can read the refusal of what follows.
    assert through_proxy(open_server, "/v1/nothing", more, "OPTIONS", key=b"").status == 204
    plain = through_proxy(open_server, "/v1/nothing", f"Origin: {PAGE}\r\n", "OPTIONS", key=b"")
    assert plain.status == 404 and plain.headers["access-control-allow-origin"] == PAGE


def test_a_key_may_have_its_own_origins(server: TestServer, api: Api) -> None:
    made = api.post("/v1/keys", {"scopes": ["events:read"], "cors_origins": [f"{OWN}:443"]})
    assert made["cors_origins"] == [OWN]
    ask = f"Origin: {OWN}\r\n".encode()
    question = f"OPTIONS /v1/events HTTP/1.1\r\nHost: x\r\nOrigin: {OWN}\r\nAccess-Control-Request-Method: GET\r\n\r\n"
    assert send(server.url, question.encode()).headers["access-control-allow-origin"] == OWN
    mine = f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {made['key']}\r\n".encode() + ask + b"\r\n"
    assert send(server.url, mine).headers["access-control-allow-origin"] == OWN
    # Another key's answers are not for that page.
    assert "access-control-allow-origin" not in send(server.url, get("/v1/events", ask)).headers
    api.delete(f"/v1/keys/{made['id']}")
    assert "access-control-allow-origin" not in send(server.url, question.encode()).headers


def test_a_key_with_a_wrong_origin_is_refused(api: Api) -> None:
    wrong = api.call("POST", "/v1/keys", {"scopes": ["events:read"], "cors_origins": ["https://a.example", "null"]})
    assert (wrong.status, wrong.json["errors"][0]["pointer"]) == (422, "/cors_origins/1")


@pytest.mark.slow
def test_all_origins_may_be_allowed_on_purpose(tmp_path_factory: pytest.TempPathFactory) -> None:
    with TestServer(tmp_path_factory.mktemp("all"), cors_origins="*") as server:
        found = send(server.url, get("/v1/events", b"Origin: https://anything.example\r\n"))
        assert found.headers["access-control-allow-origin"] == "*" and "vary" not in found.headers


@pytest.mark.slow
def test_cors_is_off_by_default(tmp_path_factory: pytest.TempPathFactory) -> None:
    with TestServer(tmp_path_factory.mktemp("off")) as server:
        found = send(server.url, get("/v1/events", f"Origin: {PAGE}\r\n".encode()))
        assert not any(name.startswith("access-control") or name == "vary" for name in found.headers)


# --- streams ----------------------------------------------------------------------------------------------------------


def test_a_stream_asks_proxies_not_to_buffer_it(server: TestServer) -> None:
    assert send(server.url, get("/v1/events/stream").replace(b"GET", b"HEAD")).headers["x-accel-buffering"] == "no"


def test_a_stream_of_messages_names_no_events(server: TestServer, api: Api) -> None:
    reader = Reader(server, "/v1/events/stream?type=named.a&events=message")
    event = api.publish("named.a")
    frame = reader.frame()
    assert frame is not None and "event" not in frame and json.loads(frame["data"])["id"] == event
    reader.close()
    assert api.call("GET", "/v1/events/stream", events="all").status == 422


# --- tickets ----------------------------------------------------------------------------------------------------------


def by_ticket(server: TestServer, ticket: str, more: str = "") -> Reader:
    return Reader(server, f"/v1/events/stream?ticket={ticket}{more}", key=b"")


def refusal(server: TestServer, ticket: str, more: str = "", key: bytes = b"") -> tuple[int, str]:
    found = send(
        server.url, f"GET /v1/events/stream?ticket={ticket}{more} HTTP/1.1\r\nHost: x\r\n".encode() + key + b"\r\n"
    )
    return found.status, found.json["code"] if not found.json["errors"] else found.json["errors"][0]["code"]


def test_a_ticket_opens_a_stream_with_the_rights_and_parameters_it_was_made_with(server: TestServer, api: Api) -> None:
    key = api.post("/v1/keys", {"scopes": ["events:read"], "tenant": "t-ticket"})["key"]
    made = api.with_key(key).post("/v1/events/stream:ticket?type=ticket.*&fields=id,data.n&events=message", None)
    assert made["url"] == f"/v1/events/stream?ticket={made['ticket']}"
    reader = by_ticket(server, made["ticket"])
    api.publish("ticket.a", {"n": 1})
    api.publish("tickets.b", {"n": 2}, tenant="t-ticket")
    event = api.publish("ticket.a", {"n": 3}, tenant="t-ticket")
    frame = reader.frame()
    assert frame is not None and "event" not in frame and frame["data"] == f'{{"id":"{event}","data":{{"n":3}}}}'
    # It may be shown again while it is young, and says where to continue.
    again = by_ticket(server, made["ticket"], "&after=start")
    frame = again.frame()
    assert frame is not None and event in frame["data"]
    reader.close()
    again.close()


@pytest.mark.slow
def test_a_ticket_ends_after_a_minute_and_with_its_key(tmp_path_factory: pytest.TempPathFactory) -> None:
    clock = FakeClock()
    with TestServer(tmp_path_factory.mktemp("tickets"), clock=clock) as server:
        made = server.api.post("/v1/keys", {"scopes": ["events:read"]})
        api = server.api.with_key(made["key"])
        ticket = api.post("/v1/events/stream:ticket", None)["ticket"]
        reader = by_ticket(server, ticket)
        clock.advance(61)
        assert refusal(server, ticket) == (401, "ticket_not_valid")
        event = server.api.publish("young.a")
        frame = reader.frame()
        assert frame is not None and event in frame["data"], "a stream that is open stays open"
        ticket = api.post("/v1/events/stream:ticket", None)["ticket"]
        server.api.delete(f"/v1/keys/{made['id']}")
        assert refusal(server, ticket) == (401, "ticket_not_valid")
        assert reader.frame() is None


@pytest.mark.slow
@pytest.mark.parametrize("hours", [-1, 1])
def test_a_ticket_lives_a_minute_whatever_the_clock_is_set_to(
    tmp_path_factory: pytest.TempPathFactory, hours: int
) -> None:
    clock = FakeClock()
    with TestServer(tmp_path_factory.mktemp("tickets"), clock=clock) as server:
        ticket = server.api.post("/v1/events/stream:ticket", None)["ticket"]
        clock.set_by(hours * 3600)
        reader = by_ticket(server, ticket)
        event = server.api.publish("stepped.a")
        frame = reader.frame()
        assert frame is not None and event in frame["data"]
        reader.close()
        clock.advance(59)
        by_ticket(server, ticket).close()
        clock.advance(2)
        assert refusal(server, ticket) == (401, "ticket_not_valid")


@pytest.mark.slow
def test_a_ticket_ends_with_the_time_of_day_at_which_its_key_expires(tmp_path_factory: pytest.TempPathFactory) -> None:
    clock = FakeClock()
    with TestServer(tmp_path_factory.mktemp("tickets"), clock=clock) as server:
        expires = to_text(clock.now() + 1800 * 1_000_000)
        made = server.api.post("/v1/keys", {"scopes": ["events:read"], "expires": expires})
        ticket = server.api.with_key(made["key"]).post("/v1/events/stream:ticket", None)["ticket"]
        clock.set_by(3600)
        assert refusal(server, ticket) == (401, "ticket_not_valid")


def test_a_ticket_that_was_made_up_or_changed_is_refused(server: TestServer, api: Api) -> None:
    ticket = api.post("/v1/events/stream:ticket", None)["ticket"]
    for wrong in ("x", "AAAA", ticket[:-2] + ("A" if ticket[-2] != "A" else "B") + ticket[-1], ticket[:40], "A" * 300):
        assert refusal(server, wrong) == (401, "ticket_not_valid")
    assert refusal(server, ticket, "&type=other.a") == (422, "not_together")
    assert refusal(server, ticket, key=KEY_LINE) == (422, "not_together")
    # It opens nothing but the stream.
    assert api.with_key("").call("GET", "/v1/events", ticket=ticket).status == 401


def test_a_ticket_needs_the_scope_of_the_stream(api: Api) -> None:
    key = api.post("/v1/keys", {"scopes": ["events:write"]})["key"]
    assert api.with_key(key).call("POST", "/v1/events/stream:ticket").status == 403
