"""Every page in light, and its colours in the dark, checked with axe-core: no finding of any kind.

Unless everything is tried, each sixth page is looked at, and each twelfth in the dark: all have the same parts.
"""

from __future__ import annotations

import pytest

from chromium import Browser
from tests.barriers import ALL, COLOURS, asked, axe
from tests.console.house import PATHS, furnish
from tests.examples import are_all
from tidings.testing import Receiver, TestServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ids(server: TestServer, receiver: Receiver) -> dict[str, str]:
    return furnish(server.api, receiver)


def test_no_page_has_a_finding(server: TestServer, ids: dict[str, str], browser: Browser) -> None:
    found: dict[str, list[str]] = {}
    for number, path in enumerate(PATHS if are_all() else PATHS[::6]):
        browser.open(f"{server.url}/console{path.format(**ids)}")
        browser.do("document.querySelectorAll('details').forEach(each => { each.open = true; })")
        browser.do(axe())
        for is_dark in (False, True) if are_all() or number % 2 == 0 else (False,):
            browser.darken(is_dark)
            found[f"{path} {'dark' if is_dark else 'light'}"] = browser.do(asked(COLOURS if is_dark else ALL))
    assert {path: wrong for path, wrong in found.items() if wrong} == {}


@pytest.mark.thorough
def test_a_phone_and_the_page_to_sign_in_have_none(server: TestServer, ids: dict[str, str], browser: Browser) -> None:
    browser.resize(360, 800)
    for path in ("", "/endpoints", "/deliveries/{delivery}"):
        browser.open(f"{server.url}/console{path.format(**ids)}")
        browser.do("document.getElementById('menu-open').click()")
        browser.do(axe())
        assert browser.do(asked(ALL)) == [], path
    browser.leave("document.querySelector('.who form:last-of-type button').click()")
    browser.do(axe())
    assert browser.do(asked(ALL)) == []
