"""The log of deliveries: appended when an event is routed to a link, or replayed."""

from __future__ import annotations

from collections.abc import Sequence

from tidings.model.moment import Micros
from tidings.store import journal
from tidings.store.base import Db

_COLUMNS = ("number", "event", "link", "created")


class Appended:
    """How many deliveries this process has appended. If a commit did not change it, there are none to read."""

    total = 0


made = Appended()


def append(db: Db, pairs: Sequence[tuple[int, int]], now: Micros) -> int:
    """Append deliveries, at least one, for pairs of an event's and a link's number. Returns the first one's number."""
    first = journal.take(db, "delivery", len(pairs))
    made.total += len(pairs)
    db.append("delivery", _COLUMNS, [(first + i, event, link, now) for i, (event, link) in enumerate(pairs)])
    if (positions := db.positions) is not None:
        positions.deliver([(first + i, link, event, now) for i, (event, link) in enumerate(pairs)])
    return first
