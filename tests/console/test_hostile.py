"""Two hundred hostile texts in every place that shows data: none runs, none breaks the layout, none becomes markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from chromium import Browser
from tests.console.house import PATHS, furnish
from tests.console.payloads import PAYLOADS
from tests.console.visitor import Visitor
from tests.examples import are_all
from tidings.testing import Api, Reaction, Receiver, TestServer, until

pytestmark = pytest.mark.slow

WIDTHS = (360, 1440)
TAGS = frozenset(
    (
        *("html", "head", "meta", "title", "link", "script", "body", "a", "header", "img", "form", "label", "input"),
        *("div", "nav", "h1", "h2", "ul", "li", "p", "span", "fieldset", "legend", "button", "main", "dialog", "dl"),
        *("dt", "dd", "section", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "figure", "kbd"),
        *("figcaption", "svg", "rect", "pre", "code", "time", "strong", "select", "option", "textarea", "bdi", "ol"),
        "br",
    )
)
"""The elements of our templates."""


class Markup(HTMLParser):
    """What a page consists of, apart from its texts."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what is not from our templates."""
        if tag not in TAGS:
            self.wrong.append(tag)
        for name, value in attrs:
            if name.startswith("on") or name in ("style", "srcdoc", "formaction", "hx-on", "hx-vals"):
                self.wrong.append(f"{tag} {name}")
            if name in ("href", "src", "action") and not re.match(r"/console|#", value or ""):
                self.wrong.append(f"{tag} {name}={value}")


@pytest.fixture(scope="module")
def ids(server: TestServer, receiver: Receiver) -> dict[str, str]:
    """A server with one of the texts in each place, and all of them in many."""
    everything, where = "\0\n".join(PAYLOADS), "/said/" + "x" * 300
    found = furnish(server.api, receiver, PAYLOADS[0] + PAYLOADS[2])
    receiver.answer(Reaction(status=500, body=everything.encode("utf-8", "replace")[:15_000]), path=where)
    said = {"url": receiver.url(where), "events": ["said.*"], "description": "W" * 200, "tenant": "acme"}
    said_by = server.api.post("/v1/endpoints", said)["id"]
    many = {str(number): each for number, each in enumerate(PAYLOADS)}
    found["all"] = server.api.post("/v1/events", {"type": "said.all", "tenant": "acme", "data": many})["id"]
    found["named"] = server.api.post("/v1/events", {"type": "said.named", "data": dict.fromkeys(_names(), 1)})["id"]
    until(lambda: server.api.get("/v1/deliveries", endpoint=said_by, outcome="bad_status")["data"], "failed")
    found["said"] = server.api.get("/v1/deliveries", endpoint=said_by)["data"][0]["id"]
    return found | _each(server.api)


def _names() -> list[str]:
    return [each[:100] for each in PAYLOADS if each]


def _each(api: Api) -> dict[str, str]:
    """An item, an event and a key for each of the texts."""
    for number, each in enumerate(PAYLOADS):
        api.call("POST", "/v1/items/orders", {"guest": each, "number": number})
        api.call("POST", "/v1/events", {"type": "said.one", "subject": each[:200], "data": each})
        if number % 4 == 0:
            api.call("POST", "/v1/keys", {"name": each[:100], "scopes": ["events:read"]})
    return {}


OUTSIDE = """[...document.querySelectorAll('main *')].filter(each =>
    each.getBoundingClientRect().right > innerWidth + 1 && !each.closest('.unseen, svg, .chart, pre, thead'))"""
"""Elements that are not whole in the window."""
MORE = (
    "/events/{all}",
    "/events/{named}",
    "/deliveries/{said}",
    "/items/orders?guest=%3Cscript%3E",
    "/find?q=%3Cb%3E%00",
)


def test_no_text_becomes_markup(operator: Visitor, ids: dict[str, str], api: Api) -> None:
    paths = [path.format(**ids) for path in (*PATHS, *MORE)]
    for path in ("/v1/events", "/v1/items/orders"):
        folder = path.removeprefix("/v1")
        paths += [f"{folder}/{each['id']}" for each in api.get(path, limit=200)["data"]][:: 1 if are_all() else 3]
    for path in paths:
        page = Markup()
        page.feed(operator.get(path))
        assert page.wrong == [], path


def test_no_text_becomes_a_part_of_the_stream(operator: Visitor, ids: dict[str, str]) -> None:
    page = operator.get(f"/events/{ids['all']}")
    assert "<!--live:head--><b>" not in page and page.count("<!--/live-->") == page.count("<!--live:")


def test_no_text_runs_or_breaks_the_layout(server: TestServer, ids: dict[str, str], browser: Browser) -> None:
    # The text of each page is looked at above; laying out takes longer.
    for path in (*(PATHS if are_all() else PATHS[::3]), *MORE):
        browser.resize(WIDTHS[0], 900)
        browser.open(f"{server.url}/console{path.format(**ids)}")
        assert browser.do("window.hit") is None, path
        assert browser.do("document.querySelectorAll('main').length") == 1, path
        for width in WIDTHS:
            browser.resize(width, 900)
            assert browser.do("document.documentElement.scrollWidth") <= width, (path, width)
            assert browser.do(f"{OUTSIDE}.map(each => each.outerHTML.slice(0, 200))") == [], (path, width)
