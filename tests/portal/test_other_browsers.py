"""The portal in a frame of another site in Firefox, which may store nothing there, and in WebKit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.portal.customer import new_link
from tests.portal.engines import Engine, firefox, webkit
from tests.portal.host import host
from tidings.testing import Receiver, TestServer

SETTLED = "document.querySelector('main h1') && !document.querySelector('main[aria-busy], main.is-waiting')"
STORES = "(() => { try { return Boolean(sessionStorage) } catch (wrong) { return false } })()"


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.parametrize("engine", [firefox, webkit], ids=["firefox", "webkit"])
def test_it_works_in_a_frame_of_another_site(engine: object, tmp_path: Path) -> None:
    begin = firefox if engine is firefox else webkit
    with begin(tmp_path) as browser, TestServer() as whole, Receiver() as receiver, host() as port:
        origin = f"http://localhost:{port}"
        ident, token = new_link(whole.api, "framed", frame_origins=[origin])
        show(browser, origin, f"{whole.url}/portal/{ident}#{token}")
        browser.enter()
        browser.until(SETTLED)
        assert browser.do(STORES) is (begin is webkit)
        browser.do("document.querySelector('.actions a').click()")
        browser.until("document.querySelector('[name=url]')")
        browser.do(f"document.querySelector('[name=url]').value = {json.dumps(receiver.url())}")
        browser.do("document.querySelector('button.main').click()")
        browser.until("document.querySelector('main').innerText.includes('The endpoint has been added')")
        for words, says in (
            ("Show the secret", "whsec_"),
            ("Rotate the secret …", "A new secret is made at once"),
            ("Make a new secret", "The previous secret still signs"),
        ):
            named = f"e => e.innerText.trim() === {json.dumps(words)}"
            browser.do(f"[...document.querySelectorAll('button, summary')].find({named}).click()")
            browser.until(f"document.querySelector('main').innerText.includes({json.dumps(says)})")
        browser.do("history.back()")
        browser.until("document.querySelector('[name=url]')")
        whole.api.delete(f"/v1/portal-links/{ident}")
        browser.do("document.querySelector('.top nav a').click()")
        browser.until("document.querySelector('main').innerText.includes('session has ended')")
        browser.leave()
        told = json.loads(browser.do("JSON.stringify(got)"))
        assert {sender for sender, _ in told} == {whole.url} and told[-1][1]["type"] in ("expired", "height")
        assert {data["type"] for _, data in told} == {"expired", "height"}
        refused, token = new_link(whole.api, "framed", frame_origins=["https://app.example.com"])
        show(browser, origin, f"{whole.url}/portal/{refused}#{token}")
        named, token = new_link(whole.api, "framed", frame_origins=[origin])
        show(browser, origin, f"{whole.url}/portal/{named}#{token}")
        browser.until("got.length")
        assert whole.api.get(f"/v1/portal-links/{refused}")["state"] == "ready"


def show(browser: Engine, origin: str, url: str) -> None:
    """Open the operator's page, and the portal in its frame."""
    browser.open(f"{origin}/")
    browser.do(f"show({json.dumps(url)})")
    browser.until("document.querySelector('iframe')")
