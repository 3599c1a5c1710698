"""Tokens of forms' pages: when a page was made, and which one it was. Sealed, kept nowhere, and no cookie.

They distinguish a double click, or a page that is sent again, from a second submission, and a program from a person.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from typing import NamedTuple

import msgspec

from tidings.model.moment import SECOND, SKEW, Clock, Micros
from tidings.rules.forms.posted import Posted
from tidings.store.base import StoreError
from tidings.store.seal import NONCE_BYTES, Sealer

FIELD = "_token"
"""The name of the form field that contains the token. The names of declared fields never begin with _."""
LIFE_SECONDS = 86_400
"""How long a token is valid: as long as receipts detect repeats, which is at least a day."""
TOKEN_CHARS_MAX = 300
_ID_BYTES = 12


class PageToken(NamedTuple):
    """An opened token. `age_seconds`: how long ago its page was made."""

    id: str
    age_seconds: float

    @property
    def is_valid(self) -> bool:
        """Whether its page may still be sent."""
        return self.age_seconds <= LIFE_SECONDS


class _Content(msgspec.Struct, frozen=True, array_like=True):
    id: str
    made: Micros


class PageTokens:
    """Makes tokens and opens them."""

    def __init__(self, sealer: Sealer, clock: Clock) -> None:
        self._sealer, self._clock = Sealer(sealer.derived("forms")), clock

    def make(self, form: str) -> str:
        """A token for a page of a form."""
        content = msgspec.json.encode(_Content(os.urandom(_ID_BYTES).hex(), self._clock.now()))
        return base64.urlsafe_b64encode(self._sealer.seal(content, form)).decode().rstrip("=")

    def open(self, form: str, text: str) -> PageToken | None:
        """The token of a form's page, however old; None if it is not one."""
        if not 0 < len(text) <= TOKEN_CHARS_MAX:
            return None
        try:
            sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            if len(sealed) <= 1 + NONCE_BYTES:
                return None
            content = msgspec.json.decode(self._sealer.open(sealed, form), type=_Content)
        except (binascii.Error, ValueError, StoreError, msgspec.MsgspecError):
            return None
        age = self._clock.now() - content.made
        # The page may come from another server, whose clock is ahead.
        return PageToken(content.id, max(0, age) / SECOND) if age >= -SKEW else None


def key_of(token: PageToken | None, own: str, posted: Posted) -> str | None:
    """A key that is the same only if the same page is sent again with the same values.

    `own`: the name that a page without our token gives its submission (the header Idempotency-Key); None if it has
    none.
    """
    if token is None and not own:
        return None
    digest = hashlib.sha256(token.id.encode() if token is not None else b"own " + own.encode("utf-8", "surrogatepass"))
    for name, texts in sorted(posted.texts.items()):
        if name != FIELD:
            for text in texts:
                _add(digest, name.encode("utf-8", "surrogatepass"), text.encode("utf-8", "surrogatepass"))
    for name, files in sorted(posted.files.items()):
        for file in files:
            _add(digest, name.encode("utf-8", "surrogatepass"), file.name.encode(), file.content)
    return digest.hexdigest()


def _add(digest: hashlib._Hash, *parts: bytes) -> None:
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)
