"""Reading the log of events on behalf of callers: whose events, which one, and from which position."""

from __future__ import annotations

from tidings.model.access import Caller
from tidings.model.errors import Gone, Invalid, NotFound
from tidings.model.event import Event
from tidings.store.base import Db
from tidings.store.log import feed

READ = "events:read"
NO_CURSOR = "wrong_cursor"
"""The error code for a cursor that is refused."""
AHEAD = (
    "This cursor is ahead of everything stored here: the database was restored from a backup. Continue from "
    "`start` or `end`."
)


def readable(caller: Caller, tenant: str | None) -> str | None:
    """Whose events the caller reads if it asks for those of `tenant`; None for everybody's.

    Raises Forbidden, NotFound.
    """
    caller.need(READ)
    return caller.narrowed(tenant)


def find(db: Db, caller: Caller, ident: str, tenant: str | None) -> Event:
    """One event. Raises NotFound; `tenant`: its tenant, if several used the same id."""
    event = feed.by_id(db, ident, readable(caller, tenant))
    if event is None:
        raise NotFound(f"There is no event {ident[:100]}.")
    return event


def check_position(db: Db, position: int) -> int:
    """Check a position to continue from. Raises Invalid, or Gone if events after it may already have been dropped."""
    if position > feed.head(db):
        raise Invalid.of_parameter("after", NO_CURSOR, AHEAD)
    if position < feed.pruned(db):
        raise Gone(
            "Events after this cursor are no longer kept. Fetch the current state again, then continue "
            "with `after=end`."
        )
    return position
