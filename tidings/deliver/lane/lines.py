"""The lines of an ordered link: `order: subject` has one for each subject, `order: all` one whose key is empty."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from tidings.deliver.lane.queued import Queued
from tidings.model.moment import Micros

if TYPE_CHECKING:
    # A family has lanes, and lanes have lines.
    from tidings.deliver.lane.ordering.family import Family


class Lines:
    """Which deliveries wait behind which. The rules are in `order.py`."""

    __slots__ = (
        "ahead_at",
        "beyond",
        "blocking",
        "family",
        "held",
        "held_count",
        "nudged",
        "outdated",
        "replaced",
        "stuck",
        "unread",
        "unswept",
        "yielding",
    )

    def __init__(self) -> None:
        self.blocking: dict[str, set[int]] = {}
        """By subject, the numbers of the deliveries that later ones of that subject wait for."""
        self.held: dict[str, deque[Queued]] = {}
        self.held_count = 0
        self.beyond: dict[str, int] = {}
        """For each line that continues in the store behind what is held here: the number of its last delivery."""
        self.unread: set[str] = set()
        """Lines that have no deliveries left in memory, and have to be read from the store."""
        self.stuck: list[tuple[Micros, int, str]] = []
        """A heap of failed deliveries that others wait for: the time of the first failure, the delivery's number, its
        subject."""
        self.unswept: int | None = None
        """After a start, the highest number of a held delivery that was found. Once all deliveries up to it are in
        their lines, free lines may be released."""
        self.family: Family | None = None
        """The lanes of the links that share one order with this one."""
        self.yielding: dict[str, None] = {}
        """The subjects of the lines that wait for a delivery of another lane."""
        self.nudged: dict[str, None] = {}
        """The subjects of the yielding lines that may no longer have to wait."""
        self.ahead_at: Micros = 0
        """When to check again whether the yielding lines still have to wait."""
        self.outdated: dict[int, str] = {}
        """Deliveries that wait for a retry although a newer one of the same subject also waits."""
        self.replaced: dict[int, str] = {}
        """Deliveries that were replaced, while that is not stored yet. Their lines wait until it is."""
