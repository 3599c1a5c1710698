"""The console and the portal at a node that takes in, while no node sends: a page that tries again on its own."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from chromium import Browser
from tests.nodes.forwarding import Nodes
from tidings.store.engines.nodes import Sender
from tidings.testing import Api

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def anybody(nodes: Nodes) -> Iterator[Api]:
    """A caller of the node that takes in, while no node sends."""
    sender, taker, known = nodes
    assert taker.server is not None and taker.server.parts.forwarding is not None
    known.sender, taker.server.parts.forwarding._ask_at = None, 0.0
    yield taker.api.with_key(None)
    known.sender, taker.server.parts.forwarding._ask_at = Sender("sender", sender.url, 0.0), 0.0


@pytest.mark.parametrize("path", ["/console", "/console/endpoints?state=paused", "/portal/ptl_unknown"])
def test_a_browser_gets_a_page_that_tries_again(anybody: Api, path: str) -> None:
    reply = anybody.call("GET", path, headers=HTML)
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert reply.headers["content-type"].startswith("text/html")
    page = reply.body.decode()
    assert '<meta http-equiv="refresh" content="2">' in page
    assert "No node is sending right now; one should take over within seconds." in page
    assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
    # It looks like the others: its files come from this node.
    for url in re.findall(r'(?:href|src)="([^"]*/@/[^"]*)"', page):
        assert anybody.call("GET", url).status == 200, url


def test_a_form_that_was_not_passed_on_is_not_sent_again_on_its_own(anybody: Api) -> None:
    reply = anybody.call(
        "POST", "/console/sign-in", b"key=x", {**HTML, "Content-Type": "application/x-www-form-urlencoded"}
    )
    assert reply.status == 503
    assert b"refresh" not in reply.body


def test_a_part_of_a_page_is_one(anybody: Api) -> None:
    reply = anybody.call("GET", "/console/endpoints", headers={"HX-Request": "true"})
    assert (reply.status, reply.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert b"<main" in reply.body and b"<meta" not in reply.body


def test_programs_get_a_problem(anybody: Api) -> None:
    reply = anybody.call("POST", "/console/link", None)
    assert (reply.status, reply.json["code"], reply.headers["retry-after"]) == (503, "unavailable", "1")


def test_the_page_of_a_portal_may_be_shown_where_its_pages_are(nodes: Nodes, anybody: Api) -> None:
    api = nodes[0].api
    api.post("/v1/tenants", {"id": "framed", "name": "Framed"})
    link = api.post("/v1/tenants/framed/portal-links", {"frame_origins": ["https://app.example.com"]})
    reply = anybody.call("GET", f"/portal{link['url'].partition('/portal')[2].partition('#')[0]}", headers=HTML)
    assert reply.status == 503
    assert "frame-ancestors https://app.example.com" in reply.headers["content-security-policy"]


def test_files_that_this_version_does_not_have_are_asked_of_the_sender(nodes: Nodes, anybody: Api) -> None:
    assert anybody.call("GET", "/console/@/page.0000000000000000.css").status == 503


@pytest.mark.slow
def test_a_browser_goes_on_where_it_was_once_a_node_sends(nodes: Nodes, anybody: Api, whole_browser: Browser) -> None:
    """A link to a portal has its token in the fragment, which the page that tries again must keep."""
    sender, taker, known = nodes
    sender.api.post("/v1/tenants", {"id": "waits", "name": "Waits"})
    link = sender.api.post("/v1/tenants/waits/portal-links", {})["url"]
    whole_browser.complaints.clear()
    whole_browser.open(f"{taker.url}/portal{link.partition('/portal')[2]}")
    whole_browser.until("document.body.innerText.includes('This page tries again every 2 seconds.')")
    style = "getComputedStyle(document.querySelector('main')).maxWidth"
    assert whole_browser.do(style) != "none", "the style sheet is there"
    known.sender = Sender("sender", sender.url, 0.0)
    whole_browser.until("!document.body.innerText.includes('tries again')")
    whole_browser.until("document.title.includes('Endpoints')")
