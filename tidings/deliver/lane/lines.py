"""The lines of an ordered link: `order: subject` has one for each subject, `order: all` one whose key is empty."""

from __future__ import annotations

from collections import deque

from tidings.deliver.lane.queued import Queued
from tidings.model.moment import Micros


class Lines:
    """Who waits behind whom. The rules are in `order.py`."""

    __slots__ = ("beyond", "blocking", "held", "held_count", "stuck", "unread", "unswept")

    def __init__(self) -> None:
        self.blocking: dict[str, set[int]] = {}
        """By subject, the deliveries that the later ones wait for."""
        self.held: dict[str, deque[Queued]] = {}
        self.held_count = 0
        self.beyond: dict[str, int] = {}
        """Lines that continue in the store behind what is held here: the number of the last one."""
        self.unread: set[str] = set()
        """Those with none left in memory, which have to be read."""
        self.stuck: list[tuple[Micros, int, str]] = []
        """A heap of those that failed while others wait for them: when they failed first, the delivery, its subject."""
        self.unswept: int | None = None
        """After a start, the highest number found held: once all before it are in their lines, free lines may be
        released."""
