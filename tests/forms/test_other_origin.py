"""Forms from pages of other origins, and to them, in a real browser: scripts, plain forms, redirects and files."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from chromium import Browser
from tests.forms.world import ANN, CONTACT, DeclaredForm
from tidings.testing import TestServer

pytestmark = pytest.mark.slow


class Site:
    """Somebody's own site: one page, with whatever markup a test wants."""

    def __init__(self) -> None:
        self.page = ""
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = site.page.encode() if self.path == "/" else b"<title>Thanks of the site</title>"
                self.send_response(200)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    with TestServer(tmp_path_factory.mktemp("server") / "tidings") as server:
        yield server


@pytest.fixture
def browser(whole_browser: Browser) -> Browser:
    whole_browser.requests.clear()
    whole_browser.complaints.clear()
    return whole_browser


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


def declared(server: TestServer, path: str, **more: Any) -> DeclaredForm:
    return DeclaredForm(server, server.api.post("/v1/forms", {"path": path, "fields": CONTACT, **more}))


def test_a_script_of_a_listed_origin_sends_it_and_reads_what_is_wrong(
    server: TestServer, browser: Browser, site: Site
) -> None:
    form = declared(server, "script", origins=[site.url], thanks="Thanks a lot.")
    browser.open(site.url)
    post = "fetch({0!r}, {{method: 'POST', headers: {{'Content-Type': 'application/json'}}, body: {1}}})"
    post += ".then(answer => answer.json())"
    url = server.url + form.path
    wrong = browser.do(post.format(url, "JSON.stringify({name: 'Ann'})"))
    assert [each["pointer"] for each in wrong["errors"]] == ["/email"]
    good = browser.do(post.format(url, "JSON.stringify({name: 'Ann', email: 'ann@example.com'})"))
    assert good == {"thanks": "Thanks a lot."}
    data = "(() => { const data = new FormData(); data.set('name', 'Eve'); data.set('email', 'e@example.com'); "
    assert (
        browser.do(f"{data} return fetch({url!r}, {{method: 'POST', body: data}}).then(each => each.json()) }})()")
        == good
    )
    assert [each["name"] for each in form.data()] == ["Ann", "Eve"]


def test_a_script_of_another_origin_gets_nothing_in(server: TestServer, browser: Browser, site: Site) -> None:
    form = declared(server, "closed")
    browser.open(site.url)
    url = server.url + form.path
    body = "new URLSearchParams({name: 'Ann', email: 'ann@example.com'})"
    for mode in ("cors", "no-cors"):
        browser.do(f"fetch({url!r}, {{method: 'POST', mode: {mode!r}, body: {body}}}).catch(() => 0).then(() => 0)")
    assert form.events() == [] and form.refusals(2)[0]["reason"] == "origin"


@pytest.mark.parametrize("is_listed", [True, False])
def test_a_plain_form_of_another_page(server: TestServer, browser: Browser, site: Site, is_listed: bool) -> None:
    form = declared(server, f"plain-{is_listed}", origins=[site.url] if is_listed else [])
    inputs = "".join(f'<input name="{name}" value="{value}">' for name, value in ANN.items())
    site.page = f'<form method="post" action="{server.url}{form.path}">{inputs}<button>Go</button></form>'
    browser.open(site.url)
    browser.leave("document.querySelector('button').click()")
    browser.until("document.querySelector('h1')")
    said = browser.do("document.querySelector('h1').innerText")
    assert said == ("Thank you" if is_listed else "This form was sent from another site")
    assert form.data() == ([ANN] if is_listed else [])


def test_a_browser_is_sent_to_the_page_that_thanks(server: TestServer, browser: Browser, site: Site) -> None:
    form = declared(server, "lead", thanks=f"{site.url}/thanks")
    browser.complaints.clear()
    browser.open(server.url + form.path)
    browser.do("document.getElementById('f-name').value = 'Ann'")
    browser.do("document.getElementById('f-email').value = 'ann@example.com'")
    browser.leave("document.querySelector('button').click()")
    browser.until("document.title === 'Thanks of the site'")
    assert len(form.data()) == 1
    assert browser.complaints == []


def test_a_file_that_is_chosen_is_in_the_event(server: TestServer, browser: Browser, tmp_path: Path) -> None:
    files = {'ü "q".txt': b"a\r\n--b\x00", "leer.txt": b""}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    form = declared(server, "file", fields={"cv": {"type": "file", "max": 2}, "name": {}})
    browser.open(server.url + form.path)
    browser.choose("f-cv", *(str(tmp_path / name) for name in files))
    browser.leave("document.querySelector('button').click()")
    [data] = form.data()
    assert {each["name"]: base64.b64decode(each["base64"]) for each in data["cv"]} == files
