"""Pages of lists: `limit`, an opaque `cursor`, and the response with `next_cursor` and a Link header (RFC 8288).

A cursor belongs to its query: to the filters, the sort and the key's tenant. Parameters that only shape the response
(`limit`, `fields`, `count`) may differ from page to page.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec

from tidings.model import moment
from tidings.model.errors import Invalid
from tidings.rules.reading import decimals
from tidings.web.habits.shaping import sort_of
from tidings.web.operation import Answer, Parameter, Request
from tidings.web.wire.cursors import Position

LIMIT = 50
LIMIT_MAX = 1000
CURSOR: dict[str, Any] = {"pattern": "^[A-Za-z0-9_-]+$", "maxLength": 20_000}
"""The format of a cursor, as JSON Schema.

A cursor contains the sort values of a page's last entry: up to four texts of 500 characters of up to six bytes each.
"""
SHAPING = ("limit", "fields", "count")
"""Parameters that a cursor does not depend on."""

_PLAIN = re.compile("[A-Za-z0-9_.~-]*")

T = TypeVar("T")
SortKey = Callable[[Any], int | str]
"""Returns the value to sort a thing by."""

PAGING: tuple[Parameter, ...] = (
    Parameter(
        name="limit",
        schema={"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT},
        help="The maximum number of entries to return.",
    ),
    Parameter(
        name="cursor",
        schema={"type": "string", "description": "a cursor from this server", **CURSOR},
        help="The cursor to continue from: the `next_cursor` of the previous page, with the same filters and the same "
        "`sort`.",
    ),
)


class Page(msgspec.Struct, frozen=True):
    """Which page is requested. `after`: the position at which the previous page ended; None for the first page.

    `mark`: the mark of the query, if already computed.
    """

    request: Any
    limit: int
    after: Any
    mark: str = ""

    @classmethod
    def of(cls, request: Request, kind: type[int] | type[str] | type[list[Any]] = int) -> Page:
        """Read `limit` and `cursor`; positions are of type `kind`.

        Raises Invalid if the cursor is malformed, or belongs to another query.
        """
        cursor = request.query.get("cursor")
        mark = "" if cursor is None else _query_mark(request)
        after = None if cursor is None else _position(request, mark, kind)
        return cls(request, request.query.get("limit", LIMIT), after, mark)

    def answer(self, data: Sequence[Any], position: Position | None, count: int | None = None) -> Answer:
        """The response with a page.

        `position`: where the next one starts; None if there is none. `count`: for all pages together.
        """
        counted = {} if count is None else {"count": count}
        if position is None:
            return Answer(200, {"data": data, "next_cursor": None, **counted})
        cursor = self.request.cursors.seal(position, self.mark or _query_mark(self.request))
        path = self.request.operation.path.format(**self.request.path)
        given = _given(self.request, ("limit", "cursor", "count"))
        query = _query_text({**given, "limit": [str(self.limit)], "cursor": [cursor]})
        link = ("link", f'<{path}?{query}>; rel="next"')
        return Answer(200, {"data": data, "next_cursor": cursor, **counted}, [link])


def counted(total: int | None) -> int:
    """A count as returned. Raises Invalid if the store would have to read too many rows."""
    if total is None:
        detail = "Too many rows would have to be counted. Narrow the query, or leave `count` out."
        raise Invalid.of_parameter("count", "too_many_to_count", detail)
    return total


class SortedPage(Generic[T]):
    """A page of a small list in memory, sorted as the request asks: `shown` has its things, `answer` makes the
    response.

    The cursor contains the sort values of the page's last thing, so things that are added or deleted shift no page.
    `keys` are what the list may be sorted by, `unique` breaks ties. Raises Invalid.
    """

    def __init__(self, request: Request, things: Iterable[T], keys: Mapping[str, SortKey], unique: SortKey) -> None:
        self._page = Page.of(request, list)
        self._orders = [(keys[name.removeprefix("-")], name.startswith("-")) for name in sort_of(request)]
        self._orders.append((unique, self._orders[-1][1]))
        ordered = list(things)
        self._count = len(ordered) if request.query.get("count") else None
        for key, is_down in reversed(self._orders):
            ordered.sort(key=key, reverse=is_down)
        if self._page.after is not None:
            ordered = self._following(ordered, self._page.after)
        self.shown: list[T] = ordered[: self._page.limit]
        self._has_more = len(ordered) > len(self.shown)

    def answer(self, views: Sequence[Any]) -> Answer:
        """The response, with the shown things as `views`."""
        position: Position | None = None
        if self._has_more:
            position = [key(self.shown[-1]) for key, _ in self._orders]
        return self._page.answer(views, position, self._count)

    def _following(self, ordered: list[T], after: list[Any]) -> list[T]:
        """The things after a position, which may be anything that somebody made up."""
        kinds = [type(value) for value in after]
        if any(kinds != [type(key(each)) for key, _ in self._orders] for each in ordered[:1]):
            raise _wrong_cursor(NO_CURSOR)
        return [each for each in ordered if _is_after(each, self._orders, after)]


NO_CURSOR = "This cursor is not from this server. Send the `next_cursor` of the previous page."
OF_ANOTHER_QUERY = (
    "This cursor belongs to another query. Send the same filters and the same `sort` as for the previous page."
)
OF_THE_FEED = (
    "This cursor is from a response to a request with `after`, or from a stream: send it to GET /v1/events as "
    "`after`. `cursor` takes the `next_cursor` of the previous page."
)


def _is_after(thing: Any, orders: list[tuple[SortKey, bool]], position: list[Any]) -> bool:
    for (key, is_down), there in zip(orders, position, strict=True):
        here: Any = key(thing)
        if here != there:
            return bool(here < there if is_down else here > there)
    return False


def _position(request: Request, mark: str, kind: type[Any]) -> Position:
    position, its_mark = request.cursors.open(request.query["cursor"]) or ("", "")
    if not its_mark and request.cursors.open_feed(request.query["cursor"], request.key.tenant) is not None:
        raise _wrong_cursor(OF_THE_FEED)
    if not its_mark or type(position) is not kind or not _is_sound(position):
        raise _wrong_cursor(NO_CURSOR)
    if its_mark != mark:
        raise _wrong_cursor(OF_ANOTHER_QUERY)
    return position


def _is_sound(position: Position) -> bool:
    """Whether every store can compare the position: a cursor may be anything that somebody made up."""
    if isinstance(position, int):
        return 0 <= position < 1 << 62
    return isinstance(position, list) or (position.isascii() and position.isprintable())


def _given(request: Request, without: Sequence[str]) -> dict[str, list[str]]:
    """The given parameters as they would be written again, lists value by value."""
    known = request.operation.known
    return {
        name: _texts(value, known[name].schema) for name, value in sorted(request.query.items()) if name not in without
    }


def _query_text(given: dict[str, list[str]]) -> str:
    """Parameters as in a URL. Most need no quoting, and `quote` costs more than all the rest."""
    return "&".join(
        [
            f"{quote(name)}={value if _PLAIN.fullmatch(value) else quote(value, safe='')}"
            for name, values in given.items()
            for value in values
        ]
    )


def _texts(value: Any, schema: dict[str, Any]) -> list[str]:
    if isinstance(value, list):
        items = schema.get("items", {})
        return [_written(each, items) for each in value]
    return [_written(value, schema)]


def _written(value: Any, schema: dict[str, Any]) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if schema.get("format") == "date-time":
        return moment.to_text(value)
    return decimals.plain(value) if isinstance(value, Decimal) else str(value)


def _query_mark(request: Request) -> str:
    given = _given(request, (*SHAPING, "cursor", "sort"))
    order = sort_of(request) if request.operation.sorts else []
    whole = [request.operation.name, request.path, given, order, request.key.tenant]
    return hashlib.sha256(msgspec.json.encode(whole, order="sorted")).hexdigest()[:12]


def _wrong_cursor(detail: str) -> Invalid:
    return Invalid.of_parameter("cursor", "wrong_cursor", detail)
