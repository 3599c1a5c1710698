"""A page of another origin, in a real browser: what it may read, and how it follows events."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator

import pytest

from chromium import Browser
from tidings.testing import TestServer


class _Blank(http.server.BaseHTTPRequestHandler):
    """An empty page at every path."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """The origin of a page that is not the server's."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Blank) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{site.server_port}"
        site.shutdown()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, elsewhere: str) -> Iterator[TestServer]:
    """A server whose answers that page may read."""
    with TestServer(tmp_path_factory.mktemp("shared"), cors_origins=elsewhere) as server:
        yield server


def fetched(browser: Browser, url: str, options: str) -> dict[str, object]:
    """What a page's fetch gives: status, some headers and the JSON; or the error's name."""
    script = f"""fetch({json.dumps(url)}, {options}).then(
        async (answer) => ({{
            status: answer.status, body: answer.status === 204 ? null : await answer.json(),
            id: answer.headers.get("Request-Id"), tag: answer.headers.get("ETag"), at: answer.headers.get("Location"),
        }}),
        (wrong) => ({{ wrong: wrong.name }}))"""
    found: dict[str, object] = browser.do(script)
    return found


def test_it_reads_answers_refusals_and_headers(shared: TestServer, browser: Browser, elsewhere: str) -> None:
    browser.open(elsewhere)
    key = f'{{Authorization: "Bearer {shared.api.key}", "Content-Type": "application/json"}}'
    made = fetched(
        browser,
        f"{shared.url}/v1/tenants",
        f'{{method: "POST", headers: {key}, body: JSON.stringify({{id: "page", name: "x"}})}}',
    )
    assert made["status"] == 201 and made["tag"] == '"1"' and made["at"] == "/v1/tenants/page" and made["id"]
    edit = f'{{method: "PATCH", headers: {{...{key}, "If-Match": \'"7"\'}}, body: JSON.stringify({{name: "y"}})}}'
    assert fetched(browser, f"{shared.url}/v1/tenants/page", edit)["status"] == 412
    assert fetched(browser, f"{shared.url}/v1/events", "{}")["status"] == 401
    assert fetched(browser, f"{shared.url}/v1/nothing", f"{{headers: {key}}}")["status"] == 404
    # Not with what the browser keeps of the server.
    assert fetched(browser, f"{shared.url}/healthz", '{credentials: "include"}') == {"wrong": "TypeError"}


def test_a_page_that_is_not_named_reads_nothing(server: TestServer, browser: Browser, elsewhere: str) -> None:
    browser.open(elsewhere)
    key = f'{{headers: {{Authorization: "Bearer {server.api.key}"}}}}'
    assert fetched(browser, f"{server.url}/v1/events", key) == {"wrong": "TypeError"}
    assert fetched(browser, f"{server.url}/healthz", "{}") == {"wrong": "TypeError"}


def test_it_follows_events_with_a_ticket(shared: TestServer, browser: Browser, elsewhere: str) -> None:
    """As docs/howto/browser.md does it: onmessage fires, and a second ticket continues where the first ended."""
    browser.open(elsewhere)
    made = shared.api.post("/v1/events/stream:ticket?type=seen.a&events=message", None)
    follow = "heard = []; last = 'end'; follow = (url) => { source = new EventSource(url);"
    follow += "source.onmessage = (each) => { last = each.lastEventId; heard.push(JSON.parse(each.data).data.n); }; };"
    browser.do(f"{follow} follow({json.dumps(shared.url + made['url'])}); 1")
    browser.until("source.readyState === 1")
    for number in range(3):
        shared.api.publish("seen.a", {"n": number})
        shared.api.publish("seen.b", {"n": 100})
    browser.until("heard.length === 3")
    browser.do("source.close()")
    shared.api.publish("seen.a", {"n": 3})
    again = shared.api.post("/v1/events/stream:ticket?type=seen.a&events=message", None)
    browser.do(f"follow({json.dumps(shared.url + again['url'])} + '&after=' + last); 1")
    browser.until("heard.length === 4")
    assert browser.do("heard") == [0, 1, 2, 3]
    browser.do("source.close()")
    browser.complaints.clear()


def test_a_ticket_that_is_over_ends_the_source(shared: TestServer, browser: Browser, elsewhere: str) -> None:
    browser.open(elsewhere)
    browser.do(f"source = new EventSource({json.dumps(shared.url)} + '/v1/events/stream?ticket=AAAA'); 1")
    browser.until("source.readyState === 2")
    browser.complaints.clear()
