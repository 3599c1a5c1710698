"""How far apart the writer's groups are: what comes together is written together."""

from __future__ import annotations

import time

LINGER_SECONDS, SHARED_SECONDS = 0.002, 0.001
COMPANIONS = 1.5
"""If the groups have more jobs than this on average, commits are LINGER_SECONDS apart, so that groups are fewer and
larger. Joined nodes commit events one after the other, and what would be a crowd at a single node is divided among
them; so the commits of each node are SHARED_SECONDS apart, times the number of nodes."""
NODES_MAX = 4
"""The maximum number of nodes that counts: if there are more, no node waits longer."""
QUEUE_TIMES, LONGEST_SECONDS = 2, 0.008
"""If there are several nodes, most of a commit's time is spent waiting for the commits of the others, and no jobs
gather during it. So the next group gathers jobs for QUEUE_TIMES the time of a commit, up to LONGEST_SECONDS, and then
finds a shorter queue."""


class Spacing:
    """How far apart commits are. Belongs to the writer's thread."""

    def __init__(self) -> None:
        self._nodes = 1
        self.began_at = self._committed_at = self._crowd = self._took = 0.0
        """`began_at`: when the present group began, on the monotonic clock; the writer's thread sets it."""

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

    @property
    def is_crowd(self) -> bool:
        """Whether jobs have enough others in their group."""
        return self._crowd > 1 + COMPANIONS / self._nodes

    def linger(self) -> bool:
        """In a crowd, wait until the last commit is a while ago; returns whether there was anything to wait for."""
        if not self.is_crowd:
            return False
        left = self._committed_at + self.apart - time.monotonic()
        if left > 0:
            time.sleep(left)
        return left > 0
