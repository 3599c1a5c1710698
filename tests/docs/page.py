"""The page /docs as somebody in front of it sees it: keys are pressed and the mouse is clicked for real."""

from __future__ import annotations

import json
from typing import Any

from chromium import Browser
from tidings.testing import until

LANGUAGES = ("curl", "Python", "JavaScript")


class Page:
    """The page in a browser."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.browser = browser
        self.url = url

    def start(self) -> None:
        """Open it in a tab that knows no key yet."""
        if self.do("location.origin") != self.url:
            self.leave()
        self.browser.do("sessionStorage.clear()")
        self.browser.requests.clear()
        self.browser.complaints.clear()
        self.browser.open(f"{self.url}/docs")
        self.said("call")

    def leave(self) -> None:
        """Go to a file of the same server that takes no time to draw: another origin needs another process."""
        self.browser.open(f"{self.url}/docs/page.css")

    def open(self, place: str = "") -> None:
        """Open it, and wait until its calls are there."""
        self.leave()
        self.browser.open(f"{self.url}/docs{place}")
        self.said("call")

    def do(self, script: str) -> Any:
        """The value of a script."""
        return self.browser.do(script)

    def enter(self, key: str, says: str = "This key may make") -> None:
        """Type a key, press Enter, and wait for what the page says about it."""
        self.do("document.getElementById('key').focus(); document.getElementById('key').select()")
        # Not what it says about the key before.
        self.do("document.getElementById('said').textContent = ''")
        self.browser.type(key)
        self.browser.press("Enter")
        self.said(says)

    def said(self, says: str) -> str:
        """What the page says about the key, once it says this."""
        self.browser.until(f"document.getElementById('said').innerText.includes({json.dumps(says)})")
        return str(self.do("document.getElementById('said').innerText"))

    def limits(self) -> list[str]:
        """The calls left, as they are shown."""
        return list(self.do("[...document.querySelectorAll('.limit')].map(each => each.innerText)"))

    def questions(self) -> set[str]:
        """What is offered and in view, such as `POST /v1/events`."""
        cards = "[...document.querySelectorAll('details.question:not(.webhook)')].filter(each => each.offsetParent)"
        return set(self.do(f"{cards}.map(each => each.querySelector('.place').innerText)"))

    def question(self, name: str) -> Question:
        """A question by its operationId, open."""
        found = Question(self, f"document.getElementById({json.dumps(name)})")
        assert self.do(f"Boolean({found.card})"), f"there is no {name}"
        if not self.do(f"{found.card}.open"):
            self.browser.click(f"{found.card}.querySelector('summary')")
        self.browser.until(f"{found.card}.open && {found.card}.querySelector('.inside')")
        return found

    def strangers(self) -> list[str]:
        """Every address that was asked for and is not the server's own."""
        own = (self.url + "/", "about:", "data:")
        return [url for url in self.browser.requests if not url.startswith(own)]


class Question:
    """One open question."""

    def __init__(self, page: Page, card: str) -> None:
        self.page = page
        self.card = card

    def inside(self, selector: str) -> str:
        """The script of what a selector finds in it."""
        return f"{self.card}.querySelector({json.dumps(selector)})"

    def text(self, selector: str) -> str:
        """The text of what a selector finds in it, "" where it finds nothing."""
        return str(self.page.do(f"{self.inside(selector)}?.innerText ?? ''"))

    def fill(self, name: str, value: str) -> None:
        """Fill in one field: type, choose, or tick. Fields under a closed "more" are opened first."""
        field = self.inside(f'[data-field="{name}"]')
        self.page.do(f"{field}.closest('details.more')?.setAttribute('open', '')")
        control = f"{field}.querySelector('input, select, textarea')"
        kind = self.page.do(f"{control}.type")
        if kind == "select-one":
            script = f"[...{control}.options].find(each => each.text === {json.dumps(value)}).value"
            self._set(control, script)
        elif kind == "checkbox":
            for word in value.split(","):
                self.page.browser.click(f"{field}.querySelector('input[value={json.dumps(word)}]')")
        elif kind in ("date", "datetime-local"):
            self._set(control, json.dumps(value))
        else:
            self.page.do(f"{control}.focus(); {control}.select()")
            self.page.browser.type(value)

    def _set(self, control: str, script: str) -> None:
        self.page.do(f"{control}.value = {script}; {control}.dispatchEvent(new Event('input', {{bubbles: true}}))")

    def write_body(self, text: str) -> None:
        """Write the whole body as JSON."""
        tabs = f"[...{self.card}.querySelectorAll('.body [role=tab]')]"
        if self.page.do(f"{tabs}.length"):
            self.page.browser.click(f"{tabs}.find(each => each.innerText === 'JSON')")
        area = f"[...{self.card}.querySelectorAll('.body textarea')].at(-1)"
        self.page.do(f"{area}.focus(); {area}.select()")
        self.page.browser.type(text)

    def try_it(self) -> str:
        """Click on Try, and wait for the status line of the answer."""
        self.page.do(f"{self.inside('.answer')}.replaceChildren()")
        self.page.browser.click(self.inside(".try"))
        self.page.browser.until(f"{self.inside('.status')} && !{self.inside('.try')}.disabled")
        return self.text(".status")

    def answer(self) -> Any:
        """The JSON that is shown."""
        return json.loads(self.page.do(f"{self.inside('.answer pre')}.textContent"))

    def headers(self) -> dict[str, str]:
        """The headers that are shown."""
        rows = f"[...{self.card}.querySelectorAll('dl.headers > div')]"
        return dict(self.page.do(f"{rows}.map(each => [...each.children].map(part => part.innerText))"))

    def wrong(self, name: str) -> str:
        """What is said to be wrong with a field; "" for nothing."""
        return str(self.page.do(f"{self.inside(f'[data-field={json.dumps(name)}] .wrong')}.textContent"))

    def code(self, language: str) -> str:
        """The call in one of LANGUAGES."""
        tab = f"[...{self.card}.querySelectorAll('.snippet [role=tab]')].find(each => each.innerText === '{language}')"
        self.page.browser.click(tab)
        return str(self.page.do(f"{self.inside('.code')}.textContent"))

    def copied(self, language: str) -> str:
        """The call in one of LANGUAGES, as it lies in the clipboard after a click on Copy."""
        self.code(language)
        self.page.browser.permit_clipboard(self.page.url)
        self.page.do("navigator.clipboard.writeText('')")
        self.page.browser.click(self.inside(".copy"))
        return str(until(lambda: self.page.do("navigator.clipboard.readText()"), "something was copied"))
