"""One server and one browser for a whole file of tests. Browser tests are skipped only if there is no Chromium."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from make_pictures import Browser
from tests import programs
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    programs.needed("chromium")
    with Browser() as browser:
        yield browser
