"""What the door keeps with tenants, event types and endpoints, because ours have no such members."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any
from weakref import WeakValueDictionary

import msgspec

from tidings.model.access import Tenant
from tidings.model.event import EventType
from tidings.model.link import Endpoint
from tidings.rules.reading.refused import Refused

METADATA_BYTES_MAX = 16_384


def notes_of(thing: Tenant | EventType | Endpoint) -> dict[str, Any]:
    """The notes of a thing."""
    return {} if thing.notes is None else msgspec.json.decode(thing.notes)


def noted(notes: dict[str, Any]) -> str:
    """The notes as they are kept. Raises Refused for more metadata than can be kept."""
    metadata = notes.get("metadata")
    if metadata and len(msgspec.json.encode(metadata)) > METADATA_BYTES_MAX:
        raise Refused("/metadata", "too_long", f"Metadata may have at most {METADATA_BYTES_MAX:,} bytes as JSON.")
    return msgspec.json.encode(notes).decode()


class UidTurns:
    """One change at a time of what gets the same `uid`: nothing in the store keeps two from getting it."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def of(self, whose: str, uid: object) -> AbstractAsyncContextManager[Any]:
        """To be held during the change. `uid`: anything but text if it gets none."""
        if not isinstance(uid, str):
            return nullcontext()
        lock = self._locks.get((whose, uid))
        if lock is None:
            lock = self._locks[whose, uid] = asyncio.Lock()
        return lock
