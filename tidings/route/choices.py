"""Which links chose which events: compiled once for each endpoint, and gathered by tenant and event type."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tidings.model.event import OWN_TYPES
from tidings.model.link import ALL_TENANTS, Endpoint
from tidings.rules import event_types, filter
from tidings.rules.filter_checks import Check
from tidings.store.catalog import Catalog, Snapshot

CACHED_CHOICES_MAX = 10_000
CACHED_WISHES_MAX = 200_000
"""In all cached choices together: one of them has as many as the tenant has endpoints."""


class Wish(msgspec.Struct, frozen=True):
    """One link that chose an event's type; its filter, if any, has the last word. It gets events later than `after`."""

    link: int
    id: str
    filter: Check | None
    after: int


class Choice(msgspec.Struct, frozen=True):
    """Every link that chose a type of a tenant's events."""

    wishes: tuple[Wish, ...]
    links: list[int] | None
    """Their numbers, where nothing else has to be asked of an event after `after`: no filter, no subject."""
    after: int
    has_filter: bool


class Choices:
    """Follows the catalog. Belongs to the writer's thread."""

    def __init__(self, catalog: Catalog) -> None:
        self._by_tenant: dict[str | None, dict[int, tuple[Callable[[str], bool], Wish]]] = {}
        self._known: dict[tuple[str | None, str], Choice] = {}
        self._size = 0
        catalog.on_change(self._compile)
        self._compile(catalog.now, list(catalog.now.endpoints.values()))

    def known(self, tenant: str | None, kind: str) -> Choice | None:
        """The choice, where it was made before: making one costs time."""
        return self._known.get((tenant, kind))

    def make(self, tenant: str | None, kind: str) -> Choice:
        """Ask every link that might get the tenant's events."""
        candidates = (self._by_tenant.get(tenant, {}), self._by_tenant.get(ALL_TENANTS, {}))
        wishes = tuple(wish for links in candidates for wants, wish in links.values() if wants(kind))
        has_filter = any(wish.filter is not None for wish in wishes)
        plain = not has_filter and not kind.startswith(OWN_TYPES)
        links = [wish.link for wish in wishes] if plain else None
        choice = Choice(wishes, links, max((wish.after for wish in wishes), default=0), has_filter)
        self._size += 1 + len(wishes)
        if len(self._known) >= CACHED_CHOICES_MAX or self._size > CACHED_WISHES_MAX:
            self._known.clear()
            self._size = 1 + len(wishes)
        self._known[(tenant, kind)] = choice
        return choice

    def exists(self, tenant: str | None, link: int) -> bool:
        """Whether a link that might get the tenant's events is still there."""
        return link in self._by_tenant.get(tenant, ()) or link in self._by_tenant.get(ALL_TENANTS, ())

    def _compile(self, snapshot: Snapshot, changed: list[Endpoint]) -> None:
        for endpoint in changed:
            links = self._by_tenant.setdefault(endpoint.tenant, {})
            if endpoint.deleted is None:
                links[endpoint.num] = _wish(endpoint)
            else:
                links.pop(endpoint.num, None)
        if changed:
            self._known = {}
            self._size = 0


def _wish(endpoint: Endpoint) -> tuple[Callable[[str], bool], Wish]:
    pattern = endpoint.options.filter
    wanted = None if pattern is None else filter.metered(pattern)
    return event_types.matcher(endpoint.options.events), Wish(endpoint.num, endpoint.id, wanted, endpoint.after)
