"""Values that the door keeps with tenants, event types and endpoints, because ours have no such members."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from weakref import WeakValueDictionary

import msgspec

from tidings.model.access import Tenant
from tidings.model.event import EventType
from tidings.model.link import Endpoint
from tidings.rules.reading.refused import Refused

METADATA_BYTES_MAX = 16_384
FORMER_ID = "former_id"


def notes_of(thing: Tenant | EventType | Endpoint) -> dict[str, Any]:
    """The notes of a thing."""
    return {} if thing.notes is None else msgspec.json.decode(thing.notes)


def names_of(thing: Tenant | Endpoint) -> list[str]:
    """The other names by which a thing is found: its uid, and its id at Svix."""
    if thing.notes is None or ('"uid"' not in thing.notes and f'"{FORMER_ID}"' not in thing.notes):
        return []
    notes = notes_of(thing)
    return [name for name in (notes.get("uid"), notes.get(FORMER_ID)) if name]


def noted(notes: dict[str, Any]) -> str:
    """The notes as stored. Raises Refused for more metadata than can be kept."""
    metadata = notes.get("metadata")
    if metadata and len(msgspec.json.encode(metadata)) > METADATA_BYTES_MAX:
        raise Refused("/metadata", "too_long", f"Metadata can be at most {METADATA_BYTES_MAX:,} bytes of JSON.")
    return msgspec.json.encode(notes).decode()


class UidTurns:
    """Allows only one change at a time for each uid, because the store does not prevent two things from getting the
    same one.
    """

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def of(self, whose: str, *names: object) -> AsyncIterator[None]:
        """Hold this during the change. `names`: the names that it gives; any that is not text is ignored."""
        async with AsyncExitStack() as held:
            for name in sorted({name for name in names if isinstance(name, str)}):
                await held.enter_async_context(self._lock(whose, name))
            yield

    def _lock(self, whose: str, name: str) -> asyncio.Lock:
        lock = self._locks.get((whose, name))
        if lock is None:
            lock = self._locks[whose, name] = asyncio.Lock()
        return lock
