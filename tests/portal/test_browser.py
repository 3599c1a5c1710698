"""The portal in a real browser: what a customer does, frames on other sites, hostile texts, and barriers (axe)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests import programs
from tests.barriers import ALL, COLOURS, asked, axe
from tests.examples import are_all, thorough
from tests.portal.customer import new_link
from tests.portal.host import BLOCKED, FrameBrowser, host
from tidings.testing import Api, Reaction, Receiver, TestServer, until

pytestmark = pytest.mark.slow
SETTLED = "document.querySelector('main h1') && !document.querySelector('main[aria-busy], main.is-waiting')"
HOSTILE = (
    "<img src=x onerror=window.ran=1>",
    "<svg/onload=window.ran=1>",
    "</code></pre><script>window.ran=1</script>",
    "'\"><script>window.ran=1</script>",
    "javascript:window.ran=1//",
    "{{ 7*7 }}{% raw %}",
    "<iframe srcdoc='<script>parent.ran=1</script>'>",
    "<style>*{display:none}</style><base href=//evil.example/>",
    "<form action=//evil.example><button formaction=javascript:window.ran=1>",
    "<a hx-get=/v1/keys hx-trigger=load hx-on:click=window.ran=1>x</a>",
    "\u202egnp.exe\u2066\u200b",
    "<math><mtext></mtext><mglyph><style><!--</style><img title='--><img src onerror=window.ran=1>'>",
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """A server whose clock runs."""
    with TestServer(tmp_path_factory.mktemp("browser") / "tidings") as server:
        yield server


@pytest.fixture
def api(whole: TestServer) -> Api:
    """The API, called as the operator."""
    return whole.api


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def one_browser() -> Iterator[FrameBrowser]:
    programs.needed("chromium")
    with FrameBrowser() as browser:
        yield browser


@pytest.fixture
def browser(one_browser: FrameBrowser) -> Iterator[FrameBrowser]:
    """A browser; afterwards no page has complained."""
    one_browser.requests.clear()
    one_browser.complaints.clear()
    yield one_browser
    one_browser.resize()
    one_browser.darken(False)
    assert one_browser.complaints == []


def opened(browser: FrameBrowser, server: TestServer, tenant: str, **options: Any) -> str:
    """Open a new link in the browser; the URL of the portal's first page."""
    ident, token = new_link(server.api, tenant, **options)
    url = f"{server.url}/portal/{ident}"
    browser.open(f"{url}#{token}")
    browser.until(SETTLED)
    return url


def text(browser: FrameBrowser) -> str:
    return str(browser.do("document.querySelector('main').innerText"))


def click(browser: FrameBrowser, words: str, says: str) -> None:
    """Click on the link or button with these words, and wait until the page says something."""
    browser.click(
        f"[...document.querySelectorAll('a, button, summary')].find(e => e.innerText.trim() === {json.dumps(words)})"
    )
    browser.until(f"document.querySelector('main').innerText.includes({json.dumps(says)}) && {SETTLED}")


def fill(browser: FrameBrowser, name: str, value: str) -> None:
    browser.do(f"(f => {{ f.focus(); f.select() }})(document.querySelector('[name={name}]'))")
    browser.type(value)


def test_a_customer_adds_tests_rotates_and_replays(
    browser: FrameBrowser, whole: TestServer, api: Api, receiver: Receiver
) -> None:
    api.post("/v1/event-types", {"name": "orders.created", "description": "Somebody ordered."})
    url = opened(browser, whole, "walk")
    assert browser.do("location.hash") == "" and browser.do("document.cookie") == ""
    click(browser, "Add an endpoint", "Where should we send")
    assert browser.do("location.pathname").endswith("/add")
    fill(browser, "url", receiver.url("/walk"))
    browser.click("document.querySelector('[name=events][value=\"orders.created\"]')")
    assert not browser.do("document.querySelector('[name=events][value=\"*\"]').checked")
    fill(browser, "field", "data.total")
    fill(browser, "value", "10")
    click(browser, "Test it first", "The test arrived")
    secret = browser.do("document.getElementById('new-secret').innerText")
    click(browser, "Add the endpoint", "The endpoint has been added")
    made = api.get("/v1/endpoints", tenant="walk")["data"][0]
    assert made["events"] == ["orders.created"] and made["filter"] == {"data": {"total": {"$eq": 10}}}
    assert browser.do("location.pathname").endswith(f"/endpoints/{made['id']}")
    click(browser, "Send a test", "A test was sent")
    browser.until("document.querySelector('main').innerText.includes('It was delivered')")
    browser.do("history.back()")
    browser.until("document.querySelector('main').innerText.includes('Show the secret')")
    click(browser, "Show the secret", secret)
    click(browser, "Rotate the secret …", "A new secret is made at once")
    click(browser, "Make a new secret", "The previous secret still signs as well")
    assert api.get(f"/v1/endpoints/{made['id']}/secret")["previous"][0]["secret"] == secret
    api.patch(f"/v1/endpoints/{made['id']}", {"retry_delays_seconds": [0.01]})
    receiver.answer(400, path="/walk")
    api.publish("orders.created", {"total": 10}, tenant="walk")
    until(lambda: api.get("/v1/deliveries", endpoint=made["id"], state="dead")["data"], "it is dead")
    receiver.answer(204, path="/walk")
    click(browser, "Count first", "1 event will be sent again")
    click(browser, "Send it", "is being sent again")
    until(lambda: not api.get("/v1/deliveries", endpoint=made["id"], state="dead")["data"], "it is sent")
    click(browser, "Log", "newest first")
    browser.leave("location.reload()")
    browser.until(SETTLED)
    assert "orders.created" in text(browser), "a reload keeps the session of this tab"
    browser.open(f"{url}/verify")
    browser.until(SETTLED)
    assert "Code for your receiver" in text(browser)
    assert all(each.startswith((whole.url, "about:", "data:")) for each in browser.requests)


def test_a_double_click_adds_one_endpoint_and_keys_go_through_the_rows(
    browser: FrameBrowser, whole: TestServer, api: Api, receiver: Receiver
) -> None:
    opened(browser, whole, "double")
    click(browser, "Add an endpoint", "Where should we send")
    fill(browser, "url", receiver.url("/double"))
    browser.do("(b => { b.click(); b.click(); b.click() })(document.querySelector('button.main'))")
    browser.until("document.querySelector('main').innerText.includes('The endpoint has been added')")
    api.register(receiver.url("/another"), tenant="double")
    assert [each["url"] for each in api.get("/v1/endpoints", tenant="double")["data"]][1:] == [receiver.url("/double")]
    click(browser, "Endpoints", "All 2 endpoints are working")
    for expected in ("/another", "/double"):
        browser.do("document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: 'j', bubbles: true}))")
        assert browser.do("document.activeElement.innerText").endswith(expected)
    browser.press("Enter")
    browser.until("document.querySelector('main').innerText.includes('Show the secret')")


def test_a_link_that_cannot_be_opened_says_why(browser: FrameBrowser, whole: TestServer, api: Api) -> None:
    ident, token = new_link(api, "late", return_url="https://shop.example.com/settings")
    url = f"{whole.url}/portal/{ident}"
    browser.open(url)
    browser.until("document.querySelector('main .problem')")
    assert "Open this page with the link" in text(browser) and "Get a new link" in text(browser)
    api.with_key(None).call("POST", f"/portal/{ident}/@/session", {"token": token})
    browser.open("about:blank")
    browser.open(f"{url}#{token}")
    browser.until("document.querySelector('main .problem')")
    assert "already opened" in text(browser) and browser.do("location.hash") == ""


def test_a_session_that_ends_while_a_page_is_open_is_said(browser: FrameBrowser, whole: TestServer, api: Api) -> None:
    url = opened(browser, whole, "ending")
    api.delete(f"/v1/portal-links/{url.rpartition('/')[2]}")
    click(browser, "Log", "session has ended")
    browser.leave("location.reload()")
    browser.until("document.querySelector('main .problem')")


def test_it_works_in_a_frame_of_another_site(browser: FrameBrowser, whole: TestServer, receiver: Receiver) -> None:
    with host() as port:
        framed(browser, whole, port, receiver, "frames")


def test_it_works_in_a_frame_where_nothing_can_be_stored(whole: TestServer, receiver: Receiver) -> None:
    programs.needed("chromium")
    with host() as port, FrameBrowser(BLOCKED) as browser:
        framed(browser, whole, port, receiver, "blocked", is_blocked=True)
        assert browser.complaints == []


def framed(
    browser: FrameBrowser, whole: TestServer, port: int, receiver: Receiver, tenant: str, *, is_blocked: bool = False
) -> None:
    """Go through the portal inside a frame on localhost, while the server is 127.0.0.1."""
    origin = f"http://localhost:{port}"
    ident, token = new_link(whole.api, tenant, frame_origins=[origin, "https://other.example.com"])
    url = f"{whole.url}/portal/{ident}"
    browser.open(f"{origin}/")
    browser.do(f"show({json.dumps(f'{url}#{token}')})")
    with browser.inside(url):
        browser.until(SETTLED)
        stores = browser.do("(() => { try { return Boolean(sessionStorage) } catch { return false } })()")
        assert stores is not is_blocked
        browser.do("document.querySelector('.actions a').click()")
        browser.until("document.querySelector('[name=url]')")
        address = json.dumps(receiver.url(f"/{tenant}"))
        browser.do(
            f"document.querySelector('[name=url]').value = {address}; document.querySelector('button.main').click()"
        )
        browser.until("document.querySelector('main').innerText.includes('The endpoint has been added')")
        browser.do("history.back(); 0")
        browser.until("document.querySelector('[name=url]')")
    told = browser.do("got")
    heights = [data["height"] for origin, data in told if data.get("type") == "height"]
    assert heights and heights[-1] > 200 and {origin for origin, _ in told} == {whole.url}
    whole.api.delete(f"/v1/portal-links/{ident}")
    with browser.inside(url):
        browser.do("document.querySelector('.top nav a').click()")
        browser.until("document.querySelector('main').innerText.includes('session has ended')")
    assert {"source": "tidings-portal", "type": "expired"} in [data for _, data in browser.do("got")]


def test_a_frame_on_a_site_that_was_not_named_is_refused(
    one_browser: FrameBrowser, whole: TestServer, api: Api
) -> None:
    with host() as port:
        for named in ([], ["https://app.example.com"], [f"http://localhost:{port + 1}"]):
            ident, token = new_link(api, "refused", frame_origins=named)
            one_browser.open(f"http://localhost:{port}/")
            one_browser.complaints.clear()
            one_browser.do(f"show({json.dumps(f'{whole.url}/portal/{ident}#{token}')})")
            until(
                lambda: any("frame-ancestors" in each for each in one_browser.complaints) or one_browser.do("0"),
                "refused",
            )
            assert api.get(f"/v1/portal-links/{ident}")["state"] == "ready" and one_browser.do("got.length") == 0
    one_browser.complaints.clear()


def test_hostile_texts_run_nothing_wherever_they_are_shown(
    browser: FrameBrowser, whole: TestServer, api: Api, receiver: Receiver
) -> None:
    bad = "".join(HOSTILE)
    with Receiver() as hostile:
        hostile.answer(Reaction(status=200, body=bad.encode()))
        ident, _ = api.register(hostile.url("/x"), tenant="hostile", description=bad[:900])
        api.post("/v1/event-types", {"name": "hostile.type", "description": bad[:900], "example": {"a": bad}})
        for each in HOSTILE:
            api.publish("hostile.type", {"text": each, each: 1}, tenant="hostile", subject="s")
        until(lambda: len(hostile.requests()) >= len(HOSTILE), "all arrived")
    deliveries = [each["id"] for each in api.get("/v1/deliveries", endpoint=ident)["data"]]
    theme = {
        "product": "<b>x</b><script>window.ran=1</script>",
        "empty": {"deliveries": bad.replace("\u202e", "")[:400]},
    }
    url = opened(browser, whole, "hostile", theme=theme, return_url="https://shop.example.com/%22%3E")
    pages = ["", f"/endpoints/{ident}", f"/endpoints/{ident}/edit", "/types", "/types/hostile.type", "/log", "/verify"]
    pages += [f"/log/{each}" for each in deliveries[:12]]
    pages += ["/log?type=%3Cscript%3Ewindow.ran=1%3C/script%3E", "/%3Cscript%3Ewindow.ran=1%3C/script%3E"]
    pages += ["/add?type=%22%3E%3Cscript%3Ewindow.ran=1%3C/script%3E"]
    for path in pages:
        browser.open(url + path)
        browser.until(SETTLED)
        for _ in range(2):
            browser.do("document.querySelectorAll('details').forEach(each => { each.open = true })")
        assert not browser.do("'ran' in window"), path
        inside = "document.querySelector('main')"
        assert browser.do(f"{inside}.querySelectorAll('script, iframe, img, svg, base, style, math').length") == 0, path
        assert browser.do("document.documentElement.scrollWidth <= innerWidth"), path
        if path.startswith("/log/"):
            assert "onerror=window.ran" in text(browser), "the response is shown"
    assert all(each.startswith((whole.url, "about:", "data:")) for each in browser.requests)


@pytest.mark.parametrize("width", [360, *thorough(1440)])
def test_the_pages_have_no_barriers(
    browser: FrameBrowser, whole: TestServer, api: Api, receiver: Receiver, width: int
) -> None:
    tenant = f"axe-{width}"
    ident, _ = api.register(receiver.url("/axe"), tenant=tenant, events=["*"])
    receiver.answer(500, 204, path="/axe")
    for _ in range(2):
        api.publish("axe.seen", {"a": 1}, tenant=tenant)
    found = until(
        lambda: [each for each in api.get("/v1/deliveries", endpoint=ident)["data"] if each["last"]], "attempts"
    )
    browser.resize(width, 900)
    url = opened(browser, whole, tenant, theme={"accent": "#ffcc00", "product": "Shop"})
    paths = ("", "/add", f"/endpoints/{ident}", "/log", f"/log/{found[0]['id']}", "/types", "/verify", "/nowhere")
    for path in paths if are_all() else paths[::2]:
        browser.open(url + path)
        browser.until(SETTLED)
        assert browser.do("document.documentElement.scrollWidth <= innerWidth"), path
        browser.do(axe())
        for is_dark in (False, True):
            browser.darken(is_dark)
            assert browser.do(asked(COLOURS if is_dark else ALL)) == [], (path, is_dark)
        browser.darken(False)
    headings = [each["name"] for each in browser.tree() if each["role"] == "heading"]
    assert headings and not re.search(r"undefined|None", text(browser))
