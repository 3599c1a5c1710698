"""What a test waits for in a browser may begin on one page and become true on the next, or when it is drawn."""

from __future__ import annotations

import pytest

from chromium import Browser, NotThere
from tidings.testing import NotInTime, TestServer

pytestmark = pytest.mark.slow


def test_a_page_that_is_replaced_is_told_from_a_script_that_fails(server: TestServer, browser: Browser) -> None:
    browser.open(f"{server.url}/docs/page.css")
    with pytest.raises(NotThere):
        browser.do("new Promise(() => location.reload())")
    browser.until("document.readyState === 'complete'")
    with pytest.raises(RuntimeError, match="ReferenceError") as failed:
        browser.do("nobody")
    assert failed.type is RuntimeError


def test_an_element_that_is_drawn_later_is_waited_for(server: TestServer, browser: Browser) -> None:
    browser.open(f"{server.url}/docs/page.css")
    browser.do("setTimeout(() => { document.body.id = 'late' }, 50)")
    browser.until("document.getElementById('late').isConnected")
    with pytest.raises(NotInTime) as late:
        browser.until("document.getElementById('never').isConnected", seconds=0.05)
    assert isinstance(late.value.__cause__, NotThere)
    with pytest.raises(RuntimeError, match="ReferenceError"):
        browser.until("nobody")
