"""Turning the pages of lists: every page is reached forward, and back again, by links that can be shared."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest

from tidings.web.pages import turning
from tidings.web.pages.turning import PageLinks, page_links


def opened(path: str, following: str | None) -> PageLinks:
    """The links of the page at a path with a filter, if its list goes on with this cursor."""
    return page_links("/deliveries", {"state": "dead"}, dict(parse_qsl(urlsplit(path).query)), following)


def test_each_page_leads_back_to_the_one_before_it() -> None:
    paths, path = ["/deliveries?state=dead"], "/deliveries?state=dead"
    for cursor in ("aaa", "b-b", "c_c", None):
        path = opened(path, cursor).next
        paths += [path] if path else []
    assert len(paths) == 4 and path == ""
    for at in range(3, 0, -1):
        links = opened(paths[at], None)
        assert links.previous == paths[at - 1] and links.first == paths[0]
    assert opened(paths[0], None) == PageLinks()


def test_a_page_without_a_trail_leads_to_the_first_one_only() -> None:
    links = opened("/deliveries?state=dead&cursor=abc", "d")
    assert (links.previous, links.first) == ("", "/deliveries?state=dead")
    assert opened(links.next, None).previous == "/deliveries?state=dead&cursor=abc"


@pytest.mark.slow
def test_a_long_way_forgets_its_oldest_steps() -> None:
    path = "/deliveries"
    for number in range(200):
        path = opened(path, f"{number:050}").next
    assert len(path) < turning.TRAIL_CHARS_MAX + 200
    assert f"cursor={198:050}" in opened(path, None).previous


def test_nonsense_in_the_url_is_no_way_out() -> None:
    links = opened("/deliveries?cursor=x&trail=..//evil.example%3Fa%26b..", "y")
    assert links.previous.startswith("/deliveries?") and links.next.startswith("/deliveries?")
