"""Cursors: places in lists and in the feed, sealed so that nobody can read a row's number in them, or make one up.

Row numbers count everybody's rows. So a place in the feed is one block of AES: the number, a random part, and a mark
of the key's tenant. It looks random, even if the same place is given out twice. A place in a list is as long as what
the list is sorted by, and is sealed with AES-SIV. Both keys come from the secret key, so that cursors outlive
restarts.
"""

from __future__ import annotations

import base64
import binascii
import random
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from tidings.model.digits import is_digits
from tidings.store.journal import Gap
from tidings.store.seal import Sealer

Position = int | str | list[int | float | str | bool | None]

BLOCK_BYTES = 16
MARK_BYTES = 4
_LIST = [b"list"]
_decode = msgspec.json.Decoder(tuple[Position, str]).decode
_encode = msgspec.json.encode


class Cursors:
    """Seals places and opens them again."""

    def __init__(self, sealer: Sealer, plain_until: int, gaps: Sequence[Gap] = ()) -> None:
        """`plain_until`: places in the feed up to here were once given out as plain numbers, and are still accepted.

        `gaps`: places in the feed that a restore of the database took back.
        """
        self._gaps = gaps
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV

        self._sealer = sealer
        self._plain_until = plain_until
        self._siv = AESSIV(sealer.derived("cursors of lists"))
        # A single block, for which ECB is fine. No two are alike, because a part of each is random.
        self._block = Cipher(algorithms.AES(sealer.derived("cursors of the feed")), modes.ECB())  # noqa: S305
        self._close = self._block.encryptor().update
        self._mark = lru_cache(maxsize=1024)(self._mark_of)

    def seal(self, position: Position, query: str) -> str:
        """A place in a list that was asked with this query (its mark)."""
        return _text(self._siv.encrypt(_encode([position, query]), _LIST))

    def open(self, cursor: str) -> tuple[Position, str] | None:
        """The place and its query's mark; None if we did not make it."""
        from cryptography.exceptions import InvalidTag

        try:
            return _decode(self._siv.decrypt(_bytes(cursor), _LIST))
        except (InvalidTag, ValueError, msgspec.MsgspecError):
            return None

    def seal_feed(self, position: int, tenant: str | None) -> str:
        """A place in the feed, for keys of this tenant. Only the event loop's thread may call it."""
        chance = random.getrandbits(32).to_bytes(4, "big")
        return _text(self._close(position.to_bytes(8, "big") + chance + self._mark(tenant)))

    def is_taken_back(self, position: int) -> bool:
        """Whether a place in the feed is of events that a restore took back."""
        return any(gap.after < position < gap.until for gap in self._gaps)

    def open_feed(self, cursor: str, tenant: str | None) -> int | None:
        """The place; None if we did not make it, or made it for keys of another tenant."""
        try:
            block = _bytes(cursor)
        except ValueError:
            return None
        if len(block) != BLOCK_BYTES:
            return self._plain(block)
        plain = self._block.decryptor().update(block)
        return int.from_bytes(plain[:8], "big") if plain[-MARK_BYTES:] == self._mark(tenant) else None

    def _plain(self, text: bytes) -> int | None:
        """A place as it was given out before places were sealed."""
        version, _, number = text.decode("ascii", "replace").partition(".")
        if version != "1" or not is_digits(number) or len(number) > 18 or int(number) > self._plain_until:
            return None
        return int(number)

    def _mark_of(self, tenant: str | None) -> bytes:
        return self._sealer.derived(f"cursors of the feed for {tenant!r}")[:MARK_BYTES]


def _text(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def _bytes(cursor: str) -> bytes:
    """Raises ValueError."""
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
    except binascii.Error as wrong:
        raise ValueError(str(wrong)) from None
