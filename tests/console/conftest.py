"""One server for a whole file of tests, and one browser. Browser tests are skipped only if there is no Chromium."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from chromium import Browser
from tests.console.visitor import Visitor
from tidings.testing import Api, Receiver, TestServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    with TestServer(tmp_path_factory.mktemp("server") / "tidings") as server:
        yield server


@pytest.fixture
def api(server: TestServer) -> Api:
    """The API, called as the operator."""
    return server.api


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def visitor(server: TestServer) -> Visitor:
    """Somebody in front of a browser without scripts, who is not signed in."""
    return Visitor(server.url)


@pytest.fixture
def operator(visitor: Visitor, api: Api) -> Visitor:
    """The same, signed in with the operator's key."""
    visitor.sign_in(api.key or "")
    return visitor


@pytest.fixture
def browser(whole_browser: Browser, server: TestServer) -> Iterator[Browser]:
    """The browser, signed in as the operator; afterwards nothing was complained about, and nobody else was asked."""
    whole_browser.resize()
    whole_browser.darken(False)
    whole_browser.open(f"{server.url}/console/sign-in")
    whole_browser.do(f"document.querySelector('[name=key]').value = {json.dumps(server.api.key)}")
    whole_browser.leave("document.querySelector('form').requestSubmit()")
    whole_browser.requests.clear()
    whole_browser.complaints.clear()
    yield whole_browser
    whole_browser.open("about:blank")
    assert whole_browser.complaints == []
    assert [each for each in whole_browser.requests if not each.startswith((server.url, "about:", "data:"))] == []
