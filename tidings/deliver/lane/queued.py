"""One delivery in memory."""

from __future__ import annotations

import msgspec

from tidings.model.delivery import Waiting
from tidings.model.moment import Micros


class Queued(msgspec.Struct, gc=False):
    """One delivery in memory. `stored`: it has a row in `waiting`."""

    number: int
    event: int
    created: Micros
    n: int = 0
    earlier: int = 0
    first: Micros = 0
    stored: bool = False
    subject: str | None = None
    known: bool = False
    """Its subject was looked up (only for ordered links)."""
    freed: bool = False
    """Released from hold and queued, though its row still says held; its line waits for it."""
    cancelled: bool = False

    @classmethod
    def of(cls, row: Waiting) -> Queued:
        """The item for a row in `waiting`."""
        return cls(row.delivery, row.event, row.created, row.n, row.earlier, row.first, True, row.subject, True)
