"""The page on a real server, in a real browser: a key is entered, its questions are seen, tried, and answered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chromium import Browser
from tests.docs.page import Page
from tidings.testing import Api, TestServer, until

pytestmark = pytest.mark.slow

FREE = {"GET /healthz", "GET /readyz", "GET /v1/openapi.json"}
EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def key(api: Api, scopes: list[str], **more: Any) -> str:
    return str(api.post("/v1/keys", {"scopes": scopes, **more})["key"])


def test_a_key_sees_its_own_questions(page: Page, api: Api) -> None:
    assert page.said("need no key") == "3 different calls need no key. Enter yours to see what it may do."
    assert page.questions() == FREE
    page.enter(
        key(api, ["events:write", "endpoints:read"], tenant="acme", name="The shop", expires="2036-01-02T00:00:00Z")
    )
    mine = {"POST /v1/events", "POST /v1/events:batch", "GET /v1/endpoints", "GET /v1/endpoints/{id}"}
    mine.add("GET /v1/endpoints/{id}/secret")
    assert page.questions() - mine == FREE and page.questions() - FREE <= mine
    assert page.do("document.getElementById('who').innerText") == "The shop, of the tenant acme, valid until 2036-01-02"
    page.enter(str(api.key))
    assert {"DELETE /v1/keys/{id}", "POST /v1/replays"} <= page.questions()
    assert page.do("document.getElementById('limits').innerText") == "No call limit"
    page.enter("tdk_wrong", says="unknown")
    assert page.questions() == set(), "what the key before might do must not stay"
    assert page.do("document.getElementById('key').getAttribute('aria-invalid')") == "true"
    page.enter("ключ", says="This is not a key")


def test_the_key_stays_in_the_tab_and_nowhere_else(page: Page, api: Api) -> None:
    mine = key(api, ["events:read"])
    page.enter(mine)
    page.question("list_events").try_it()
    assert not [url for url in page.browser.requests if mine in url]
    assert page.do("location.href + document.cookie + JSON.stringify(localStorage)").find(mine) < 0
    page.open()
    assert page.said("This key may make")
    page.browser.click("document.getElementById('forget')")
    page.said("need no key")
    assert page.do("JSON.stringify(sessionStorage)") == "{}" and page.do("document.getElementById('key').value") == ""
    page.open()
    assert page.questions() == FREE


def test_a_question_is_tried_and_its_answer_read(page: Page, api: Api) -> None:
    page.enter(str(api.key))
    publish = page.question("publish_event")
    publish.write_body(json.dumps({"type": "page.tried", "data": {"n": 1, "it's": "<b>"}}))
    assert publish.try_it().startswith("202 Accepted in ")
    event = publish.answer()["id"]
    assert api.get(f"/v1/events/{event}")["data"] == {"n": 1, "it's": "<b>"}
    read = page.question("get_event")
    read.fill("event", event)
    read.fill("fields", "id,data.n")
    assert read.try_it().startswith("200 OK")
    assert read.answer() == {"id": event, "data": {"n": 1}}
    assert read.headers()["Request-Id"].startswith("req_") and read.headers()["ETag"].startswith('"')


def test_a_refusal_shows_where_the_errors_are(page: Page, api: Api) -> None:
    page.enter(str(api.key))
    listed = page.question("list_events")
    listed.fill("fields", "colour")
    assert listed.try_it().startswith("422")
    said = listed.text(".problem li")
    assert said.startswith("fields must be one of ") and "colour" in said, "its name stands there once"
    assert "colour" in listed.wrong("fields"), "the field itself says it too"
    listed.fill("fields", "id")
    assert listed.wrong("fields") == ""
    assert listed.try_it().startswith("200")
    create = page.question("create_endpoint")
    create.fill("url", "ftp://127.0.0.1/")
    assert create.try_it().startswith("422")
    assert create.text(".problem code") == "/url" and create.wrong("url")


@pytest.mark.thorough
def test_calls_left_are_counted_down_to_a_refusal(page: Page, api: Api) -> None:
    limits = [{"calls": 4, "seconds": 3600}, {"calls": 1000, "seconds": 86400}]
    page.enter(key(api, ["events:read"], limits=limits))
    assert page.limits() == ["999 of 1,000 calls left today", "3 of 4 this hour"]
    listed = page.question("list_events")
    listed.try_it()
    assert page.limits() == ["998 of 1,000 calls left today", "2 of 4 this hour"]
    # A refused call is a call, and what is left is shown there too.
    listed.fill("fields", "colour")
    assert listed.try_it().startswith("422")
    assert page.limits()[1] == "1 of 4 this hour"
    listed.try_it()
    assert page.limits()[1] == "0 of 4 this hour"
    assert listed.try_it().startswith("429")
    assert "4 calls every 3,600 seconds" in listed.text(".problem")
    assert listed.text(".wait").startswith("Try again in ")
    assert int(listed.headers()["Retry-After"]) > 0


@pytest.mark.thorough
def test_a_short_window_refills_on_its_own(page: Page, api: Api) -> None:
    page.enter(key(api, ["events:read"], limits=[{"calls": 5, "seconds": 2}]))
    page.browser.until("document.querySelector('.limit').innerText === '5 of 5 calls left in 2 seconds'")


def test_numbers_are_shown_as_they_were_written(page: Page, api: Api) -> None:
    page.enter(str(api.key))
    publish = page.question("publish_event")
    publish.write_body('{"type": "big.number", "data": {"n": 9007199254740993}}')
    # Over to the fields and back: what nobody touched stays.
    publish.page.browser.click(publish.inside(".body [role=tab]"))
    publish.fill("subject", "s")
    assert '"n": 9007199254740993' in publish.code("curl")
    publish.try_it()
    read = page.question("get_event")
    read.fill("event", publish.answer()["id"])
    read.try_it()
    assert '"n": 9007199254740993' in read.text(".answer pre")


@pytest.mark.thorough
def test_lists_continue_on_the_next_page(page: Page, api: Api) -> None:
    for number in range(3):
        api.publish("many.pages", {"n": number})
    page.enter(str(api.key))
    listed = page.question("list_events")
    listed.fill("type", "many.pages")
    listed.fill("limit", "2")
    listed.try_it()
    assert [each["data"]["n"] for each in listed.answer()["data"]] == [2, 1]
    assert listed.text(".next").startswith("Next page")
    page.browser.click(listed.inside(".next button"))
    page.browser.until(f"JSON.parse({listed.inside('.answer pre')}.textContent).data.length === 1")
    assert listed.answer()["data"][0]["data"] == {"n": 0}
    assert "Next page" not in listed.text(".next"), "there is none"


def test_a_stream_is_followed_until_it_is_stopped(page: Page, api: Api) -> None:
    page.enter(str(api.key))
    stream = page.question("stream_events")
    stream.fill("type", "stream.seen")
    page.browser.click(stream.inside(".try"))
    page.browser.until(f"{stream.inside('.answer pre')}")
    event = api.publish("stream.seen")
    until(lambda: event in stream.text(".answer pre"), "the event is in the stream")
    page.browser.click(stream.inside(".stop"))
    page.browser.until(f"!{stream.inside('.try')}.disabled")
    assert stream.text(".status").startswith("200")


@pytest.mark.thorough
def test_a_long_poll_is_stopped(page: Page, api: Api) -> None:
    page.enter(str(api.key))
    listed = page.question("list_events")
    listed.fill("after", "end")
    listed.fill("wait", "60")
    page.browser.click(listed.inside(".try"))
    page.browser.until(f"!{listed.inside('.stop')}.hidden")
    page.browser.click(listed.inside(".stop"))
    page.browser.until(f"!{listed.inside('.try')}.disabled")
    assert listed.text(".status").startswith("Stopped")


@pytest.mark.thorough
def test_the_filter_keeps_what_contains_every_word(page: Page, api: Api) -> None:
    page.enter(str(api.key))
    everything = page.questions()
    page.do("document.activeElement.blur()")
    page.browser.press("/")
    page.browser.type("secret post")
    assert page.questions() == {"POST /v1/endpoints/{id}/secret"}
    assert page.do("document.getElementById('found').innerText") == "1 found"
    page.do("document.getElementById('filter').select()")
    page.browser.type(" ")
    assert page.questions() == everything


@pytest.mark.thorough
def test_it_is_all_reached_by_the_keyboard(page: Page, api: Api) -> None:
    page.enter(str(api.key))
    page.do("document.querySelector('#healthz summary').focus()")
    page.browser.press("Enter")
    page.browser.until("document.querySelector('#healthz .try')")
    page.browser.press("Tab")
    page.browser.press("ArrowRight")
    assert page.do("document.activeElement.innerText") == "Python"
    assert "import os" in page.do("document.querySelector('#healthz .code').textContent")
    for _ in range(3):
        page.browser.press("Tab")
    assert page.do("document.activeElement.className") == "try"
    page.browser.press("Enter")
    page.browser.until("document.querySelector('#healthz .status')")
    # Every field of every question has a name that is read out.
    page.do("document.querySelectorAll('details.question').forEach(each => { each.open = true })")
    page.browser.until(
        "[...document.querySelectorAll('details.question')].every(each => each.querySelector('.inside'))"
    )
    fields = "[...document.querySelectorAll('input, select, textarea')]"
    assert page.do(f"{fields}.length") > 100
    assert page.do(f"{fields}.filter(each => !each.labels?.length).map(each => each.outerHTML)") == []
    ids = "[...document.querySelectorAll('[id]')].map(each => each.id)"
    assert page.do(f"{ids}.filter((each, index, all) => all.indexOf(each) !== index)") == []


@pytest.mark.thorough
def test_narrow_and_dark(page: Page, api: Api) -> None:
    name = "long_" + "x" * 30
    fields = {"y" * 35: {"type": "string", "filterable": True, "description": "W" * 150}}
    api.post("/v1/collections", {"name": name, "description": "W" * 300, "fields": fields})
    page.enter(str(api.key))
    page.browser.resize(380, 800)
    page.question(f"{name}.list").try_it()
    page.question("create_endpoint").try_it()
    assert page.do("[document.documentElement.scrollWidth, innerWidth]") == [380, 380]
    light = page.do("getComputedStyle(document.body).backgroundColor")
    page.browser.darken()
    assert page.do("getComputedStyle(document.body).backgroundColor") != light


def test_a_link_opens_its_question(page: Page) -> None:
    page.open("#healthz")
    page.browser.until("document.getElementById('healthz').open")


def test_what_may_arrive_is_shown_with_an_example(page: Page, api: Api) -> None:
    schema = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}, "n": {"type": "integer"}}}
    more = {"description": "A plant got water.", "schema": schema, "example": {"id": "p_1", "n": 2}}
    api.post("/v1/event-types", {"name": "plant.watered", **more})
    page.enter(str(api.key))
    hook = page.question("webhook.plant.watered")
    assert hook.text("summary").startswith("A plant got water.") and "plant.watered" in hook.text("summary")
    assert json.loads(hook.text("pre"))["data"] == {"id": "p_1", "n": 2}
    assert "webhook-signature" in hook.text(".left") and "id text, always" in hook.text(".left")


def test_text_written_by_others_is_inert(page: Page, api: Api) -> None:
    schema = {"type": "object", "properties": {EVIL: {"type": "string", "description": EVIL}}}
    api.post("/v1/event-types", {"name": "evil.type", "description": EVIL, "schema": schema, "example": {EVIL: EVIL}})
    page.enter(key(api, ["event-types:read", "events:read", "events:write"], name=EVIL))
    hook = page.question("webhook.evil.type")
    assert "<img src=x" in hook.text("summary") and "<img src=x" in hook.text("pre")
    publish = page.question("publish_event")
    publish.write_body(json.dumps({"type": "evil.type", "data": {EVIL: EVIL}}))
    publish.try_it()
    listed = page.question("list_events")
    listed.try_it()
    assert "<img src=x" in listed.text(".answer pre")
    assert page.do("document.querySelectorAll('body img, body script').length") == 0
    assert page.do("document.title").startswith("Tidings")


def test_the_policy_stops_what_is_not_the_pages_own(server: TestServer, browser: Browser) -> None:
    browser.open(f"{server.url}/docs")
    browser.complaints.clear()
    with pytest.raises(RuntimeError, match="TrustedHTML"):
        browser.do("document.body.insertAdjacentHTML('beforeend', '<b>markup</b>')")
    with pytest.raises(RuntimeError, match="TrustedScript"):
        browser.do("document.createElement('script').text = 'window.owned = 1'")
    browser.do("fetch('http://127.0.0.1:9/').catch(() => { window.isRefused = true }); undefined")
    browser.until("window.isRefused")
    assert browser.do("window.owned") is None
    assert any("connect-src" in text for text in browser.complaints)


@pytest.mark.thorough
def test_a_wrong_key_is_not_kept(page: Page, api: Api) -> None:
    page.enter("tdk_wrong", "This key is unknown")
    assert page.do("document.getElementById('key').value") == "tdk_wrong", "it stays in view to be mended"
    page.open()
    assert page.do("document.getElementById('key').value") == ""
    assert "need no key" in page.said("call")
    page.browser.complaints.clear()
