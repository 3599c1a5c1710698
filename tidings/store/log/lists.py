"""Lists of deliveries for people: newest or oldest first, in pages, filtered by state, endpoint, event and time; and
counted.

A state is not a column (it follows from the last attempt and the row in `waiting`), so a page is made from candidates:
numbers from the cheapest sources that contain every match, merged in the page's order, then checked one by one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial

import msgspec

from tidings.model.delivery import Attempt, State
from tidings.model.moment import Micros
from tidings.rules.deliver import lifecycle
from tidings.rules.event_types import matcher
from tidings.store import journal
from tidings.store.base import Db, Row
from tidings.store.catalog import Snapshot

SCANNED_PER_PAGE_MAX = 5_000
COUNTED_MAX = 1_000_000
"""The maximum number of rows that are counted if an index alone is sufficient."""
JUDGED_MAX = 10_000
"""The maximum number of rows that are checked one by one for a count."""
WINDOW_MIN, WINDOW_MAX = 100, 1_000
LINKS_MERGED_MAX = 50
"""The maximum number of links whose lists are merged. For more links, their deliveries are searched among those of all
links."""
SHARE_MIN = 20
"""The minimum number of delivery numbers that are read for each link, if there are several."""
ABOVE_ALL = 1 << 62

Numbers = tuple[list[int], int | None]
"""Numbers in the page's order, and the number up to which they are complete; None if they are complete to the end."""
Source = Callable[[int, int, int], Numbers]
"""Takes `after`, `before` and an approximate count; returns the first numbers in between."""
Ways = tuple[str, str]
"""A statement that lists the newest first, and the same statement with the oldest first."""
_ALL: Ways = ("numbers_all", "numbers_all_up")
_OF_LINKS: Ways = ("numbers_of_links", "numbers_of_links_up")
_OF_EVENT: Ways = ("numbers_of_event", "numbers_of_event_up")
_WAITING: Ways = ("numbers_waiting", "numbers_waiting_up")
_WAITING_OF_LINKS: Ways = ("numbers_waiting_of_links", "numbers_waiting_of_links_up")
_ENDED_OF_LINKS: Ways = ("numbers_ended_of_links", "numbers_ended_of_links_up")
_ENDED: dict[str | None, Ways] = {
    "dead": ("numbers_ended_dead", "numbers_ended_dead_up"),
    "cancelled": ("numbers_ended_cancelled", "numbers_ended_cancelled_up"),
    "replaced": ("numbers_replaced", "numbers_replaced_up"),
}


class DeliveryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What to list: deliveries of `links` (None: all), with numbers above `after` and below `before` (the cursor)."""

    links: frozenset[int] | None = None
    state: State | None = None
    event: str | None = None
    type: str | None = None
    """An event type, or a pattern such as `tasks.*`."""
    outcome: str | None = None
    """The outcome of the last attempt."""
    status: str | None = None
    """The HTTP status of the last attempt, such as `422` or `4xx`."""
    since: Micros | None = None
    until: Micros | None = None
    after: int = -1
    before: int = ABOVE_ALL
    oldest_first: bool = False
    limit: int = 50

    @property
    def is_judged(self) -> bool:
        """Whether rows must be read to know whether they match."""
        return (self.state, self.type, self.outcome, self.status) != (None, None, None, None)


class DeliveryRow(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery, with the result of its last attempt. `due`: None if it is not waiting, or is held behind another."""

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
    due: Micros | None = None
    held: bool = False
    element: str | None = None
    """The element of the event that the delivery is about, as JSON; None for the whole event."""


def deliveries(db: Db, snapshot: Snapshot, query: DeliveryQuery) -> tuple[list[DeliveryRow], int | None]:
    """One page, and the number from which the next one continues (None if this is the last).

    A page may have fewer than `limit`, even none, and still have a next one, because it reads a bounded number of rows.
    """
    after, before = _span(db, query)
    sources = _sources(db, query)
    found: list[DeliveryRow] = []
    scanned, window = 0, min(WINDOW_MAX, max(query.limit + 1, WINDOW_MIN if query.is_judged else 1))
    while scanned < SCANNED_PER_PAGE_MAX:
        rows, last = _window(db, snapshot, query, sources, after, before, window)
        scanned += window
        for row in rows:
            if len(found) == query.limit:
                return found, found[-1].number
            found.append(row)
        if last is None:
            return found, None
        after, before = (last, before) if query.oldest_first else (after, last)
        # If few match, a few large windows take a fraction of the time of many small ones.
        window = min(WINDOW_MAX, 2 * window)
        db.rest()
    return found, after if query.oldest_first else before


def count(db: Db, snapshot: Snapshot, query: DeliveryQuery) -> int | None:
    """How many there are, ignoring cursors; None if counting would read too many."""
    query = msgspec.structs.replace(query, after=-1, before=ABOVE_ALL)
    after, before = _span(db, query)
    links = query.links
    if not query.is_judged and query.event is None and (links is None or len(links) <= LINKS_MERGED_MAX):
        bounds = {"after": after, "before": before, "count": COUNTED_MAX + 1}
        if links is None:
            counts = db.all("count_all", **bounds)
        else:
            counts = [row for link in links for row in db.all("count_of_link", link=link, **bounds)]
        total = sum(row[0] for row in counts)
        return total if total <= COUNTED_MAX else None
    sources = _sources(db, query)
    total = looked = 0
    while looked < JUDGED_MAX:
        rows, last = _window(db, snapshot, query, sources, after, before, WINDOW_MAX)
        total += len(rows)
        looked += WINDOW_MAX
        if last is None:
            return total
        after, before = (last, before) if query.oldest_first else (after, last)
    return None


def delivery(db: Db, snapshot: Snapshot, number: int) -> tuple[DeliveryRow, list[Attempt]] | None:
    """One delivery with every attempt, oldest first."""
    rows = rows_of(db, snapshot, [number])
    if not rows:
        return None
    return rows[0], attempts_of(db, number)


def attempts_of(db: Db, number: int) -> list[Attempt]:
    """Every attempt of a delivery, oldest first."""
    return [_attempt(number, row) for row in db.all("delivery_attempts", delivery=number)]


def rows_of(db: Db, snapshot: Snapshot, numbers: Iterable[int]) -> list[DeliveryRow]:
    """The deliveries with these numbers, newest first."""
    rows = [_row(snapshot, row) for row in db.all("deliveries_by_number", numbers=json.dumps(list(numbers)))]
    return _with_lines(db, snapshot, rows)


def _with_lines(db: Db, snapshot: Snapshot, rows: list[DeliveryRow]) -> list[DeliveryRow]:
    """In strict order, while an earlier delivery waits for a retry, later untried ones are held, though no row says
    so."""
    heads: dict[int, int] = {}
    for link in {row.link for row in rows if row.state == "waiting" and not row.attempts}:
        known = snapshot.links.get(link)
        if known is not None and known.pacing.order == "all":
            blocking = db.all("waiting_blocking", link=link)
            heads.update({link: blocking[0][0]} if blocking else {})
    if not heads:
        return rows
    return [
        msgspec.structs.replace(row, due=None, held=True)
        if row.state == "waiting" and not row.attempts and row.number > heads.get(row.link, row.number)
        else row
        for row in rows
    ]


def of_event(db: Db, snapshot: Snapshot, seq: int, most: int) -> list[DeliveryRow]:
    """The first deliveries of an event, at most `most`, oldest first."""
    numbers = [row[0] for row in db.all("numbers_of_seq", seq=seq, count=most)]
    return rows_of(db, snapshot, numbers)[::-1]


def waiting_count(db: Db, link: int) -> int:
    """How many deliveries wait for a link. It counts rows, so lists of endpoints use it only on request."""
    row = db.one("waiting_count", journal=db.journal, link=link)
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


def _span(db: Db, query: DeliveryQuery) -> tuple[int, int]:
    """The two numbers between which all matches lie."""
    after, before = query.after, query.before
    if query.since is not None:
        after = max(after, number_since(db, "first_delivery_since", query.since) - 1)
    if query.until is not None:
        before = min(before, number_since(db, "first_delivery_since", query.until))
    return after, before


def _sources(db: Db, query: DeliveryQuery) -> list[Source]:
    def numbers(statements: Ways, above: int = -1, **params: object) -> Source:
        def read(after: int, before: int, count: int) -> Numbers:
            limits = {"after": max(after, above), "before": before, "count": count}
            found = [row[0] for row in db.all(statements[query.oldest_first], **limits, **params)]
            return found, found[-1] if len(found) == count else None

        return read

    def merged(statements: Ways, cursors: Mapping[int, int], **params: object) -> Source:
        return partial(_merged, db, statements, cursors, query.oldest_first, params)

    links = query.links
    few = None if links is None or len(links) > LINKS_MERGED_MAX else dict.fromkeys(links, -1)
    if query.event is not None:
        return [numbers(_OF_EVENT, event=query.event)]
    if query.state in _ENDED:
        return [numbers(_ENDED[query.state])] if few is None else [merged(_ENDED_OF_LINKS, few, state=query.state)]
    if query.state == "waiting":
        tail = journal.position(db, "deliver")
        lagging = {link: cursor for link, cursor in db.all("links_lagging") if links is None or link in links}
        if few is not None:
            return [merged(_WAITING_OF_LINKS, few), merged(_OF_LINKS, {link: lagging.get(link, tail) for link in few})]
        return [numbers(_WAITING), numbers(_ALL, tail), *([merged(_OF_LINKS, lagging)] if lagging else [])]
    return [numbers(_ALL)] if few is None else [merged(_OF_LINKS, few)]


def _window(
    db: Db, snapshot: Snapshot, query: DeliveryQuery, sources: list[Source], after: int, before: int, size: int
) -> tuple[list[DeliveryRow], int | None]:
    """The matches among the first numbers of all sources, and how far they are complete (None: to the end)."""
    lists = [source(after, before, size) for source in sources]
    up = query.oldest_first
    last = (min if up else max)((end for _, end in lists if end is not None), default=None)
    numbers = {n for numbers, _ in lists for n in numbers if last is None or (n <= last if up else n >= last)}
    rows = [row for row in rows_of(db, snapshot, numbers) if matches(row, query)]
    return rows[::-1] if up else rows, last


def newest_of(db: Db, state: State, links: Collection[int], count: int) -> Numbers:
    """About `count` of the newest deliveries of a few links that wait with a due time, or ended in a state."""
    statements = _WAITING_OF_LINKS if state == "waiting" else _ENDED_OF_LINKS
    params = {} if state == "waiting" else {"state": state}
    return _merged(db, statements, dict.fromkeys(links, -1), False, params, -1, ABOVE_ALL, count)


def _merged(
    db: Db,
    statements: Ways,
    cursors: Mapping[int, int],
    up: bool,
    params: Mapping[str, object],
    after: int,
    before: int,
    count: int,
) -> Numbers:
    """The first numbers of a few links, each beyond that link's cursor.

    Only a share, and some more, is read per link: the result is complete up to where one link's rows first ran out.
    """
    share = count if len(cursors) <= 1 else max(SHARE_MIN, 2 * count // len(cursors))
    part = json.dumps([{"link": link, "after": cursor} for link, cursor in cursors.items()])
    rows = db.all(statements[up], after=after, before=before, count=share, links=part, **params)
    found: dict[int, list[int]] = {}
    for link, number in rows:
        found.setdefault(link, []).append(number)
    ends = [(max if up else min)(each) for each in found.values() if len(each) >= share]
    end = (min if up else max)(ends, default=None)
    numbers = sorted((row[1] for row in rows), reverse=not up)
    return [n for n in numbers if end is None or (n <= end if up else n >= end)], end


def matches(row: DeliveryRow, query: DeliveryQuery) -> bool:
    """Whether a delivery in its present state matches the query; numbers are ignored."""
    return (
        (query.links is None or row.link in query.links)
        and (query.state is None or row.state == query.state)
        and (query.event is None or row.event_id == query.event)
        and (query.type is None or (row.event_type is not None and matcher((query.type,))(row.event_type)))
        and (query.outcome is None or row.last_outcome == query.outcome)
        and (query.status is None or _has_status(row.last_status, query.status))
        and (query.since is None or row.created >= query.since)
        and (query.until is None or row.created < query.until)
    )


def _has_status(status: int | None, wanted: str) -> bool:
    return status is not None and wanted in (str(status), f"{status // 100}xx")


def _row(snapshot: Snapshot, row: Row) -> DeliveryRow:
    number, event, link, created, event_id, event_type, n, at, outcome, last, status, due, held, element = row
    endpoint = snapshot.links.get(link)
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
        due=(None if held else created if due is None else due) if waits else None,
        held=bool(held) and waits,
        element=element,
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


def routed(db: Db, tenant: str | None) -> int:
    """Up to which event all of a tenant's events are routed ('': those without a tenant; None: everybody's)."""
    position = journal.position(db, "route")
    first = db.one("route_aside_first", tenant=tenant)
    return position if first is None or first[0] is None else min(position, int(first[0]))
