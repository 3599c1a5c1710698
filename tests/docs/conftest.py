"""One server for a whole file of tests, and one browser. Browser tests are skipped only if there is no Chromium."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chromium import Browser
from tests.docs.echo import Echo
from tests.docs.page import Page
from tidings.testing import Api, TestServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    with TestServer(tmp_path_factory.mktemp("server") / "tidings") as server:
        yield server


@pytest.fixture
def api(server: TestServer) -> Api:
    """The API, called as the operator."""
    return server.api


@pytest.fixture
def browser(whole_browser: Browser) -> Browser:
    """The browser; it has heard of nothing yet."""
    whole_browser.requests.clear()
    whole_browser.complaints.clear()
    return whole_browser


@pytest.fixture
def page(server: TestServer, browser: Browser) -> Iterator[Page]:
    """The page of the server, opened again in a tab that knows no key."""
    yield from opened(Page(browser, server.url))


@pytest.fixture
def echo() -> Iterator[Echo]:
    """A server that serves the page with a document of the test's own, and answers with what it was asked."""
    with Echo() as echo:
        yield echo


@pytest.fixture
def echo_page(echo: Echo, browser: Browser) -> Iterator[Page]:
    """The page of the echo server."""
    yield from opened(Page(browser, echo.url))


def opened(page: Page) -> Iterator[Page]:
    """The page, opened; afterwards nothing of it was complained about, and it asked nobody but its own server."""
    page.start()
    yield page
    page.browser.resize()
    page.browser.darken(False)
    assert page.browser.complaints == []
    assert page.strangers() == []
