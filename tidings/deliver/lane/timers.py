"""When lanes are to be served again. For the deliver thread."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from tidings.deliver.lane.lane import Lane
from tidings.model.moment import Micros


class Timers:
    """The moments at which lanes have something to do; only the earliest of each lane counts."""

    def __init__(self) -> None:
        self._heap: list[tuple[Micros, int]] = []
        self._known: set[tuple[Micros, int]] = set()

    @property
    def next_at(self) -> Micros | None:
        """The first moment, if there is any."""
        return self._heap[0][0] if self._heap else None

    def set(self, lane: Lane, at: Micros) -> None:
        """Serve the lane again at this moment, unless it is served earlier anyway."""
        if lane.timer is not None and lane.timer <= at:
            return
        lane.timer = at
        if (at, lane.num) not in self._known:
            self._known.add((at, lane.num))
            heapq.heappush(self._heap, (at, lane.num))

    def due(self, lanes: dict[int, Lane], now: Micros) -> Iterator[Lane]:
        """The lanes whose moment has come."""
        while self._heap and self._heap[0][0] <= now:
            at, link = timer = heapq.heappop(self._heap)
            self._known.discard(timer)
            lane = lanes.get(link)
            if lane is not None and lane.timer == at:
                lane.timer = None
                yield lane
