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
QUEUE_TIMES, LONGEST_SECONDS = 2, 0.008
"""Most of a commit of one of several nodes is waiting for those of the others, in which nothing gathers: so the next
group gathers QUEUE_TIMES as long as commits take, up to LONGEST_SECONDS, and finds the queue shorter."""


class Spacing:
    """How far apart commits are. Belongs to the writer's thread."""

    def __init__(self) -> None:
        self._nodes = 1
        self.began_at = self._committed_at = self._crowd = self._took = 0.0
        """When the present group has begun, by the monotonic clock; its thread says it."""

    def share(self, nodes: int) -> None:
        """How many nodes write to this database; from any thread."""
        self._nodes = max(1, min(nodes, NODES_MAX))

    def committed(self, jobs: int) -> None:
        """A group has ended; `jobs`: how many it had."""
        self._committed_at = time.monotonic()
        self._took += (self._committed_at - self.began_at - self._took) / 16
        self._crowd += (jobs - self._crowd) / 16

    @property
    def apart(self) -> float:
        """In a crowd, how many seconds after a commit the next group begins."""
        if self._nodes == 1:
            return LINGER_SECONDS
        return max(LINGER_SECONDS, self._nodes * SHARED_SECONDS, min(QUEUE_TIMES * self._took, LONGEST_SECONDS))

    def linger(self) -> bool:
        """In a crowd, wait until the last commit is a while ago; returns whether there was anything to wait for."""
        if self._crowd <= 1 + COMPANIONS / self._nodes:
            return False
        left = self._committed_at + self.apart - time.monotonic()
        if left > 0:
            time.sleep(left)
        return left > 0
