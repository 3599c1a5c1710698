"""Figure `kill-links`: contacts are copied between real systems, while the server is killed at random moments.

Kinto plays both sides, then SOAP services of the npm package `soap` do. It is taken only if it is named: it installs
both, and needs npm.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from benchmarks.context import Context
from benchmarks.table import Row
from tests.peers.contacts import copy
from tests.peers.kinto import Kinto
from tests.peers.mischief import Peer
from tests.peers.soap import Soap

KILLS, QUICK_KILLS = 200, 5
PEERS: dict[str, Callable[[Path], Peer]] = {"kill-links-rest": Kinto, "kill-links-soap": Soap}


def kill_links(context: Context) -> list[Row]:
    """How many contacts differ at the end, and how many calls it takes to read all of them again."""
    kills, rows = QUICK_KILLS if context.quick else KILLS, []
    for name, made in PEERS.items():
        folder = context.new_folder()
        folder.mkdir(parents=True)
        peer = made(folder)
        seed = random.randrange(1_000_000)
        try:
            copied = copy(peer, folder / "server", kills, chance=random.Random(seed), say=context.say)
        finally:
            peer.stop()
        details = {"kills": kills, "seed": seed, **copied._asdict()}
        rows.append(Row(name, copied.missing + copied.calls_again, note=f"{kills} kills, {copied}", details=details))
        context.throw_away(folder)
    return rows
