"""The header with which a node that takes in says who called it, when it passes a request on to the node that sends.

Only a server with the secret key can make it, and it is valid for one method, path and query, and for a while. What
others send under its name is ignored, and is never passed on.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from tidings.model.moment import SECOND, Clock, Micros
from tidings.store.base import StoreError
from tidings.store.seal import NONCE_BYTES, Sealer

HEADER = "tidings-forwarded"
PURPOSE = "forwarded requests"
VALID_SECONDS = 660
"""The clocks of two nodes may differ by twice as much as each may from the database's (store/engines/nodes.py)."""
CHARS_MAX = 1_000


class Forwarded(msgspec.Struct, frozen=True, array_like=True):
    """A request that came by way of another node."""

    node: str
    """The id of the node that passed it on."""
    at: Micros
    client: str
    """Its caller as that node saw it, `address:port`."""
    version: int
    """Of the catalogue that this node had: the request may be about its last change."""


class ForwardedSeal:
    """Makes these headers, and opens them."""

    def __init__(self, sealer: Sealer, clock: Clock) -> None:
        """`sealer`: the store's."""
        self._sealer, self._clock = Sealer(sealer.derived(PURPOSE)), clock

    def make(self, scope: Any, node: str, client: str, version: int) -> str:
        """The header's value for a request that this node passes on."""
        content = msgspec.json.encode(Forwarded(node, self._clock.now(), client, version))
        return base64.urlsafe_b64encode(self._sealer.seal(content, _owner(scope))).decode().rstrip("=")

    def of(self, scope: Any) -> Forwarded | None:
        """What the header of a request says; None if it has none that is valid."""
        text = scope.headers.get(HEADER)
        if not text or len(text) > CHARS_MAX:
            return None
        try:
            sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            if len(sealed) <= 1 + NONCE_BYTES:
                return None
            found = msgspec.json.decode(self._sealer.open(sealed, _owner(scope)), type=Forwarded)
        except (binascii.Error, ValueError, StoreError, msgspec.MsgspecError):
            return None
        return found if abs(self._clock.now() - found.at) <= VALID_SECONDS * SECOND else None


def _owner(scope: Any) -> str:
    """What a header is valid for. Only the path, which is last, can have line breaks."""
    return f"forwarded {scope.method}\n{scope.query_string}\n{scope.path}"
