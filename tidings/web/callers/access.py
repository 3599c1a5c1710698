"""Who calls, and whether they may: bearer keys, scopes, call limits, and a limit on guessing."""

from __future__ import annotations

import contextlib
import logging

from tidings.model.access import Key, key_hash
from tidings.model.errors import NO_KEY, LimitReached, Unauthorized
from tidings.model.moment import Micros
from tidings.rules.network.callers import CallersCount, address_of
from tidings.store.catalog import Catalog
from tidings.store.joined.fresh import Fresh
from tidings.web.callers.tickets import Ticket, Tickets

log = logging.getLogger("tidings.web")

KNOWN_MAX = 10_000
FAILURES_MAX = 20
FAILURE_WINDOW_SECONDS = 10
KEY_CHARS_MAX = 200


class Access:
    """Finds keys by their text. Results are cached until the catalogue changes."""

    def __init__(self, catalog: Catalog, tickets: Tickets, fresh: Fresh | None = None) -> None:
        self._catalog, self._fresh = catalog, fresh
        self._tickets = tickets
        self._version = -1
        self._known: dict[str, Key] = {}
        self._failures = CallersCount(FAILURE_WINDOW_SECONDS)

    def key(self, authorization: str | None, client: str, now: Micros) -> Key:
        """The key of an Authorization header (RFC 6750). `client` is the peer's `address:port`.

        Raises Unauthorized, or LimitReached if this address sent too many wrong keys.
        """
        snapshot = self._catalog.now
        if snapshot.version != self._version:
            self._known.clear()
            self._version = snapshot.version
        key = self._known.get(authorization) if authorization is not None else None
        if key is None:
            if authorization is None:
                raise Unauthorized(NO_KEY)
            key = snapshot.keys_by_hash.get(_digest(authorization))
            if key is None:
                raise self.failed(client, now, Unauthorized("This key is unknown or revoked."))
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[authorization] = key
        if key.expires is not None and key.expires <= now:
            raise Unauthorized("This key has expired. Ask for a new one.", code="key_expired")
        return key

    async def latest_key(self, authorization: str | None, client: str, now: Micros) -> Key:
        """The key, as `key` finds it, even if another node has only just made it."""
        await self.look_for(authorization)
        return self.key(authorization, client, now)

    async def look_for(self, authorization: str | None) -> None:
        """If other nodes make keys: look for a key that this node does not know, before it counts as wrong."""
        fresh, snapshot = self._fresh, self._catalog.now
        if fresh is None or authorization is None or authorization in self._known:
            return
        with contextlib.suppress(Unauthorized):
            if _digest(authorization) not in snapshot.keys_by_hash:
                await fresh.newer_than(snapshot.version)

    def ticket(self, text: str, client: str, now: Micros) -> Ticket:
        """The ticket of a stream's URL. Raises as `key` does."""
        try:
            return self._tickets.open(text)
        except Unauthorized as wrong:
            raise self.failed(client, now, wrong) from None

    def failed(self, client: str, now: Micros, wrong: Unauthorized) -> Unauthorized | LimitReached:
        """Count a wrong key, ticket or code from this address.

        Returns what to raise: `wrong`, or LimitReached after many.
        """
        count = self._failures.take(client, FAILURES_MAX, now)
        if count == FAILURES_MAX + 1:
            address = address_of(client)
            log.warning("%s sends wrong keys, and is refused for a few seconds", address, extra={"client": address})
        if count > FAILURES_MAX:
            wait = self._failures.rest_seconds(now)
            return LimitReached("Too many wrong keys came from this address.", retry_after_seconds=wait)
        return wrong


def _digest(authorization: str) -> str:
    scheme, _, text = authorization.partition(" ")
    if scheme.lower() != "bearer" or not text or len(text) > KEY_CHARS_MAX:
        raise Unauthorized("The Authorization header must read: Bearer tdk_...")
    return key_hash(text.strip())
