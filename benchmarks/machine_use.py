"""What processes have used of the processors, their ended children included."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import family

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Spent:
    """Processor seconds of the nodes, and of the database."""

    nodes: float
    database: float

    def since(self, before: Spent) -> Spent:
        """What was used after an earlier moment."""
        return Spent(self.nodes - before.nodes, self.database - before.database)


def spent(nodes: list[int], database: list[int]) -> Spent:
    """Of these processes and of everything they started."""
    return Spent(sum(map(_seconds, nodes)), sum(map(_seconds, database)))


def _seconds(root: int) -> float:
    total = 0
    for pid in family(root):
        try:
            values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, values[11:15]))
    return total / TICKS_PER_SECOND
