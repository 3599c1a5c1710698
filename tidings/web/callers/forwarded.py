"""The header in which a node that takes in names the caller, when it passes a request on to the node that sends.

Only a server with the secret key can make it. It is valid once, for a short time, for one node, method, path and
query, so a copy of it is useless. A header of this name from anyone else is ignored and never passed on.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from tidings.model.errors import Unavailable
from tidings.model.moment import SECOND, Clock, Micros
from tidings.store.base import StoreError
from tidings.store.seal import NONCE_BYTES, Sealer

HEADER = "tidings-forwarded"
PURPOSE = "forwarded requests"
VALID_SECONDS = 660
"""For how long such a header is valid. The clocks of two nodes may differ from each other by twice as much as each
may differ from the database's clock (store/engines/nodes.py)."""
CHARS_MAX = 2_000
LATE_MAX = 65_536
"""How many requests may overtake another one on their way from one node to the other."""
NODES_MAX = 1_000
"""The maximum number of nodes whose arrived requests are remembered; each start of a server counts as another node."""
_ALL_BITS = (1 << LATE_MAX) - 1
AGAIN_SECONDS = 1.0

Line = tuple[str, str]
"""A header: its name and its value."""


class Forwarded(msgspec.Struct, frozen=True, array_like=True):
    """What another node reports about a request that it passed on."""

    node: str
    """The id of the node that passed the request on."""
    at: Micros
    client: str
    """The caller's `address:port` as that node saw it."""
    version: int
    """That node's version of the catalogue: the request may depend on its last change."""
    to: str
    """The id of the node that the request is for."""
    number: int
    """The number of this request among those that the node has passed on."""
    limits: list[Line] | None = None
    """The RateLimit headers, if that node has counted the call already."""
    beside: Line | None = None
    """A header of the request that did not fit in next to this one."""


class PassedOn:
    """A request that another node passed on, as its caller sent it (RSGI's scope)."""

    def __init__(self, scope: Any, passed: Forwarded) -> None:
        self._scope, self.passed = scope, passed
        self.headers: Any = scope.headers
        if passed.beside is not None:
            self.headers = _Headers([*scope.headers.items(), passed.beside])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scope, name)


def passed_on(scope: Any) -> Forwarded | None:
    """What the node that passed a request on reports about it; None if it came directly from its caller."""
    return scope.passed if isinstance(scope, PassedOn) else None


class ForwardedSeal:
    """Makes the headers of requests that are passed on, and opens them. Belongs to one event loop."""

    def __init__(self, sealer: Sealer, clock: Clock, node: str) -> None:
        """`sealer`: the store's; `node`: the id of this one."""
        self._sealer, self._clock, self._node = Sealer(sealer.derived(PURPOSE)), clock, node
        self._number = 0
        self._arrived: dict[str, _Arrived] = {}

    def make(
        self,
        scope: Any,
        to: str,
        client: str,
        version: int,
        limits: list[Line] | None = None,
        beside: Line | None = None,
    ) -> str:
        """The header's value for a request that this node passes on; each is different."""
        self._number += 1
        content = Forwarded(self._node, self._clock.now(), client, version, to, self._number, limits, beside)
        sealed = self._sealer.seal(msgspec.json.encode(content), _owner(scope))
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def opened(self, scope: Any) -> Any:
        """The scope of a request with this header: as PassedOn if a node has made the header, otherwise unchanged.

        Raises Unavailable if it was made for a different node, or has already arrived here.
        """
        found = self._of(scope)
        if found is None:
            return scope
        if found.to != self._node or not self._is_first(found):
            raise Unavailable("The sending node has just changed.", retry_after_seconds=AGAIN_SECONDS)
        return PassedOn(scope, found)

    def _of(self, scope: Any) -> Forwarded | None:
        """The content of a request's header; None if it has no valid one."""
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

    def _is_first(self, found: Forwarded) -> bool:
        arrived = self._arrived.get(found.node)
        if arrived is None:
            if len(self._arrived) >= NODES_MAX:
                del self._arrived[next(iter(self._arrived))]
            arrived = self._arrived[found.node] = _Arrived()
        return arrived.is_first(found.number)


class _Arrived:
    """Which requests from one node have arrived: a bit for each of the last LATE_MAX numbers."""

    __slots__ = ("_bits", "_last")

    def __init__(self) -> None:
        self._last = self._bits = 0

    def is_first(self, number: int) -> bool:
        if number > self._last:
            ahead = number - self._last
            self._bits = (self._bits << ahead | 1) & _ALL_BITS if ahead < LATE_MAX else 1
            self._last = number
            return True
        bit = 1 << (self._last - number)
        if self._last - number >= LATE_MAX or self._bits & bit:
            return False
        self._bits |= bit
        return True


class _Headers:
    """The HTTP server's headers of a request, without the one that was removed."""

    def __init__(self, lines: list[Line]) -> None:
        self._lines = lines

    def __contains__(self, name: str) -> bool:
        return any(each == name for each, _ in self._lines)

    def items(self) -> list[Line]:
        return self._lines

    def get(self, name: str) -> str | None:
        return next((value for each, value in self._lines if each == name), None)

    def get_all(self, name: str) -> list[str]:
        return [value for each, value in self._lines if each == name]


def _owner(scope: Any) -> str:
    """What a header is valid for, as text. Only the path, which is last, can contain line breaks."""
    return f"forwarded {scope.method}\n{scope.query_string}\n{scope.path}"
