"""How far apart the writer's groups are: what comes together is written together."""

from __future__ import annotations

import time

LINGER_SECONDS, SHARED_SECONDS = 0.002, 0.001
COMPANIONS = 1.5
"""If jobs have more others in their group than this on average, commits are LINGER_SECONDS apart: fewer and larger
groups. Joined nodes commit events one after the other, so what would be a crowd at one of them is divided among them,
and commits of each are SHARED_SECONDS apart for each of them."""
NODES_MAX = 4
"""With more, none waits for longer."""


class Spacing:
    """How far apart commits are. Belongs to the writer's thread."""

    def __init__(self) -> None:
        self._nodes = 1
        self._committed_at = self._crowd = 0.0

    def share(self, nodes: int) -> None:
        """How many nodes write to this database; from any thread."""
        self._nodes = max(1, min(nodes, NODES_MAX))

    def committed(self, jobs: int) -> None:
        """A group has ended; `jobs`: how many it had."""
        self._committed_at = time.monotonic()
        self._crowd += (jobs - self._crowd) / 16

    def linger(self) -> bool:
        """In a crowd, wait until the last commit is a while ago; returns whether there was anything to wait for."""
        if self._crowd <= 1 + COMPANIONS / self._nodes:
            return False
        apart = max(LINGER_SECONDS, self._nodes * SHARED_SECONDS)
        left = self._committed_at + apart - time.monotonic()
        if left > 0:
            time.sleep(left)
        return left > 0
