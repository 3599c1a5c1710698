"""Scenario 3 between real systems: Kinto on both sides, and SOAP services of the npm package `soap` on both sides."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.contacts import copy
from tests.peers.kinto import Kinto
from tests.peers.mischief import Peer
from tests.peers.soap import Soap
from tests.programs import all_needed

pytestmark = pytest.mark.slow

KILLS = 5
PROGRAMS = {"Kinto": [], "Soap": ["npm", "node"]}


@pytest.mark.thorough
@pytest.mark.parametrize("made", [Kinto, Soap])
def test_the_sink_equals_the_source_whatever_happens(
    made: Callable[[Path], Peer], tmp_path: Path, database: str | None
) -> None:
    all_needed(PROGRAMS[made.__name__])
    peer = made(tmp_path)
    try:
        copied = copy(peer, tmp_path / "server", KILLS, database=database, chance=random.Random(3))
    finally:
        peer.stop()
    print(copied)
    assert copied.missing == 0, copied
    assert copied.calls_again == 0, copied
    assert copied.differences > 60, "there was something to copy"
