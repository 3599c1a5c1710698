"""The docs page in a real browser: a key is entered, its operations are seen, copied as curl, tried, and answered."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tidings.testing import Api, TestServer
from tools.make_pictures import MISSING, Browser, program

pytestmark = [pytest.mark.slow, pytest.mark.skipif(program() is None, reason=MISSING)]


@pytest.fixture(scope="module")
def browser(server: TestServer) -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.fixture
def page(server: TestServer, browser: Browser) -> Iterator[Browser]:
    """The docs page, opened anew; it may ask nobody but this server, and nothing of it may be complained about."""
    browser.requests.clear()
    browser.open(f"{server.url}/docs")
    browser.until("document.getElementById('said').innerText.includes('need no key')")
    yield browser
    assert browser.complaints == []
    # All it needs comes from this server, so it works without any network.
    assert [url for url in browser.requests if not url.startswith((server.url + "/", "about:"))] == []


def enter(page: Browser, key: str) -> None:
    """Type a key and press Enter, as a person would."""
    page.do("document.getElementById('key').value = ''; document.getElementById('key').focus()")
    page.type(key)
    page.press_enter()


def card(page: Browser, method: str, path: str) -> str:
    """The card of an operation, open, as a script that answers it."""
    found = f"window.cards[{method + ' ' + path!r}]"
    page.do(
        "window.cards = Object.fromEntries([...document.querySelectorAll('details.operation')].map(each => "
        "[each.querySelector('.method').innerText + ' ' + each.querySelector('code').innerText, each])); undefined"
    )
    assert page.do(f"Boolean({found})"), f"there is no {method} {path}"
    page.do(f"{found}.querySelector('summary').scrollIntoView()")
    page.click(f"{found}.querySelector('summary')")
    page.until(f"{found}.open")
    return found


def fill(page: Browser, card: str, name: str, value: str) -> None:
    """Type a value into a field of a card."""
    label = f"[...{card}.querySelectorAll('label')].find(each => each.innerText.startsWith({name!r}))"
    page.do(f"{label}.querySelector('input, textarea').select()")
    page.type(value)


def operations(page: Browser) -> set[str]:
    """What the page offers."""
    script = "[...document.querySelectorAll('details.operation > summary')].map(each => each.innerText)"
    return {" ".join(text.split()[:2]) for text in page.do(script)}


def test_a_key_sees_its_own_operations(page: Browser, api: Api) -> None:
    free = operations(page)
    assert free == {"GET /docs", "GET /healthz", "GET /readyz", "GET /v1/openapi.json"}
    narrow = api.post("/v1/keys", {"scopes": ["events:write", "endpoints:read"], "tenant": "acme"})["key"]
    enter(page, narrow)
    page.until("document.getElementById('said').innerText.includes('for this key')")
    mine = {"POST /v1/events", "POST /v1/events:batch", "GET /v1/endpoints", "GET /v1/endpoints/{id}"}
    assert operations(page) == free | mine
    enter(page, str(api.key))
    page.until("document.querySelectorAll('details.operation').length > 35")
    assert {"DELETE /v1/keys/{id}", "POST /v1/replays"} <= operations(page)
    enter(page, "tdk_wrong")
    page.until("document.getElementById('said').innerText.includes('not known')")
    assert operations(page) == set(), "what the key before might do must not stay"


def test_an_operation_is_tried_and_its_answer_read(page: Browser, api: Api) -> None:
    enter(page, str(api.key))
    page.until("document.querySelectorAll('details.operation').length > 35")
    publish = card(page, "POST", "/v1/events")
    fill(page, publish, "Body", json.dumps({"type": "page.tried", "data": {"n": 1, "it's": "<b>"}}))
    page.click(f"{publish}.querySelector('button')")
    page.until(f"{publish}.querySelector('.answer').innerText.startsWith('202')")
    answer = page.do(f"{publish}.querySelector('.answer').innerText")
    event = json.loads(answer.partition("{")[1] + answer.partition("{")[2])["id"]
    assert api.get(f"/v1/events/{event}")["data"] == {"n": 1, "it's": "<b>"}
    read = card(page, "GET", "/v1/events/{event}")
    fill(page, read, "event ", event)
    fill(page, read, "fields ", "id,data.n")
    page.click(f"{read}.querySelector('button')")
    page.until(f"{read}.querySelector('.answer').innerText.startsWith('200')")
    shown = page.do(f"{read}.querySelector('.answer').innerText")
    assert json.loads(shown[shown.index("{") :]) == {"id": event, "data": {"n": 1}}
    # A refusal is an answer too, and is read like one.
    fill(page, read, "fields ", "colour")
    page.click(f"{read}.querySelector('button')")
    page.until(f"{read}.querySelector('.answer').innerText.startsWith('422')")
    assert "not 'colour'" in page.do(f"{read}.querySelector('.answer').innerText")


def test_what_is_shown_as_curl_does_the_same(page: Browser, api: Api) -> None:
    enter(page, str(api.key))
    page.until("document.querySelectorAll('details.operation').length > 35")
    publish = card(page, "POST", "/v1/events")
    body = {"type": "page.curl", "data": {"it's": '$HOME `x` "y" \\ \n'}}
    fill(page, publish, "Body", json.dumps(body))
    fill(page, publish, "Idempotency-Key ", "from the-page".replace(" ", "-"))
    command = page.do(f"{publish}.querySelector('.curl').innerText")
    words = shlex.split(command)
    assert words[:3] == ["curl", "-X", "POST"] and "/v1/events" in words[3]
    assert "Authorization: Bearer $TIDINGS_KEY" in words and str(api.key) not in command
    assert json.loads(words[words.index("-d") + 1]) == body
    if shutil.which("curl"):
        said = subprocess.run(
            ["bash", "-c", command.replace("curl ", "curl -sS ", 1)],
            env={**os.environ, "TIDINGS_KEY": str(api.key)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert api.get(f"/v1/events/{json.loads(said.stdout)['id']}")["data"] == body["data"]
    listed = card(page, "GET", "/v1/events")
    fill(page, listed, "type ", "page.curl")
    fill(page, listed, "limit ", "3")
    assert "/v1/events?type=page.curl&limit=3'" in page.do(f"{listed}.querySelector('.curl').innerText")


def test_the_fields_of_a_body_are_named(page: Browser, api: Api) -> None:
    enter(page, str(api.key))
    page.until("document.querySelectorAll('details.operation').length > 35")
    create = card(page, "POST", "/v1/endpoints")
    rows = page.do(f"[...{create}.querySelectorAll('.fields li')].map(each => each.textContent)")
    assert any(row.startswith("url (string, needed)") for row in rows), rows
    assert any(row.startswith("order (all | none | subject)") for row in rows), rows


def test_what_others_wrote_is_text_and_runs_nothing(page: Browser, api: Api) -> None:
    evil = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    api.post("/v1/event-types", {"name": "evil.type", "description": evil, "example": {"x": evil}})
    enter(page, str(api.key))
    page.until("document.querySelectorAll('details.webhook').length > 0")
    assert "<img src=x" in page.do("document.querySelector('details.webhook').innerText")
    assert page.do("document.querySelectorAll('main img, main script').length") == 0
    assert page.do("document.title").startswith("Tidings")


def test_the_policy_stops_what_is_not_the_pages_own(server: TestServer) -> None:
    with Browser() as browser:
        browser.open(f"{server.url}/docs")
        browser.do("document.body.insertAdjacentHTML('beforeend', '<img src=\"data:,\" onerror=\"window.owned = 1\">')")
        for set_it in ("text = 'window.owned = 1'", "src = '/docs'"):
            script = f"const each = document.createElement('script'); each.{set_it}; document.body.append(each)"
            browser.do(f"{{{script}}}")
        browser.until("performance.now() > 0")
        assert browser.do("window.owned") is None
        assert any("Content Security Policy" in text for text in browser.complaints)
        before = len(browser.complaints)
        browser.do("fetch('http://127.0.0.1:9/').catch(() => { window.isRefused = true }); undefined")
        browser.until("window.isRefused")
        assert "connect-src" in browser.complaints[before]
