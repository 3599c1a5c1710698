"""Tokens of the application portal, which a page sends instead of a key to manage one application's endpoints.

A token is sealed and not stored. It says whose key made it, for which tenant, and what it may do; it ends with that
key, with its application, or with all tokens of the application. Only this door accepts it.
"""

from __future__ import annotations

import base64
import binascii

import msgspec

from tidings.control.svix.notes import notes_of
from tidings.model.access import Key
from tidings.model.errors import Unauthorized
from tidings.model.moment import Clock, Micros
from tidings.model.portal.link import SCOPES, May
from tidings.store.base import StoreError
from tidings.store.catalog import Catalog
from tidings.store.seal import NONCE_BYTES, Sealer

PREFIX = "appsk_"
ENDED = "tokens_ended"
"""The name of the tenant's note with the time at which its tokens were revoked. Tokens made before then are refused."""
CHARS_MAX = 1_000
_OWNER = "an application portal token"
_HASH_CHARS = 16


class _Content(msgspec.Struct, frozen=True, array_like=True):
    key: str
    hash: str
    """The beginning of the key's hash. If the key with this id is replaced, tokens of the old key are refused."""
    tenant: str
    may: May
    made: Micros
    expires: Micros


class AppTokens:
    """Makes tokens and opens them."""

    def __init__(self, sealer: Sealer, catalog: Catalog, clock: Clock) -> None:
        """`sealer`: one with its own key."""
        self._sealer, self._catalog, self._clock = sealer, catalog, clock

    def make(self, maker: Key, tenant: str, may: May, expires: Micros) -> str:
        """A token for this tenant."""
        if maker.expires is not None:
            expires = min(expires, maker.expires)
        content = _Content(_root(maker.id), maker.hash[:_HASH_CHARS], tenant, may, self._clock.now(), expires)
        sealed = self._sealer.seal(msgspec.json.encode(content), _OWNER)
        return PREFIX + base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def open(self, text: str) -> Key:
        """The key that a token stands for. Raises Unauthorized unless it is ours, and valid."""
        content = self._content(text)
        if content is None:
            raise Unauthorized("This token is not valid.")
        maker = self._catalog.now.keys.get(content.key)
        if maker is None or maker.revoked is not None or maker.hash[:_HASH_CHARS] != content.hash:
            raise Unauthorized("The key that made this token was revoked.")
        tenant = self._catalog.now.tenants.get(content.tenant)
        if tenant is None or content.made <= max(tenant.created, notes_of(tenant).get(ENDED, 0)):
            raise Unauthorized("This token was revoked. Ask for a new one.")
        if content.expires <= self._clock.now():
            raise Unauthorized("This token has expired. Ask for a new one.", code="key_expired")
        return Key(
            id=f"{maker.id}:{content.tenant}",
            hash=maker.hash,
            name=f"application portal of {content.tenant}",
            scopes=tuple(scope for scope in SCOPES[content.may] if maker.has_scope(scope)),
            tenant=content.tenant,
            expires=content.expires,
            created=maker.created,
            cors_origins=maker.cors_origins,
            shared_limits=maker.passed_on,
        )

    def _content(self, text: str) -> _Content | None:
        if len(text) > CHARS_MAX:
            return None
        try:
            sealed = base64.urlsafe_b64decode(text.removeprefix(PREFIX) + "=" * (-len(text.removeprefix(PREFIX)) % 4))
            if len(sealed) <= 1 + NONCE_BYTES:
                return None
            return msgspec.json.decode(self._sealer.open(sealed, _OWNER), type=_Content)
        except (binascii.Error, ValueError, StoreError, msgspec.MsgspecError):
            return None


def _root(ident: str) -> str:
    return ident.partition(":")[0]
