"""The full reference: Scalar, on its own page, with the document of the key, and without any network but loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chromium import Browser
from tests.docs.page import Page
from tidings.testing import Api, TestServer

pytestmark = pytest.mark.slow


@pytest.fixture
def reference(page: Page) -> Iterator[Page]:
    """The page, from which a click leads to the reference."""
    yield page
    assert page.strangers() == []


def go(page: Page) -> None:
    page.browser.click("document.querySelector('a.reference')")
    page.browser.until("document.querySelector('#reference h1')?.innerText === 'Tidings'")


def text(page: Page) -> str:
    return str(page.do("document.getElementById('reference').innerText"))


def test_it_draws_the_document_of_the_key(reference: Page, api: Api) -> None:
    key = str(api.post("/v1/keys", {"scopes": ["events:write"]})["key"])
    reference.enter(key)
    go(reference)
    reference.browser.until("document.getElementById('reference').innerText.includes('Publish up to 1,000 events')")
    shown = text(reference)
    assert "Publish an event" in shown and "Register a URL" not in shown
    assert "Fetch a script or style of these pages" not in shown
    # The key came along, and went neither into an address nor into what outlives the tab.
    assert not [url for url in reference.browser.requests if key in url]
    assert key not in reference.do("location.href + document.cookie + JSON.stringify(localStorage)")


@pytest.mark.thorough
def test_a_request_from_it_carries_the_key_to_this_server(reference: Page, api: Api) -> None:
    reference.enter(str(api.key))
    go(reference)
    before = len(api.pages("/v1/events"))
    reference.do("location.hash = 'tag/events/POST/v1/events'")
    button = "[...document.querySelectorAll('button')].find(each => each.innerText.includes('{}') && each.offsetParent)"
    reference.browser.until(button.format("Test Request"))
    reference.do(f"{button.format('Test Request')}.click()")
    reference.browser.until(button.format("Send"))
    reference.do(f"{button.format('Send')}.click()")
    reference.browser.until("document.body.innerText.includes('202 Accepted')")
    assert len(api.pages("/v1/events")) == before + 1


@pytest.mark.thorough
def test_without_a_key_it_says_where_to_enter_one(reference: Page) -> None:
    go(reference)
    assert "No key has been entered" in reference.do("document.querySelector('header').innerText")
    assert "Publish an event" not in text(reference)


@pytest.mark.thorough
def test_a_revoked_key_is_reported(reference: Page, api: Api) -> None:
    made = api.post("/v1/keys", {"scopes": ["events:read"]})
    reference.enter(made["key"])
    api.delete(f"/v1/keys/{made['id']}")
    reference.browser.click("document.querySelector('a.reference')")
    reference.browser.until(
        "document.getElementById('said')?.closest('header')?.innerText.includes('unknown or revoked')"
    )


@pytest.mark.thorough
def test_hostile_descriptions_are_inert_there_too(reference: Page, api: Api) -> None:
    evil = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>evil"
    api.post("/v1/event-types", {"name": "evil.here", "description": evil, "example": {"x": evil}})
    reference.enter(str(api.key))
    go(reference)
    reference.do("""document.querySelector('a[href="#tag/webhooks"]').click()""")
    reference.browser.until("document.getElementById('reference').innerText.includes('evil')")
    assert "owned" not in reference.do("document.title")
    assert reference.do("document.querySelectorAll('#reference img[onerror], #reference script').length") == 0


def test_the_policy_lets_nothing_out(server: TestServer, browser: Browser) -> None:
    browser.open(f"{server.url}/docs/reference")
    browser.complaints.clear()
    browser.do("fetch('https://example.com/').catch(() => { window.isRefused = true }); undefined")
    browser.until("window.isRefused")
    browser.do("document.body.insertAdjacentHTML('beforeend', '<img src=\"data:,\" onerror=\"window.owned = 1\">')")
    browser.until("performance.now() > 0")
    assert browser.do("window.owned") is None
    assert any("connect-src" in text for text in browser.complaints)
