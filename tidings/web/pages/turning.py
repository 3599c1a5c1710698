"""Turning the pages of a list: forward by its cursor, back by the cursors of the pages that led here.

A list is read by cursors, which only point forward. The URL of each page but the first therefore names the cursors of
the pages before it, so that "back" works for every list, in a link that is shared, and without a script.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

import msgspec

TRAIL = "trail"
"""The parameter with the earlier pages' cursors, oldest first, separated by dots, which no cursor contains."""
FIRST = "-"
"""Stands for the first page, which has no cursor."""
TRAIL_CHARS_MAX = 2_000
"""The maximum length of the trail. Beyond it, older steps are dropped; the first page can still be reached."""


class PageLinks(msgspec.Struct, frozen=True, kw_only=True):
    """The paths of the next, the previous and the first page; empty if there is none, or this is it."""

    next: str = ""
    previous: str = ""
    first: str = ""
    is_by_time: bool = False
    """Whether the newest entries come first, so that the next page is older."""


def page_links(
    path: str, given: Mapping[str, str], asked: Mapping[str, str], following: str | None, *, is_by_time: bool = False
) -> PageLinks:
    """The links from a page of a list. `given`: its filters; `asked`: the parameters of its URL."""
    here, trail = asked.get("cursor", ""), [each for each in asked.get(TRAIL, "").split(".") if each]
    onward = ".".join([*trail, here or FIRST])
    while len(onward) > TRAIL_CHARS_MAX and "." in onward:
        onward = onward.partition(".")[2]
    return PageLinks(
        next=_url(path, {**given, "cursor": following, TRAIL: onward}) if following else "",
        previous=_back(path, given, trail) if here and trail else "",
        first=_url(path, given) if here else "",
        is_by_time=is_by_time,
    )


def _back(path: str, given: Mapping[str, str], trail: list[str]) -> str:
    *before, cursor = trail
    if cursor == FIRST:
        return _url(path, given)
    return _url(path, {**given, "cursor": cursor, **({TRAIL: ".".join(before)} if before else {})})


def _url(path: str, query: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path
