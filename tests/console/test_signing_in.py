"""Signing in: a key becomes a cookie that holds no key, no other site can act, and guesses are slowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.console.visitor import OWN, Visitor
from tidings.testing import Api, TestServer


def test_without_a_session_every_page_asks_for_a_key(visitor: Visitor) -> None:
    for path in ("", "/endpoints", "/deliveries/dlv_1", "/nothing"):
        reply = visitor.call("GET", path)
        assert reply.status == 401
        assert b'name="key"' in reply.body
        assert b"Now" not in reply.body


def test_a_key_becomes_a_cookie_that_holds_no_key_and_goes_nowhere_else(visitor: Visitor, api: Api) -> None:
    reply = visitor.sign_in(api.key or "")
    assert (reply.status, reply.headers["location"]) == (303, "/console")
    cookie = reply.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/console;" in cookie
    assert (api.key or "?") not in cookie
    assert "All is well" in visitor.get()


def test_a_session_ends_with_its_key(api: Api, visitor: Visitor) -> None:
    made = api.post("/v1/keys", {"name": "for a day", "scopes": ["endpoints:read"]})
    visitor.sign_in(made["key"])
    visitor.get()
    api.delete(f"/v1/keys/{made['id']}")
    assert visitor.call("GET", "").status == 401


def test_signing_out_ends_the_session_wherever_its_cookie_is(operator: Visitor, server: TestServer) -> None:
    stolen = Visitor(server.url)
    stolen.cookies = dict(operator.cookies)
    stolen.get()
    assert operator.send("/sign-out").status == 303
    assert stolen.call("GET", "").status == 401
    assert operator.call("GET", "").status == 401


def test_a_cookie_that_somebody_made_up_opens_nothing(visitor: Visitor) -> None:
    for text in ("x", "A" * 400, "é", '"', "AQAA=", "A" * 9000):
        visitor.cookies = {"tidings_console": text}
        assert visitor.call("GET", "").status in (400, 401)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
    ],
)
def test_no_other_site_can_act(operator: Visitor, headers: dict[str, str]) -> None:
    for path in ("/sign-in", "/sign-out", "/theme", "/endpoints/ep_1/pause"):
        assert operator.call("POST", path, {}, headers).status == 403
    operator.get()


def test_an_old_browser_acts_with_its_origin_alone(operator: Visitor, server: TestServer) -> None:
    assert operator.call("POST", "/theme", {"theme": "dark"}, {"Origin": server.url}).status == 303
    assert 'data-theme="dark"' in operator.get()


def test_where_a_form_leads_is_a_page_of_ours(operator: Visitor) -> None:
    for to, leads in (
        ("/console/endpoints?state=paused", "/console/endpoints?state=paused"),
        ("https://evil.example/console", "/console"),
        ("//evil.example", "/console"),
        ("/consoles", "/console"),
        ("/console/\r\nset-cookie: x", "/console"),
        ("", "/console"),
    ):
        assert operator.send("/theme", to=to, theme="auto").headers["location"] == leads


def test_a_link_from_another_site_opens_after_one_more_request(operator: Visitor, visitor: Visitor) -> None:
    cookies, visitor.cookies = visitor.cookies, {}
    page = visitor.get("/deliveries?state=dead", {"Sec-Fetch-Site": "cross-site"})
    assert 'http-equiv="refresh"' in page and "/console/deliveries?state=dead" in page
    visitor.cookies = cookies
    assert visitor.call("GET", "", headers={"Sec-Fetch-Site": "same-origin"}).status == 200


def test_a_one_time_link_opens_once(server: TestServer, api: Api) -> None:
    link = api.call("POST", "/console/link").json["url"]
    path, _, code = link.partition("#")
    assert path == "/console/sign-in" and (api.key or "?") not in code
    first, second = Visitor(server.url), Visitor(server.url)
    assert first.sign_in(code).status == 303
    first.get()
    reply = second.sign_in(code)
    assert reply.status == 401 and b"already been used" in reply.body
    assert api.with_key(None).call("POST", "/console/link").status == 401


def test_a_form_that_is_not_one_is_refused(operator: Visitor) -> None:
    assert operator.call("POST", "/theme", None, {**OWN, "Content-Type": "application/json"}).status in (200, 303)
    assert operator.call("PUT", "/theme", {}, OWN).status == 404
    assert operator.send("/theme", theme="\0").status == 422


@pytest.mark.slow
def test_behind_a_proxy_with_a_prefix_links_and_cookies_have_it(tmp_path: Path) -> None:
    with TestServer(tmp_path / "tidings", public_url="https://example.com/hooks") as server:
        visitor = Visitor(server.url)
        reply = visitor.call("POST", "/sign-in", {"key": server.api.key or ""}, {"Origin": "https://example.com"})
        assert (reply.status, reply.headers["location"]) == (303, "/hooks/console")
        assert "Path=/hooks/console;" in reply.headers["set-cookie"] and "; Secure" in reply.headers["set-cookie"]
        page = visitor.get()
        assert 'href="/hooks/console/endpoints"' in page and 'href="/console' not in page
        link = server.api.call("POST", "/console/link").json["url"]
        assert link.startswith("https://example.com/hooks/console/sign-in#tdc_")


@pytest.mark.slow
def test_a_wrong_key_is_refused_and_guesses_are_slowed_as_at_the_api(server: TestServer) -> None:
    visitor = Visitor(server.url)
    # Last in this file: afterwards this address is refused for some seconds.
    said = [visitor.sign_in(f"tdk_{number:040}").status for number in range(25)]
    assert said[0] == 401 and said[-1] == 429
    assert "tidings_console" not in visitor.cookies
    assert server.api.call("GET", "/v1/keys", headers={"Authorization": "Bearer tdk_guess"}).status == 429
