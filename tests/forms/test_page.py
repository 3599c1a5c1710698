"""The page of a form in a real browser: filled in with the keyboard, without a script, and without barriers (axe)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chromium import Browser
from tests.examples import thorough
from tests.forms.world import DeclaredForm
from tests.npm import installed
from tidings.testing import FakeClock, TestServer, until

HERE = Path(__file__).parent
EVERYTHING: dict[str, Any] = {
    "name": {"label": "Your name", "required": True, "autocomplete": "name"},
    "email": {"type": "email", "label": "Your email", "required": True, "help": "Only to answer you."},
    "phone": {"type": "tel", "label": "Your phone", "placeholder": "+43 1 234 5678"},
    "site": {"type": "url", "label": "Your site"},
    "topic": {"type": "select", "label": "Topic", "options": {"order": "An order", "other": "Something else"}},
    "answer": {"type": "radio", "label": "Answer by", "options": ["Email", "Phone"], "required": True},
    "days": {"type": "checkboxes", "label": "Days", "options": ["Monday", "Tuesday"], "required": True},
    "since": {"type": "date", "label": "Customer since", "max": "2030-01-01"},
    "at": {"type": "time", "label": "Best time"},
    "guests": {"type": "integer", "label": "Guests", "min": 1, "max": 12},
    "price": {"type": "number", "label": "Price"},
    "message": {"type": "textarea", "label": "Your message", "required": True, "max": 500},
    "photo": {"type": "file", "label": "Photos", "max": 3, "accept": ["image/*"]},
    "source": {"type": "hidden", "default": "site"},
    "terms": {"type": "checkbox", "label": "You may store this.", "required": True},
}
"""A form with every type of field."""
CHECKS = ("any", "all", "none")
"""Where axe says why it is not content."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """Its clock stands still, so that a minute of submissions lasts however long a loaded machine takes for them."""
    with TestServer(tmp_path_factory.mktemp("server") / "tidings", clock=FakeClock()) as server:
        yield server


@pytest.fixture
def browser(whole_browser: Browser) -> Iterator[Browser]:
    """A browser; afterwards no page has complained."""
    whole_browser.requests.clear()
    whole_browser.complaints.clear()
    yield whole_browser
    whole_browser.allow_scripts(True)
    whole_browser.resize()
    whole_browser.darken(False)
    assert whole_browser.complaints == []


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core."""
    return (installed(HERE / "axe", "axe") / "axe-core" / "axe.min.js").read_text()


def declared(server: TestServer, path: str, **more: Any) -> DeclaredForm:
    body = {"path": path, "fields": EVERYTHING, "title": "Contact us", "description": "Ask us anything.", **more}
    return DeclaredForm(server, server.api.post("/v1/forms", body))


def send(browser: Browser) -> None:
    """Press the button, and wait for the next page."""
    browser.leave("document.querySelector('button[type=submit]').focus()", "Enter")


def text(browser: Browser) -> str:
    return str(browser.do("document.body.innerText"))


@pytest.mark.slow
def test_a_person_fills_it_in_corrects_it_and_is_thanked_without_a_script(server: TestServer, browser: Browser) -> None:
    form = declared(server, "keyboard", fields={each: EVERYTHING[each] for each in ("name", "email", "message")})
    browser.allow_scripts(False)
    browser.open(server.url + form.path)
    for value in ("Ann <b>", "ann@"):
        browser.press("Tab")
        browser.type(value)
    send(browser)
    # Screen readers read the summary first: it has the focus. The first link leads to the first wrong field.
    until(lambda: browser.do("document.activeElement.getAttribute('role')") == "alert", "the summary has the focus")
    assert browser.do("document.title") == "Error: Contact us"
    assert "Your email This is not an email address." in text(browser)
    assert browser.do("document.getElementById('f-name').value") == "Ann <b>"
    browser.press("Tab")
    browser.press("Enter")
    assert browser.do("document.activeElement.id") == "f-email"
    browser.do("document.activeElement.select()")
    browser.type("ann@example.com")
    browser.press("Tab")
    browser.type("Hello")
    send(browser)
    assert "Thank you" in text(browser) and form.data() == [
        {"name": "Ann <b>", "email": "ann@example.com", "message": "Hello"}
    ]
    # Loaded again, the answer is the same and there is no second event.
    browser.leave("location.reload()")
    assert "Thank you" in text(browser) and len(form.data()) == 1
    assert all(url.startswith((server.url, "data:")) for url in browser.requests)


@pytest.mark.slow
def test_nobody_meets_the_honeypot_with_the_keyboard(server: TestServer, browser: Browser) -> None:
    form = declared(server, "tabs")
    browser.open(server.url + form.path)
    met = []
    for _ in range(40):
        browser.press("Tab")
        met.append(browser.do("document.activeElement.name || document.activeElement.tagName"))
    assert "message" in met and "BUTTON" in met and "website" not in met and "_token" not in met
    box = "document.querySelector('[name=website]').getBoundingClientRect()"
    assert browser.do(f"{box}.width") <= 1 or browser.do("document.querySelector('.more').offsetWidth") <= 1


def with_focus(tree: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """The tree, if an alert has the focus."""
    return tree if any(node["role"] == "alert" and node.get("focused") for node in tree) else None


@pytest.mark.slow
def test_a_screen_reader_is_told_everything(server: TestServer, browser: Browser) -> None:
    form = declared(server, "tree")
    browser.open(server.url + form.path)
    browser.do("document.getElementById('f-email').value = 'ann'")
    send(browser)
    tree = until(lambda: with_focus(browser.tree()), "the list of errors has the focus")
    inputs = {
        node["name"]: node for node in tree if node["role"] in ("textbox", "radio", "checkbox", "combobox", "Date")
    }
    assert set(inputs) >= {"Your name", "Your email", "Your message", "Email", "Monday", "You may store this.", "Topic"}
    email = inputs["Your email"]
    assert email["required"] and email["invalid"] == "true"
    assert email["description"] == "Only to answer you. This is not an email address. Example: ann@example.com."
    groups = {node["name"].strip(): node["description"] for node in tree if node["role"] in ("group", "radiogroup")}
    assert groups == {"Answer by": "Please choose one.", "Days *": "Please choose one."}
    alerts = [node for node in tree if node["role"] == "alert"]
    assert len(alerts) == 1
    links = [node["name"] for node in tree if node["role"] == "link"]
    assert links == ["Your name", "Your email", "Answer by", "Days", "Your message", "You may store this."]
    assert [node["name"] for node in tree if node["role"] == "heading"] == [
        "Contact us",
        "Please check what you entered",
    ]
    assert not any("website" in node["name"] for node in tree), "the honeypot is read out"


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, *thorough(1440)])
@pytest.mark.parametrize("dark", [*thorough(False), True], ids=["light", "dark"])
def test_the_pages_have_no_barriers(server: TestServer, browser: Browser, axe: str, width: int, dark: bool) -> None:
    path = f"axe-{width}-{dark}"
    form = declared(server, path, max_per_minute=2)
    browser.resize(width, 900)
    browser.darken(dark)
    pages = []
    browser.open(server.url + form.path)
    pages.append(("empty", barriers(browser, axe)))
    browser.do("document.getElementById('f-guests').value = '99'")
    send(browser)
    pages.append(("wrong", barriers(browser, axe)))
    for name in ("name", "message"):
        browser.do(f"document.getElementById('f-{name}').value = 'Ann'")
    browser.do("document.getElementById('f-email').value = 'ann@example.com'")
    browser.do("document.getElementById('f-guests').value = '2'")
    for ident in ("f-answer", "f-days", "f-terms"):
        browser.do(f"document.getElementById('{ident}').checked = true")
    send(browser)
    assert "Thank you" in text(browser)
    pages.append(("thanks", barriers(browser, axe)))
    browser.leave("document.querySelector('.next a').click()")
    send(browser)
    assert "Please wait a moment" in text(browser)
    pages.append(("too often", barriers(browser, axe)))
    browser.open(server.url + "/f/nothing")
    pages.append(("nothing", barriers(browser, axe)))
    assert pages == [(name, []) for name, _ in pages]


def barriers(browser: Browser, axe: str) -> list[str]:
    """What axe finds, and what it is not sure about; also whether the page is wider than the window."""
    browser.do(f"{axe}; 0")
    found = browser.do("axe.run(document, {resultTypes: ['violations', 'incomplete']})")
    said = [
        f"{each['id']}: {node['html']} {[check['message'] for kind in CHECKS for check in node[kind]]}"
        for kind in ("violations", "incomplete")
        for each in found[kind]
        for node in each["nodes"]
    ]
    wide = browser.do("document.documentElement.scrollWidth - innerWidth")
    return said + ([f"it is {wide} pixels too wide"] if wide > 0 else [])
