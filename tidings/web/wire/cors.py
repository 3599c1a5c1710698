"""CORS (WHATWG Fetch, 3.2): which pages of other origins may read answers in a browser.

Off unless the operator or a key names origins. Credentials are never allowed: keys come in a header that the page sets
itself, so no page can act with what a browser has kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from tidings.model.access import Key
from tidings.rules.network.origin import ANY
from tidings.store.catalog import Catalog

Headers = list[tuple[str, str]]

PREFLIGHT_SECONDS = 600
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
REQUEST_HEADERS = (
    "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID",
)  # fmt: skip
"""Headers that a page may send."""
EXPOSED = (
    "Content-Disposition", "ETag", "Idempotency-Replayed", "Link", "Location", "RateLimit", "RateLimit-Policy",
    "Request-Id", "Retry-After",
)  # fmt: skip
"""Headers that a page may read, in addition to those that every page may."""

_ALLOW = "access-control-allow-origin"
_VARY = ("vary", "Origin")
_EXPOSE = ("access-control-expose-headers", ", ".join(EXPOSED))
_METHODS = ("access-control-allow-methods", ", ".join(METHODS))
_MAX_AGE = ("access-control-max-age", str(PREFLIGHT_SECONDS))


class Cors:
    """Decides which headers an origin gets. Belongs to one event loop."""

    def __init__(self, origins: Sequence[str], catalog: Catalog, more: Sequence[str] = ()) -> None:
        """`more`: headers that pages may send in addition to REQUEST_HEADERS."""
        self._preflight = ("access-control-allow-headers", ", ".join((*REQUEST_HEADERS, *more)))
        self._all = ANY in origins
        self._server = frozenset(origins)
        self._catalog = catalog
        self._version = -1
        self._keys: frozenset[str] = frozenset()
        self.varies = bool(origins) and not self._all
        """Whether responses differ by origin, even if a request has no origin."""

    def headers(self, origin: str | None) -> Headers:
        """The headers of any answer to this origin, including a refusal, before it is known which key calls.

        A preflight has no key, so an origin that any key names is answered; `narrow` follows once the key is known.
        """
        if self._all:
            return [] if origin is None else [(_ALLOW, ANY), _EXPOSE]
        of_keys = self._of_keys()
        if not self._server and not of_keys:
            return []
        if origin is None or not (origin in self._server or origin in of_keys or ANY in of_keys):
            return [_VARY]
        return [(_ALLOW, origin), _EXPOSE, _VARY]

    def narrow(self, headers: Headers, origin: str, key: Key) -> None:
        """Withdraw the permission if it belongs to another key."""
        if self._all or origin in self._server or origin in key.cors_origins or ANY in key.cors_origins:
            return
        headers[:] = [pair for pair in headers if pair[0] != _ALLOW and pair is not _EXPOSE]

    def allows(self, origin: str) -> bool:
        """Whether answers to some key, or to all, may be read there."""
        return any(name == _ALLOW for name, _ in self.headers(origin))

    def preflight(self, origin: str) -> Headers:
        """The answer to what a browser of an allowed origin asks before a call."""
        return [pair for pair in self.headers(origin) if pair is not _EXPOSE] + [_METHODS, self._preflight, _MAX_AGE]

    def _of_keys(self) -> frozenset[str]:
        """The origins that keys name; looked through again only after the catalogue has changed."""
        now = self._catalog.now
        if now.version != self._version:
            self._version = now.version
            self._keys = frozenset(origin for key in now.keys_by_hash.values() for origin in key.cors_origins)
        return self._keys
