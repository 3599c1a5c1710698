"""One server with a collector for a whole file of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tracing.collector import Collector, collecting
from tidings.testing import TestServer


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """A collector, which the environment names."""
    with collecting() as found, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
        patch.setenv("OTEL_SERVICE_NAME", "bakery")
        yield found


@pytest.fixture(scope="module")
def server(
    collector: Collector, module_database: str | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestServer]:
    """A whole server in this process, traced."""
    with TestServer(tmp_path_factory.mktemp("server"), database=module_database) as server:
        yield server
