"""Which links chose which events: what each wants, compiled once and grouped by tenant and event type."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tidings.model.event import OWN_TYPES
from tidings.model.link import ALL_TENANTS, Endpoint
from tidings.rules.wants import Wants
from tidings.store import journal
from tidings.store.base import Db
from tidings.store.catalog import Catalog, Snapshot

CACHED_CHOICES_MAX = 10_000
CACHED_LINKS_MAX = 200_000
"""The maximum number of links in all cached choices together. One choice may have as many as the tenant has
endpoints."""


class Choice(msgspec.Struct, frozen=True):
    """Every link that chose a type of a tenant's events."""

    wants: tuple[Wants, ...]
    links: list[int] | None
    """The links' numbers, if nothing else has to be checked for an event after `after`: no filter, subject or timer."""
    after: int
    """Every link of the choice was created before the events after this number."""
    is_own: bool
    """Whether events of this type are about endpoints, so that each link has to be checked."""
    has_filter: bool


class Choices:
    """Follows the catalog. Belongs to the writer's thread."""

    def __init__(self, catalog: Catalog) -> None:
        self._by_tenant: dict[str | None, dict[int, tuple[Callable[[str], bool], Wants]]] = {}
        self._known: dict[tuple[str | None, str], Choice] = {}
        self._size = 0
        self.timed: set[int] = set()
        """Links with a timer, which events only make run at once: they get no deliveries of these events."""
        self.journal = 0
        """The journal whose events are routed."""
        self._catalog = catalog
        catalog.on_change(self._compile)
        self._compile(catalog.now, list(catalog.now.links.values()))

    def belong(self, own: int) -> None:
        """From now on, events of this journal are routed."""
        self.journal = own
        self._compile(self._catalog.now, list(self._catalog.now.links.values()))

    @property
    def is_known(self) -> bool:
        """Whether the catalogue was loaded, so that the links are known."""
        return self._catalog.now.version >= 0

    def expect(self, db: Db) -> None:
        """After reading events: fail if another node may have changed the links before one of them was stored."""
        self._catalog.begin(db)

    def known(self, tenant: str | None, kind: str) -> Choice | None:
        """The choice, if it was made before: making one takes time."""
        return self._known.get((tenant, kind))

    def make(self, tenant: str | None, kind: str) -> Choice:
        """Check every link that might get the tenant's events."""
        # Together this is `Wants.refuses_type`, with the tenant as an index.
        candidates = (self._by_tenant.get(tenant, {}), self._by_tenant.get(ALL_TENANTS, {}))
        wants = tuple(each for links in candidates for takes, each in links.values() if takes(kind))
        has_filter = any(each.fits is not None for each in wants)
        is_own = kind.startswith(OWN_TYPES)
        is_plain = not has_filter and not is_own and all(each.link not in self.timed for each in wants)
        links = [each.link for each in wants] if is_plain else None
        choice = Choice(wants, links, max((each.after for each in wants), default=0), is_own, has_filter)
        self._size += 1 + len(wants)
        if len(self._known) >= CACHED_CHOICES_MAX or self._size > CACHED_LINKS_MAX:
            self._known.clear()
            self._size = 1 + len(wants)
        self._known[(tenant, kind)] = choice
        return choice

    def exists(self, tenant: str | None, link: int) -> bool:
        """Whether a link that might get the tenant's events is still there."""
        return link in self._by_tenant.get(tenant, ()) or link in self._by_tenant.get(ALL_TENANTS, ())

    def _compile(self, snapshot: Snapshot, changed: list[Endpoint]) -> None:
        for endpoint in changed:
            links = self._by_tenant.setdefault(endpoint.tenant, {})
            if endpoint.deleted is None:
                wants = Wants.of(endpoint).compiled()
                if journal.of(wants.after) != self.journal:
                    # Another node made it, and this one has caught up since; events that arrive now are later.
                    wants.after = 0
                links[endpoint.num] = (wants.takes, wants)
                if endpoint.timer is not None and endpoint.events:
                    self.timed.add(endpoint.num)
                else:
                    self.timed.discard(endpoint.num)
            else:
                links.pop(endpoint.num, None)
        if changed:
            self._known = {}
            self._size = 0
