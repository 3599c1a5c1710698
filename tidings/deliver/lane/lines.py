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
        """By subject, the deliveries that the later ones wait for."""
        self.held: dict[str, deque[Queued]] = {}
        self.held_count = 0
        self.beyond: dict[str, int] = {}
        """Lines that continue in the store behind what is held here: the number of the last one."""
        self.unread: set[str] = set()
        """Lines with none left in memory, which have to be read."""
        self.stuck: list[tuple[Micros, int, str]] = []
        """A heap of deliveries that failed while others wait for them: when each first failed, the delivery, its
        subject."""
        self.unswept: int | None = None
        """After a start, the highest number found held: once all before it are in their lines, free lines may be
        released."""
        self.family: Family | None = None
        """The lanes of other links that keep their order together with this one."""
        self.yielding: dict[str, None] = {}
        """Lines that wait for a delivery of another lane, by subject."""
        self.nudged: dict[str, None] = {}
        """Those of the yielding lines that may no longer have to wait."""
        self.ahead_at: Micros = 0
        """When to check again whether they have to wait."""
        self.outdated: dict[int, str] = {}
        """Deliveries that wait for a retry although a newer one of their subject waits too."""
        self.replaced: dict[int, str] = {}
        """Deliveries whose replacement is not stored yet: their lines wait for that."""
