"""Fixtures of what several nodes do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.nodes.forwarding import Nodes, two_nodes
from tests.postgres_server import PostgresServer


@pytest.fixture(scope="module")
def nodes(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """A node that sends, one that takes in, and what the second knows of the first."""
    with postgres_server.database(migrated=True) as url, two_nodes(url, tmp_path_factory.mktemp("nodes")) as found:
        yield found
