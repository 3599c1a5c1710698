"""What a scenario is run with."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.nodes.phases import PHASES
from benchmarks.nodes.trial import Trial, trial
from benchmarks.processes import SinkProcess
from tests.postgres_pair import PostgresPair


@dataclass
class Setting:
    """The receiver, a folder, and how much of everything."""

    folder: Path
    sink: SinkProcess
    say: Callable[[str], None]
    nodes: int = 3
    times: int = 3
    seconds: float = 25.0
    """How long a node is frozen, or one turn of a comparison takes."""
    rates: list[float] = field(default_factory=lambda: [300.0])
    """Events a second of all nodes together, where costs are compared."""
    phases: list[str] = field(default_factory=lambda: list(PHASES))
    """In which nodes are frozen."""
    events: int = 1_000_000
    """How many are stored before a comparison with an empty database."""
    seed: int | None = None
    minutes: float = math.inf
    """After this time no further fault is caused, and what was done is judged."""
    share_sending: str = "auto"
    """When the sender leaves requests to other nodes."""
    made: int = 0

    def __post_init__(self) -> None:
        self._until = time.monotonic() + 60 * self.minutes

    def rounds(self) -> Iterator[int]:
        """Numbers of faults, as many as there should be, from 1 on."""
        for number in range(1, self.times + 1):
            if time.monotonic() > self._until:
                break
            yield number

    @contextmanager
    def trial(self, pair: PostgresPair, *, nodes: int = 0, **load: Any) -> Iterator[Trial]:
        """A cluster under load on a new database of the pair."""
        parts = {"nodes": nodes or self.nodes, "say": self.say, "pair": pair, "seed": self.seed, **load}
        parts["share_sending"] = self.share_sending
        with trial(self.new_folder(), self.sink, pair.database(), **parts) as made:
            yield made

    def new_folder(self) -> Path:
        """For one cluster."""
        self.made += 1
        folder = self.folder / f"cluster{self.made}"
        folder.mkdir(parents=True)
        return folder
