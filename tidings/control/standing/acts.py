"""Acts on behalf of callers: who changed what."""

from __future__ import annotations

import msgspec

from tidings.model.access import Caller
from tidings.store.base import Db
from tidings.store.callers import acts as stored
from tidings.store.callers.acts import ActQuery, StoredAct
from tidings.store.readers import Readers

READ = "acts:read"


class ActPage(msgspec.Struct, frozen=True):
    """Some acts of a list. `total`: how many on all pages; None if too many to count, or not requested."""

    acts: list[StoredAct]
    more: bool
    total: int | None


async def acts_page(
    readers: Readers,
    caller: Caller,
    query: ActQuery,
    *,
    after: str | None,
    limit: int,
    oldest_first: bool,
    count: bool,
) -> ActPage:
    """Some acts. Raises Forbidden for keys of one tenant."""
    caller.need(READ, "Acts")

    def read(db: Db) -> ActPage:
        total = stored.count(db, query) if count else None
        found = stored.page(db, query, after, limit + 1, oldest_first=oldest_first)
        return ActPage(found[:limit], len(found) > limit, total)

    return await readers.call(read)
