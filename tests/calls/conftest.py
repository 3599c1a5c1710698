"""A server that the tests of a file share, and a peer that is called; on SQLite and (slow) on PostgreSQL.

See tests/servers.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.calls.world import Calls
from tests.servers import Running
from tidings.testing import Receiver


@pytest.fixture
def peer() -> Iterator[Receiver]:
    with Receiver() as peer:
        yield peer


@pytest.fixture
def calls(running: Running, peer: Receiver) -> Calls:
    return Calls(*running, peer)
