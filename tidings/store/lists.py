"""Lists of deliveries for people: newest first, in pages, by state, endpoint, event and time.

A state is no column (it follows from the last attempt and the row in `waiting`), so a page is made of candidates:
numbers from the cheapest places that hold every match, merged from high to low, then judged one by one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import get_args

import msgspec

from tidings.model.delivery import Attempt, State
from tidings.model.moment import Micros
from tidings.rules import lifecycle
from tidings.store.base import Db, Row
from tidings.store.catalog import Snapshot

SCANNED_PER_PAGE_MAX = 5_000
WINDOW_MAX = 1_000
TENANT_LINKS_MERGED_MAX = 50
ABOVE_ALL = 1 << 62

STATES: tuple[State, ...] = get_args(State)

Source = Callable[[int, int], list[int]]
"""From `before` and a count to the highest numbers below, highest first."""


class DeliveryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What to list. `links`: only these (None: all). `before`: only numbers below (the cursor)."""

    links: frozenset[int] | None = None
    state: State | None = None
    event: str | None = None
    since: Micros | None = None
    until: Micros | None = None
    before: int = ABOVE_ALL
    limit: int = 50


class DeliveryRow(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery with what its last attempt left. `due`: None where it is not waiting, or is held behind another."""

    number: int
    event: int
    link: int
    created: Micros
    state: State
    event_id: str | None
    event_type: str | None
    attempts: int = 0
    last_at: Micros | None = None
    last_outcome: str | None = None
    last_status: int | None = None
    last_reason: str | None = None
    due: Micros | None = None
    held: bool = False


def deliveries(db: Db, snapshot: Snapshot, query: DeliveryQuery) -> tuple[list[DeliveryRow], int | None]:
    """One page, newest first, and the `before` of the next page (None: this is the last).

    A page may hold fewer than `limit`, even none, and still have a next one: it looks at a bounded number of rows.
    """
    low = 0 if query.since is None else number_since(db, "first_delivery_since", query.since)
    before = query.before
    if query.until is not None:
        before = min(before, number_since(db, "first_delivery_since", query.until))
    sources = _sources(db, query, low)
    found: list[DeliveryRow] = []
    scanned = 0
    while scanned < SCANNED_PER_PAGE_MAX:
        window = min(WINDOW_MAX, max(query.limit + 1, 100 if query.state else 1))
        numbers, lowest = _merge(sources, before, window)
        scanned += len(numbers)
        for row in rows_of(db, snapshot, numbers):
            if _matches(row, query):
                if len(found) == query.limit:
                    return found, found[-1].number
                found.append(row)
        if lowest is None:
            return found, None
        before = lowest
    return found, before


def delivery(db: Db, snapshot: Snapshot, number: int) -> tuple[DeliveryRow, list[Attempt]] | None:
    """One delivery with every attempt, oldest first."""
    rows = rows_of(db, snapshot, [number])
    if not rows:
        return None
    return rows[0], [_attempt(number, row) for row in db.all("delivery_attempts", delivery=number)]


def rows_of(db: Db, snapshot: Snapshot, numbers: Iterable[int]) -> list[DeliveryRow]:
    """The deliveries with these numbers, newest first."""
    return [_row(snapshot, row) for row in db.all("deliveries_by_number", numbers=json.dumps(list(numbers)))]


def waiting_count(db: Db, link: int) -> int:
    """How many deliveries wait for a link. Counts rows: for lists of endpoints only where asked for."""
    row = db.one("waiting_count", link=link)
    return 0 if row is None else int(row[0])


def number_since(db: Db, statement: str, since: Micros) -> int:
    """The first number of a fact that was stored at `since` or later; numbers grow with time."""

    def is_at_or_after(number: int) -> bool:
        row = db.one(statement, **{"from": number})
        return row is None or bool(row[1] >= since)

    # Doubling finds a number that is late enough, halving the first one.
    low, high = 0, 1
    while not is_at_or_after(high):
        low, high = high, high * 2
    while low + 1 < high:
        middle = (low + high) // 2
        if is_at_or_after(middle):
            high = middle
        else:
            low = middle
    return high


def _sources(db: Db, query: DeliveryQuery, low: int) -> list[Source]:
    def numbers(statement: str, low: int = low, **params: object) -> Source:
        return lambda before, count: [
            row[0] for row in db.all(statement, low=low, before=before, count=count, **params)
        ]

    if query.event is not None:
        return [numbers("numbers_of_event", event=query.event)]
    if query.state in ("dead", "cancelled"):
        return [numbers(f"numbers_ended_{query.state}")]
    links = query.links
    if query.state == "waiting":
        row = db.one("cursor_read", name="deliver")
        tail = 0 if row is None else int(row[0]) + 1
        lagging = [row for row in db.all("links_lagging") if links is None or row[0] in links]
        return [
            numbers("numbers_waiting"),
            numbers("numbers_all", low=max(low, tail)),
            *[numbers("numbers_of_link", low=max(low, cursor + 1), link=link) for link, cursor in lagging],
        ]
    if links is not None and len(links) <= TENANT_LINKS_MERGED_MAX:
        return [numbers("numbers_of_link", link=link) for link in links]
    return [numbers("numbers_all")]


def _merge(sources: list[Source], before: int, window: int) -> tuple[list[int], int | None]:
    """The highest numbers of all sources below `before`, and down to where they are complete (None: to the end)."""
    lists = [source(before, window) for source in sources]
    full = [numbers[-1] for numbers in lists if len(numbers) == window]
    lowest = max(full, default=None)
    return sorted({n for numbers in lists for n in numbers if lowest is None or n >= lowest}, reverse=True), lowest


def _matches(row: DeliveryRow, query: DeliveryQuery) -> bool:
    return (
        (query.links is None or row.link in query.links)
        and (query.state is None or row.state == query.state)
        and (query.event is None or row.event_id == query.event)
        and (query.since is None or row.created >= query.since)
        and (query.until is None or row.created < query.until)
    )


def _row(snapshot: Snapshot, row: Row) -> DeliveryRow:
    number, event, link, created, event_id, event_type, n, at, outcome, last, status, reason, due, held = row
    endpoint = snapshot.endpoints.get(link)
    gone = endpoint is None or endpoint.deleted is not None
    state = lifecycle.state(last, due is not None, gone)
    waits = state == "waiting"
    return DeliveryRow(
        number=number,
        event=event,
        link=link,
        created=created,
        state=state,
        event_id=event_id,
        event_type=event_type,
        attempts=n or 0,
        last_at=at,
        last_outcome=outcome,
        last_status=status,
        last_reason=reason,
        due=(None if held else created if due is None else due) if waits else None,
        held=bool(held) and waits,
    )


def _attempt(number: int, row: Row) -> Attempt:
    n, at, outcome, state, status, duration_ms, request, response, reason = row
    return Attempt(
        delivery=number,
        n=n,
        at=at,
        outcome=outcome,
        state=state,
        status=status,
        duration_ms=duration_ms,
        request=request,
        response=response,
        reason=reason,
    )
