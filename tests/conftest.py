"""Fixtures for every test: a PostgreSQL server of our own, a clean environment, and how long examples may take."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis.strategies import text

from chromium import Browser
from tests import examples, forked
from tests.few import thinned
from tests.memory_files import use_memory
from tests.order import longest_first
from tests.postgres_server import PostgresServer
from tests.programs import last_line, needed
from tests.servers import Running, Servers
from tests.sqlite_schema import copied_schema
from tests.warm import warm_starts
from tests.warm_server import load_server
from tests.warm_shell import load_commands
from tidings.testing import FakeClock

# Collecting makes a million objects that all stay. To look through them for garbage, again and again, doubles its time.
gc.disable()
use_memory()
# Otherwise each worker compiles every test, and each process that a test starts most of Tidings, on each run.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

GARBAGE_THRESHOLD = 100_000
"""Tests leave little garbage: Python's own threshold, 700 objects, has it look more than run."""

ENGINES = ["sqlite", pytest.param("postgres", marks=[pytest.mark.slow, pytest.mark.postgres])]


def pytest_configure(config: pytest.Config) -> None:
    """Choose how many examples are tried, before the tests are loaded."""
    examples.choose(only_fast_tests=config.option.markexpr == "not slow")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Let copies of this process run the tests, where pytest-xdist would start others."""
    forked.take_over(config, _load)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for garbage again from here on, but not among what was collected."""
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(GARBAGE_THRESHOLD)
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Every test that asks for PostgreSQL or a browser is slow, so that `make check` needs neither."""
    for item in items:
        asks = getattr(item, "fixturenames", ())
        if "postgres_server" in asks:
            item.add_marker(pytest.mark.postgres)
        if "postgres_server" in asks or "browser" in asks:
            item.add_marker(pytest.mark.slow)
    items[:], left_out = thinned(items, everything=examples.are_all())
    config.hook.pytest_deselected(items=left_out)
    items[:] = longest_first(items, forked.count(config))


def _load() -> None:
    """Load what most processes of a run would load, and let Hypothesis make its tables of characters."""

    @settings(max_examples=1, database=None)
    @given(text())
    def try_one(_: str) -> None:
        pass

    try_one()
    load_server()
    load_commands()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say last of all what was not tested, as programs are missing."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:  # A process that only runs tests for another one.
        return
    told = last_line(report.longrepr[2] for report in reporter.stats.get("skipped", []))
    if told is not None:
        reporter.write_line(told, yellow=True, bold=True)


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Neither variables (TIDINGS_*, OTEL_*) nor a tidings.yaml that lies in the clone have a say in tests."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(("TIDINGS_", "OTEL_"))}
    folder, empty = Path.cwd(), tmp_path_factory.mktemp("empty")
    os.environ["TIDINGS_PROFILES"] = str(empty / "profiles.json")
    os.chdir(empty)
    yield
    os.chdir(folder)
    del os.environ["TIDINGS_PROFILES"]
    os.environ.update(kept)


@pytest.fixture(autouse=True, scope="session")
def _copied_schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with copied_schema(tmp_path_factory.mktemp("schema")):
        yield


@pytest.fixture(autouse=True, scope="session")
def _warm_starts() -> Iterator[None]:
    with warm_starts():
        yield


@pytest.fixture(scope="session")
def whole_browser() -> Iterator[Browser]:
    """One Chromium for each process of the run, started by the first test that asks. See `clean`."""
    needed("chromium")
    with Browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for each process of the run, started by the first test that asks."""
    # What a test wrote is not to be looked through under a later one that has the same database.
    with PostgresServer({"autovacuum": "off"}) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of a fresh, empty database of this test's own."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture
def migrated_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The same with the present schema, and nothing in it: it takes a tenth of the time."""
    with postgres_server.database(migrated=True) as url:
        yield url


@pytest.fixture(params=ENGINES)
def database(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """What `--database` is given, for each engine: one of this test's own with nothing in it but the schema.

    None is SQLite in the folder.
    """
    yield from _database(request)


@pytest.fixture(scope="module", params=ENGINES)
def module_database(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The same for a whole file of tests."""
    yield from _database(request)


@pytest.fixture(scope="module")
def new_clock() -> Callable[[], FakeClock]:
    """Makes the clock of a server: it stands still until it is moved."""
    return FakeClock


@pytest.fixture(scope="module", params=ENGINES)
def servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, new_clock: Callable[[], FakeClock]
) -> Iterator[Servers]:
    """Those that the tests of a file share, on each engine."""
    postgres = request.getfixturevalue("postgres_server") if request.param == "postgres" else None
    found = Servers(postgres, tmp_path_factory, new_clock)
    yield found
    found.close()


@pytest.fixture
def running(servers: Servers, request: pytest.FixtureRequest) -> Iterator[Running]:
    """The server for a test that may share one, and its clock."""
    with servers.one(own=request.node.get_closest_marker("own_server") is not None) as found:
        yield found


def _database(request: pytest.FixtureRequest) -> Iterator[str | None]:
    if request.param == "sqlite":
        yield None
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database(migrated=True) as url:
        yield url
