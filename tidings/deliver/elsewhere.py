"""What a node that takes in has instead of the deliver stage: another node delivers, so this one knows no lanes.

It knows about lanes only what the sender has stored. Operations on lanes themselves are marked `at_sender` in the
menu, so the sender answers them, and they never get here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from tidings.deliver.lane.view import LaneView, of_stored
from tidings.deliver.timings import Timings
from tidings.model.moment import Micros
from tidings.rules.share import ShareView
from tidings.store.base import Db


class DeliverElsewhere:
    """The deliver stage of a node that has none. It delivers nothing, so its figures stay at zero."""

    alive = False
    flights = 0

    def __init__(self) -> None:
        self.outcomes: dict[str, int] = {}
        self.timings = Timings()

    def shares(self) -> list[ShareView]:
        """This node divides no requests to endpoints among tenants."""
        return []

    def snapshot(self) -> dict[int, LaneView]:
        """There are no lanes here."""
        return {}

    def lane(self, link: int) -> LaneView | None:
        """None, as for a link through which nothing was sent yet."""
        return None


def stored_lanes(db: Db, links: Iterable[int], now: Micros) -> dict[int, LaneView]:
    """The lanes of these links as the sender last stored them, by number; a few milliseconds old while it sends."""
    rows = db.all("link_states_of", links=json.dumps(sorted(set(links))))
    return {row[0]: of_stored(row, now) for row in rows}
