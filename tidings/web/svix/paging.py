"""Lists with iterators in both directions, as Svix pages them.

`iterator` names the last entry of a page and `prevIterator` the first one, with a minus sign in front. Both are sealed,
so nobody can count rows with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from tidings.model.errors import Invalid
from tidings.model.moment import Micros
from tidings.web.operation import Answer, Request
from tidings.web.svix.shapes import ListResponse
from tidings.web.wire.cursors import Position

LIMIT, LIMIT_MAX = 50, 250
WRONG = "This iterator is not from this list. Send the iterator of the previous page."

T = TypeVar("T")


class Span(NamedTuple):
    """Which part of a list is requested."""

    limit: int
    place: Any
    """The place after which the page begins; None for the beginning of the list."""
    is_back: bool
    """Whether the page ends before `place` instead of beginning after it."""


def span_of(request: Request, kind: type[Any], name: str) -> Span:
    """The part that the query requests.

    `name`: the list's, so that other lists' iterators are refused. Raises Invalid.
    """
    limit, text = min(request.query.get("limit", LIMIT), LIMIT_MAX), request.query.get("iterator")
    if not text:
        is_back = "after" in request.query and "before" not in request.query
        return Span(limit, None, is_back)
    # The sealed text may itself begin with a minus sign, but only one reading can be opened.
    opened, is_back = request.cursors.open(text), False
    if opened is None and text.startswith("-"):
        opened, is_back = request.cursors.open(text[1:]), True
    if opened is None or opened[1] != name or not isinstance(opened[0], kind):
        raise Invalid.of_parameter("iterator", "wrong_cursor", WRONG)
    return Span(limit, opened[0], is_back)


def page(
    request: Request, name: str, data: list[Any], first: Position | None, last: Position | None, *, done: bool
) -> Answer:
    """A page. `first`, `last`: the places of its ends; None if it is empty."""
    sealed = [None if place is None else request.cursors.seal(place, name) for place in (first, last)]
    back = None if sealed[0] is None else f"-{sealed[0]}"
    return Answer(200, ListResponse(data=data, iterator=sealed[1], prev_iterator=back, done=done))


def listed(
    request: Request,
    name: str,
    found: Sequence[T],
    key: Callable[[T], list[Any]],
    shown: Callable[[T], Any],
    *,
    newest_first: bool = False,
) -> Answer:
    """A page of a list that is in memory, in the order of `key` (a list of numbers and texts)."""
    order = request.query.get("order")
    is_down = newest_first if order is None else order == "descending"
    span = span_of(request, list, name)
    entries = sorted(found, key=key, reverse=is_down)
    if span.place is not None:
        try:
            entries = [each for each in entries if _is_beyond(key(each), span.place, is_down=is_down != span.is_back)]
        except TypeError:
            raise Invalid.of_parameter("iterator", "wrong_cursor", WRONG) from None
    rest = len(entries) - span.limit
    if span.is_back:
        entries = entries[max(rest, 0) :]
    else:
        entries = entries[: span.limit]
    first, last = (key(entries[0]), key(entries[-1])) if entries else (None, None)
    return page(request, name, [shown(each) for each in entries], first, last, done=rest <= 0)


def _is_beyond(place: list[Any], than: list[Any], *, is_down: bool) -> bool:
    return place < than if is_down else place > than


def times(request: Request) -> tuple[Micros | None, Micros | None]:
    """`after` and `before`."""
    return request.query.get("after"), request.query.get("before")
