"""The portal's door: links are opened once, sessions reach only their own, and frames are named."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.callers import Callers
from tests.portal.customer import Customer, new_link
from tidings.control.upkeep.retention import Retention
from tidings.model.moment import DAY
from tidings.model.portal.link import CHANGING, PortalLink, PortalOptions
from tidings.testing import Api, FakeClock, Receiver, TestServer
from tidings.web.operations import OPERATIONS
from tidings.web.portal.frame import Frame


def policy(api: Api, path: str) -> dict[str, str]:
    reply = api.with_key(None).call("GET", path)
    parts = reply.headers["content-security-policy"].split("; ")
    return {name: rest for name, _, rest in (part.partition(" ") for part in parts)}


@pytest.mark.slow
def test_a_link_opens_once_and_says_why_it_does_not_open_again(api: Api, clock: FakeClock) -> None:
    customer = Customer(api, "once")
    wrong = customer.exchange("x" * 43)
    assert (wrong.status, wrong.json["code"]) == (401, "portal_link_unknown")
    assert customer.open().session.startswith("tdk_")
    again = customer.exchange(customer.token)
    assert (again.status, again.json["code"]) == (401, "portal_link_used") and "only once" in again.json["detail"]
    assert api.get(f"/v1/portal-links/{customer.id}")["state"] == "open"
    late = Customer(api, "once", expires_in=60)
    clock.advance(60)
    assert late.exchange(late.token).json["code"] == "portal_link_expired"
    gone = Customer(api, "once")
    api.delete(f"/v1/portal-links/{gone.id}")
    assert gone.exchange(gone.token).json["code"] == "portal_link_revoked"
    # Why it does not open is said only to those who have the token.
    assert gone.exchange("y" * 43).json["code"] == "portal_link_unknown"


def test_a_session_is_an_ordinary_key_with_fixed_scopes_for_a_day_at_most(api: Api, clock: FakeClock) -> None:
    customer = Customer(api, "scopes", may="read").open()
    key = next(each for each in api.pages("/v1/keys", tenant="scopes") if each["name"] == f"portal {customer.id}")
    assert key["scopes"] == [
        "endpoints:read", "deliveries:read", "events:read", "event-types:read", "replays:read",
    ]  # fmt: skip
    session = api.with_key(customer.session)
    assert session.call("GET", "/v1/endpoints").status == 200
    for method, path in (("GET", "/v1/keys"), ("POST", "/v1/events"), ("GET", "/v1/items/x"), ("GET", "/metrics")):
        assert session.call(method, path, {} if method == "POST" else None).status in (403, 404), path
    clock.advance(86_400)
    assert session.call("GET", "/v1/endpoints").json["code"] == "key_expired"
    assert "session has ended" in customer.call().body.decode() and customer.call().status == 401


def test_a_session_lasts_no_longer_than_the_key_that_made_its_link(api: Api, clock: FakeClock) -> None:
    from tidings.model import moment

    until = moment.to_text(clock.now() + 3_600_000_000)
    maker = api.with_key(api.post("/v1/keys", {"scopes": ["*"], "tenant": "brief", "expires": until})["key"])
    customer = Customer(maker, "brief").open()
    assert api.get(f"/v1/portal-links/{customer.id}")["session_expires"] == until


def test_ending_a_link_ends_its_session_at_once(api: Api) -> None:
    one, other = Customer(api, "ended").open(), Customer(api, "ended").open()
    api.delete(f"/v1/portal-links/{one.id}")
    assert one.call().status == 401 and other.call().status == 200
    assert api.post("/v1/tenants/ended/portal-links:revoke-all") == {"revoked": 1}
    assert other.call().status == 401


def test_a_tenant_with_sessions_can_be_deleted_and_they_end(api: Api) -> None:
    api.post("/v1/tenants", {"id": "leaving"})
    customer = Customer(api, "leaving").open()
    assert api.call("DELETE", "/v1/tenants/leaving").status == 204
    assert customer.call().status == 401


@pytest.mark.slow
def test_a_session_reaches_only_pages_of_its_own_link(api: Api) -> None:
    mine, theirs = Customer(api, "mine").open(), Customer(api, "theirs").open()
    for path in ("", "/log", "/add", "/types", "/verify"):
        assert mine.call(path).status == 200 and mine.call(path, link=theirs.id).status == 401, path
    # A key that is no session, even of the operator's, opens no page: it has no link.
    mine.session = api.key or ""
    assert mine.call().status == 401
    mine.session = ""
    assert mine.call().status == 401


@pytest.mark.slow
def test_nothing_of_another_tenant_is_reached_by_its_id(server: TestServer, api: Api) -> None:
    with Receiver() as receiver:
        secret, _ = api.register(receiver.url("/secret-path"), tenant="victim")
        api.publish("victim.only", {"hidden": "treasure"}, tenant="victim")
        receiver.wait_for(1)
        delivery = api.get("/v1/deliveries", endpoint=secret)["data"][0]["id"]
        thief = Customer(api, "thief").open()
        paths = [f"/endpoints/{secret}", f"/endpoints/{secret}/edit", f"/log/{delivery}"]
        for path in paths:
            assert thief.call(path).status == 404, path
        for verb in ("test", "pause", "resume", "delete", "secret", "rotate", "edit"):
            assert thief.call(f"/endpoints/{secret}/{verb}", [("url", "http://127.0.0.1/")]).status == 404, verb
        for verb in ("retry", "cancel"):
            assert thief.call(f"/log/{delivery}/{verb}", []).status == 404, verb
        for fields in ([("since", "2020-01-01T00:00:00Z"), ("until", "2030-01-01T00:00:00Z"), ("which", "all")],):
            assert thief.call(f"/endpoints/{secret}/replay", fields).status in (404, 422)
            assert thief.call(f"/endpoints/{secret}/missed", fields).status in (404, 422)
        asked = [("endpoint", secret), ("headers", "webhook-id: a"), ("body", "{}")]
        assert thief.call("/verify", asked).status == 404
        for path in ("", "/log", f"/log?endpoint={secret}", "/types", "/verify", f"/verify?endpoint={secret}"):
            said = thief.call(path).body
            assert b"secret-path" not in said and b"victim" not in said and b"treasure" not in said, path
        assert api.get(f"/v1/endpoints/{secret}")["state"] == "enabled"


@pytest.mark.slow
def test_who_may_only_look_changes_nothing(api: Api) -> None:
    with Receiver() as receiver:
        ident, _ = api.register(receiver.url(), tenant="looks")
        api.publish("a.b", tenant="looks")
        receiver.wait_for(1)
        delivery = api.get("/v1/deliveries", endpoint=ident)["data"][0]["id"]
        looker = Customer(api, "looks", may="read").open()
        page = looker.call(f"/endpoints/{ident}")
        assert page.status == 200 and b"<button" not in page.body and b"whsec_" not in page.body
        assert b"<button" not in looker.call(f"/log/{delivery}").body
        paths = [
            f"/endpoints/{ident}/{verb}" for verb in ("test", "pause", "resume", "delete", "secret", "rotate", "edit")
        ]
        for path in (*paths, f"/log/{delivery}/retry", "/add"):
            reply = looker.call(path, [("url", receiver.url()), ("events", "*"), ("do", "save")])
            assert reply.status == 403, (path, reply.status)
        assert len(api.get("/v1/endpoints", tenant="looks")["data"]) == 1


def test_only_named_origins_may_frame_a_link_and_nothing_else_is_allowed(api: Api) -> None:
    bare, _ = new_link(api, "frames")
    framed, _ = new_link(api, "frames", frame_origins=["https://app.example.com", "http://localhost:3000"])
    assert policy(api, f"/portal/{bare}")["frame-ancestors"] == "'none'"
    found = policy(api, f"/portal/{framed}/log")
    assert found["frame-ancestors"] == "https://app.example.com http://localhost:3000"
    assert found["default-src"] == "'none'" and found["script-src"] == "'self'" and "unsafe" not in str(found)
    reply = api.with_key(None).call("GET", f"/portal/{framed}")
    assert "set-cookie" not in reply.headers and "x-frame-options" not in reply.headers
    assert b"<script>" not in reply.body and b" style=" not in reply.body and b" onclick" not in reply.body
    nothing = api.with_key(None).call("GET", "/portal/ptl_none")
    assert nothing.status == 404 and b"portal link is not valid" in nothing.body
    assert "frame-ancestors 'none'" in nothing.headers["content-security-policy"]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"token": 1}', b'{"token": "x", "more": 1}', b"\xff", b"x" * 2_000])
def test_what_is_sent_in_place_of_a_token_is_refused_in_words(api: Api, body: bytes) -> None:
    ident, _ = new_link(api, "bad")
    reply = api.with_key(None).call("POST", f"/portal/{ident}/@/session", body)
    assert reply.status in (400, 413) and reply.json["detail"]


def test_a_logo_is_an_image_and_runs_nothing(api: Api) -> None:
    svg = "PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciPjxzY3JpcHQ+YWxlcnQoMSk8L3NjcmlwdD48L3N2Zz4="
    ident, _ = new_link(api, "logos", theme={"logo": f"data:image/svg+xml;base64,{svg}", "product": "<b>Shop</b>"})
    reply = api.with_key(None).call("GET", f"/portal/{ident}/@/logo")
    assert reply.headers["content-type"] == "image/svg+xml" and "sandbox" in reply.headers["content-security-policy"]
    frame = api.with_key(None).call("GET", f"/portal/{ident}").body
    assert b"&lt;b&gt;Shop" in frame and b"<b>Shop" not in frame and b"<img" in frame
    assert api.with_key(None).call("GET", f"/portal/{new_link(api, 'logos')[0]}/@/logo").status == 404


@pytest.mark.slow
def test_ended_sessions_are_dropped_with_their_keys(server: TestServer, api: Api, clock: FakeClock) -> None:
    customer = Customer(api, "dropped").open()
    assert server.server is not None
    parts = server.server.parts
    retention = Retention(parts.writer, clock, 0, catalog=parts.catalog)
    asyncio.run(retention.prune(clock.now()))
    assert customer.call().status == 200
    asyncio.run(retention.prune(clock.now() + 2 * DAY))
    assert api.get("/v1/keys", tenant="dropped")["data"] == []
    assert api.get(f"/v1/portal-links/{customer.id}")["opened"]
    asyncio.run(retention.prune(clock.now() + 9 * DAY))
    assert api.call("GET", f"/v1/portal-links/{customer.id}").status == 404
    assert api.with_key(customer.session).call("GET", "/v1/endpoints").status == 401


def test_of_many_who_open_a_link_at_once_one_gets_in(api: Api) -> None:
    customer = Customer(api, "race")
    got: list[int] = []
    Callers(8, lambda number: got.append(customer.exchange(customer.token).status)).join()
    assert sorted(got) == [201, *[401] * 7]
    assert len(api.get("/v1/keys", tenant="race")["data"]) == 1


@pytest.mark.slow
def test_no_operation_outside_its_scopes_is_open_to_a_session(api: Api) -> None:
    session = api.with_key(Customer(api, "menu").open().session)
    walked = 0
    for operation in OPERATIONS:
        if operation.scope is None or (operation.scope in CHANGING and not operation.whole):
            continue
        path = re.sub(r"\{\w+\}", "evt_x", operation.path)
        reply = session.call(operation.method, path, {} if operation.request else None)
        assert reply.status == 403, (operation.name, reply.status, reply.body)
        walked += 1
    assert walked > 40


def test_every_url_of_a_page_is_below_the_path_that_a_proxy_takes_away() -> None:
    link = PortalLink(id="ptl_x", tenant="prefix", hash="", options=PortalOptions(may="read"), created=0, expires=0)
    page = Frame("/hooks/portal").whole(link)
    urls = [url for url in re.findall(r'(?:href|src|data-root)="([^"]*)"', page) if url != "#main"]
    assert len(urls) > 8 and all(url.startswith("/hooks/portal/") for url in urls)


@pytest.mark.slow
def test_guessing_is_slowed(api: Api, clock: FakeClock) -> None:
    customer = Customer(api, "guess")
    clock.advance(10)
    assert [customer.exchange(f"{number:043}").status for number in range(20)] == [401] * 20
    refused = customer.exchange("z" * 43)
    assert refused.status == 429 and int(refused.headers["retry-after"]) >= 1
    clock.advance(10)
    assert customer.open().session
