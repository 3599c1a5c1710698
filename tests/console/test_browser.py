"""The console in a real browser: a failing endpoint is found, understood and fixed; items, keys and themes."""

from __future__ import annotations

import contextlib
import json

import pytest

from chromium import KEYS, Browser, NotThere
from tests.console.house import furnish
from tidings.testing import Api, Receiver, TestServer, until

pytestmark = pytest.mark.slow

KEYS.setdefault("j", (74, "j"))
KEYS.setdefault("k", (75, "k"))
KEYS.setdefault("?", (191, "?"))


@pytest.fixture(scope="module", autouse=True)
def ids(server: TestServer, receiver: Receiver) -> dict[str, str]:
    return furnish(server.api, receiver)


def text(browser: Browser) -> str:
    """What the page says."""
    return str(browser.do("document.getElementById('main').innerText"))


def click(browser: Browser, said: str) -> None:
    """Click the link or button with this text, and wait until the page has changed."""
    all_ = "[...document.querySelectorAll('main a, main button')]"
    found = f"{all_}.find(each => each.innerText.includes({json.dumps(said)}))"
    browser.until(found)
    browser.do("window.isSame = true; document.getElementById('main').dataset.old = '1'")
    hit = f"(event.target.closest('a, button')?.innerText ?? '').includes({json.dumps(said)})"
    browser.do(f"window.isHit = false; addEventListener('click', (event) => {{ window.isHit ||= {hit} }}, true)")
    for _ in range(3):
        browser.click(found)
        # What happens meanwhile is shown at once, and may push it away from under the mouse.
        with contextlib.suppress(NotThere):
            if browser.do("window.isSame && !window.isHit"):
                continue
        break
    browser.until("!window.isSame || !document.getElementById('main')?.dataset.old")
    browser.until("document.readyState === 'complete'")


def test_the_failing_endpoint_is_found_understood_and_retried_until_it_is_clear(
    server: TestServer, api: Api, receiver: Receiver, ids: dict[str, str], browser: Browser
) -> None:
    browser.open(f"{server.url}/console")
    click(browser, "bad status 503")
    assert "The endpoint answered 503" in text(browser) or "bad status 503" in text(browser)
    browser.open(f"{server.url}/console/endpoints?state=failing")
    click(browser, "/bad")
    assert "failing since" in text(browser) and "503" in text(browser)
    click(browser, "read one")
    assert "Attempt 1: bad status 503" in text(browser)
    receiver.answer(204, path="/bad")
    click(browser, "Retry now")
    browser.until("document.getElementById('main').innerText.includes('Delivered on attempt')")
    browser.open(f"{server.url}/console/endpoints/{ids['bad']}")
    until(lambda: api.get("/v1/deliveries", endpoint=ids["bad"], state="waiting")["data"] == [], "sent")
    browser.until("document.querySelector('.sentence').innerText.startsWith('It is healthy')")


def test_all_that_fit_are_counted_and_retried(
    server: TestServer, api: Api, receiver: Receiver, browser: Browser
) -> None:
    receiver.answer(400, path="/picky")
    picky = api.post("/v1/endpoints", {"url": receiver.url("/picky"), "events": ["picky.*"], "give_up_on": [400]})
    for _ in range(3):
        api.post("/v1/events", {"type": "picky.one", "data": {}})
    until(lambda: len(api.get("/v1/deliveries", endpoint=picky["id"], state="dead")["data"]) == 3, "dead")
    receiver.answer(204, path="/picky")
    browser.open(f"{server.url}/console/deliveries?state=dead&endpoint={picky['id']}")
    click(browser, "Retry all that match")
    assert "3 deliveries would be retried." in text(browser)
    click(browser, "Retry 3")
    assert "/console/jobs/" in browser.do("location.pathname")
    until(lambda: api.get("/v1/deliveries", endpoint=picky["id"], state="dead")["data"] == [], "retried")


def test_an_item_is_edited_and_its_event_arrives(
    server: TestServer, receiver: Receiver, ids: dict[str, str], browser: Browser
) -> None:
    browser.open(f"{server.url}/console/items/orders/{ids['item']}")
    browser.do("document.querySelector('[name=\"f.guest\"]').closest('details').open = true")
    browser.do("document.querySelector('[name=\"f.guest\"]').value = 'Chloe'")
    click(browser, "Save")
    assert "Saved." in text(browser) and "Chloe" in text(browser)
    browser.until("document.getElementById('main').innerText.includes('orders.updated')")
    click(browser, "orders.updated")
    assert '"guest": "Chloe"' in text(browser)


def test_what_happens_is_seen_without_asking(
    server: TestServer, api: Api, receiver: Receiver, browser: Browser
) -> None:
    browser.open(f"{server.url}/console")
    browser.until("document.querySelector('.tiles').innerText.includes('Disabled\\n0')")
    receiver.answer(410, path="/gone")
    gone = api.post("/v1/endpoints", {"url": receiver.url("/gone"), "events": ["gone.*"]})
    api.post("/v1/events", {"type": "gone.one", "data": {}})
    browser.until("document.querySelector('.tiles').innerText.includes('Disabled\\n1')")
    browser.until("document.querySelector('.problems').innerText.includes('/gone')")
    api.delete(f"/v1/endpoints/{gone['id']}")


def test_keys_find_and_go_through_rows(server: TestServer, ids: dict[str, str], browser: Browser) -> None:
    browser.open(f"{server.url}/console/endpoints")
    browser.press("j")
    browser.press("j")
    rows = "[...document.querySelectorAll('main a.row')]"
    assert browser.do(f"{rows}.indexOf(document.activeElement)") == 1
    browser.press("k")
    assert browser.do(f"{rows}.indexOf(document.activeElement)") == 0
    browser.press("?")
    assert browser.do("document.getElementById('keys').open")
    browser.do("document.getElementById('keys').close()")
    browser.press("/")
    browser.type(ids["delivery"])
    browser.leave("0", "Enter")
    assert ids["delivery"] in text(browser)
    assert browser.do("location.pathname") == f"/console/deliveries/{ids['delivery']}"


def test_times_are_relative_with_the_exact_one_on_hover(server: TestServer, browser: Browser) -> None:
    browser.open(f"{server.url}/console/events")
    browser.until("/ago|now/.test(document.querySelector('main time').innerText)")
    assert browser.do("document.querySelector('main time').title").endswith("UTC")


def test_a_theme_is_chosen_and_kept(server: TestServer, browser: Browser) -> None:
    browser.open(f"{server.url}/console")
    light = browser.do("getComputedStyle(document.body).backgroundColor")
    browser.darken()
    dark = browser.do("getComputedStyle(document.body).backgroundColor")
    assert dark != light
    browser.leave("document.querySelector('.themes [value=light]').click()")
    assert browser.do("getComputedStyle(document.body).backgroundColor") == light
    browser.leave("document.querySelector('.themes [value=auto]').click()")
    assert browser.do("getComputedStyle(document.body).backgroundColor") == dark
    browser.darken(False)


def test_charts_are_drawn_under_the_policy(server: TestServer, browser: Browser) -> None:
    browser.open(f"{server.url}/console")
    browser.until("document.querySelectorAll('.chart canvas').length === 2")
    assert browser.do("document.querySelectorAll('.chart-table tbody tr').length") >= 0


def test_a_one_time_link_signs_in_and_leaves_the_address_bar(server: TestServer, api: Api, browser: Browser) -> None:
    browser.leave("document.querySelector('.who form:last-of-type button').click()")
    link = api.call("POST", "/console/link").json["url"]
    browser.open("about:blank")
    browser.do(f"location.href = {json.dumps(server.url + link)}")
    browser.until("location.pathname === '/console' && document.querySelector('.sentence')")
    assert "#" not in browser.do("location.href")
