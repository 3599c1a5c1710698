"""Tickets for streams: a browser's EventSource, which cannot send headers, uses them instead of a key.

A ticket is made with a key, and says which key and what the stream shows. It is sealed and not stored anywhere. It is
part of a URL, and URLs end up in proxies' logs, so it can open a stream only for a minute.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from tidings.model import moment
from tidings.model.access import Key
from tidings.model.errors import Invalid, Unauthorized
from tidings.model.moment import SECOND, Clock, Micros
from tidings.store.base import StoreError
from tidings.store.catalog import Catalog
from tidings.store.seal import NONCE_BYTES, Sealer

TICKET_SECONDS = 60
TICKET_CHARS_MAX = 8_000
TICKET_PATTERN = "^[A-Za-z0-9_-]+$"
PARAMETER = "ticket"
WITH_TICKET = (PARAMETER, "after")
"""The parameters that are allowed along with a ticket; all others were fixed when it was made."""
TOGETHER = "not_together"
_OWNER = "a ticket"
_HASH_CHARS = 16
_REFUSED = "This ticket is invalid, or older than a minute. Request a new one."


class _Content(msgspec.Struct, frozen=True, array_like=True):
    key: str
    hash: str
    """The beginning of the key's hash: if the key with this id is replaced, the old key's tickets stop working."""
    ends: Micros
    """When the ticket expires, on the clock of `moment.passing`; if several servers work, by the time of day."""
    query: dict[str, Any]


class Ticket(msgspec.Struct, frozen=True):
    """An opened ticket: whose it is, and the parameters it was made with."""

    key: Key
    query: dict[str, Any]

    def merged(self, given: dict[str, Any]) -> dict[str, Any]:
        """The parameters of the stream. Raises Invalid if others are given along with the ticket."""
        for name in given:
            if name not in WITH_TICKET:
                raise _not_together(
                    name, f"`{name}` cannot be combined with a ticket: set it when you create the ticket."
                )
        return self.query | {name: value for name, value in given.items() if name != PARAMETER}


class Tickets:
    """Makes tickets and opens them."""

    def __init__(self, sealer: Sealer, catalog: Catalog, clock: Clock, *, joined: bool = False) -> None:
        """`joined`: other servers, with other clocks, open them as well."""
        self._skew: Micros = moment.SKEW if joined else 0
        self._time: Callable[[], Micros] = clock.now if joined else partial(moment.passing, clock)
        self._root, self._sealer = sealer, Sealer(sealer.derived("tickets"))
        self._catalog, self._clock = catalog, clock

    def sealer(self, purpose: str) -> Sealer:
        """A sealer with its own key, for other things that a browser keeps for a while."""
        return Sealer(self._root.derived(purpose))

    def make(self, key: Key, query: dict[str, Any]) -> tuple[str, Micros]:
        """A ticket for a stream with these parameters, and when it ends."""
        expires = self._clock.now() + TICKET_SECONDS * SECOND
        if key.expires is not None:
            expires = min(expires, key.expires)
        ends = self._time() + TICKET_SECONDS * SECOND
        content = msgspec.json.encode(_Content(key.id, key.hash[:_HASH_CHARS], ends, query))
        return base64.urlsafe_b64encode(self._sealer.seal(content, _OWNER)).decode().rstrip("="), expires

    def open(self, text: str) -> Ticket:
        """Open a ticket. Raises Unauthorized if it is not ours or has expired, or if its key was revoked or has
        expired.

        The ticket's minute is measured on a monotonic clock; with several servers, by the time of day, like the
        expiry of its key.
        """
        content = self._content(text)
        left = 0 if content is None else content.ends - self._time()
        if content is None or not -self._skew < left <= TICKET_SECONDS * SECOND + self._skew:
            raise Unauthorized(_REFUSED, code="ticket_not_valid")
        key = self._catalog.now.keys.get(content.key)
        if key is None or key.revoked is not None or key.hash[:_HASH_CHARS] != content.hash:
            raise Unauthorized("The key that created this ticket was revoked.", code="ticket_not_valid")
        if key.expires is not None and key.expires <= self._clock.now():
            raise Unauthorized("The key that created this ticket has expired.", code="ticket_not_valid")
        return Ticket(key, content.query)

    def _content(self, text: str) -> _Content | None:
        if len(text) > TICKET_CHARS_MAX:
            return None
        try:
            sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            if len(sealed) <= 1 + NONCE_BYTES:
                return None
            return msgspec.json.decode(self._sealer.open(sealed, _OWNER), type=_Content)
        except (binascii.Error, ValueError, StoreError, msgspec.MsgspecError):
            return None


def merged(ticket: Ticket | None, given: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a stream that was requested with a ticket, or with a key. Raises Invalid."""
    if ticket is not None:
        return ticket.merged(given)
    if PARAMETER in given:
        raise _not_together(PARAMETER, "Send a ticket or a key, not both.")
    return given


def _not_together(name: str, detail: str) -> Invalid:
    return Invalid.of_parameter(name, TOGETHER, detail)


class StreamTicket(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket for one stream. `url` opens it until `expires`."""

    ticket: str
    url: str
    expires: str


def view(ticket: str, expires: Micros, base: str, path: str) -> StreamTicket:
    """A ticket as returned. `base`: the server's public URL, or empty."""
    return StreamTicket(ticket=ticket, url=f"{base}{path}?{PARAMETER}={ticket}", expires=moment.to_text(expires))
