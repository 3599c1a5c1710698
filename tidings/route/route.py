"""The route stage: read the events after its cursor, write a delivery for each link that wants one.

It rides in the writer's transactions: the deliveries of a batch of events and the move of the cursor are one
transaction, so fan-out is exactly once, and a crash anywhere else is only a pause.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from tidings.model.event import OWN_TYPES
from tidings.model.link import ALL_TENANTS, Endpoint
from tidings.model.moment import Clock
from tidings.rules import events_match, filter
from tidings.store.base import Db, Row
from tidings.store.catalog import Catalog, Snapshot

EVENTS_PER_STEP = 5_000
DELIVERIES_PER_STEP = 20_000
CACHED_CHOICES_MAX = 10_000
DELIVERY_COLUMNS = ("number", "event", "link", "created")

log = logging.getLogger("tidings.route")
Filter = Callable[[dict[str, Any]], bool]


class Wish(msgspec.Struct, frozen=True):
    """One link that chose an event's type; its filter, if any, has the last word."""

    link: int
    id: str
    filter: Filter | None


class Router:
    """Decides which links get an event. All state is in the store; only compiled patterns are kept."""

    def __init__(self, catalog: Catalog, clock: Clock) -> None:
        self._clock = clock
        self._by_tenant: dict[str | None, dict[int, tuple[Callable[[str], bool], Wish]]] = {}
        self._choices: dict[tuple[str | None, str], list[Wish]] = {}
        self.routed = 0
        catalog.on_change(self._compile)
        self._compile(catalog.now, list(catalog.now.endpoints.values()))

    def step(self, db: Db) -> bool:
        """Route one batch inside the present transaction. Answers whether there is more to do."""
        rows = db.all("events_to_route", count=EVENTS_PER_STEP)
        if not rows:
            return False
        pairs: list[tuple[int, int]] = []
        last = 0
        for row in rows:
            last = row[0]
            pairs += [(last, link) for link in self._links(db, row)]
            if len(pairs) >= DELIVERIES_PER_STEP:
                break
        if pairs:
            self._append(db, pairs)
        db.run("cursor_move", name="route", position=last)
        self.routed += len(pairs)
        return last != rows[-1][0] or len(rows) == EVENTS_PER_STEP

    def _append(self, db: Db, pairs: list[tuple[int, int]]) -> None:
        taken = db.one("numbers_take", name="delivery", count=len(pairs))
        assert taken is not None
        first, now = taken[0] - len(pairs) + 1, self._clock.now()
        rows = [(first + i, event, link, now) for i, (event, link) in enumerate(pairs)]
        db.insert("delivery", DELIVERY_COLUMNS, rows)

    def _links(self, db: Db, row: Row) -> list[int]:
        seq, _, tenant, kind, subject, target = row
        if target is not None:
            return [target]
        wishes = self._choices.get((tenant, kind))
        if wishes is None:
            wishes = self._choose(tenant, kind)
        own = kind.startswith(OWN_TYPES)
        document: dict[str, Any] | None = None
        found = []
        for wish in wishes:
            if own and wish.id == subject:
                # What is said about an endpoint is not sent to it: a failing one would feed its own failure.
                continue
            if wish.filter is not None:
                document = document or _document(db, seq)
                if not _passes(wish, document):
                    continue
            found.append(wish.link)
        return found

    def _choose(self, tenant: str | None, kind: str) -> list[Wish]:
        candidates = (self._by_tenant.get(tenant, {}), self._by_tenant.get(ALL_TENANTS, {}))
        wishes = [wish for links in candidates for wants, wish in links.values() if wants(kind)]
        if len(self._choices) >= CACHED_CHOICES_MAX:
            self._choices.clear()
        self._choices[(tenant, kind)] = wishes
        return wishes

    def _compile(self, snapshot: Snapshot, changed: list[Endpoint]) -> None:
        for endpoint in changed:
            links = self._by_tenant.setdefault(endpoint.tenant, {})
            if endpoint.deleted is None:
                links[endpoint.num] = _wish(endpoint)
            else:
                links.pop(endpoint.num, None)
        if changed:
            self._choices = {}


def _wish(endpoint: Endpoint) -> tuple[Callable[[str], bool], Wish]:
    pattern = endpoint.options.filter
    wanted = None if pattern is None else filter.compile(pattern)
    return events_match.matcher(endpoint.options.events), Wish(endpoint.num, endpoint.id, wanted)


def _passes(wish: Wish, document: dict[str, Any]) -> bool:
    assert wish.filter is not None
    try:
        return wish.filter(document)
    except Exception:
        # An event must not be lost, nor others stopped, because a filter broke: the receiver can drop it.
        log.exception("the filter of %s failed; the event is sent", wish.id)
        return True


def _document(db: Db, seq: int) -> dict[str, Any]:
    row = db.one("event_for_filter", seq=seq)
    assert row is not None
    return filter.document(*row)
