"""Makes the pictures of the documents, from real runs: the terminal of `make demo`, and the pages /docs of a server.

`python tools/make_pictures.py [demo] [docs-page] [docs-phone] [docs-reference]` writes docs/pictures/. All but the
first need Chromium on the path.
"""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.text import Text
from ruamel.yaml import YAML

import portal_picture
from tidings.testing import TestServer, until

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
COLUMNS, ROWS = 112, 60
PAGE_WIDTH, PAGE_HEIGHT = 1100, 960
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
MISSING = "Chromium is not on the path. Install it (Debian: apt-get install chromium) and try again."
FLAGS = (
    "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    # It has no network but loopback: whatever asks for another host fails, and is seen in `requests`.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)  # fmt: skip
KEYS = {"Enter": (13, "\r"), "Tab": (9, ""), "ArrowRight": (39, ""), "ArrowLeft": (37, ""), "/": (191, "/")}
"""By key: its number on Windows, which the protocol wants, and the text that it types."""
OPERATION = "readings.ask.by_postal_code"
"""The question that the picture of the docs page shows open, after it was tried."""
DECLARATIONS = ROOT / "examples" / "weather" / "tidings.yaml"
FORM = ROOT / "examples" / "form_to_webhook" / "tidings.yaml"
READINGS = (
    {"latitude": 52.52, "longitude": 13.4, "postal_code": "10115", "day": "2026-11-21", "temperature": 4.5},
    {"latitude": 52.52, "longitude": 13.4, "postal_code": "10115", "day": "2026-11-22", "temperature": 6.0},
)
KEY = {
    "name": "The weather for everybody",
    "permits": [
        {
            "collection": "readings",
            "read": ["latitude", "longitude", "postal_code", "day", "temperature"],
            "questions": ["by_place", "by_postal_code"],
        }
    ],
    "scopes": ["event-types:read"],
    "limits": [{"calls": 10, "seconds": 1}, {"calls": 1000, "seconds": 86_400}],
    "expires": "2031-01-01T00:00:00Z",
}

FONT_FACE = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
STEP = re.compile(r"(\r\n|\n|\r|\x1b\[\d*A|\x1b\[2K|\x1b\[\?25[lh])")


def demo() -> None:
    """Run the demo in its own terminal, and draw the screen that it leaves."""
    said = run_in_terminal([sys.executable, str(ROOT / "examples" / "demo.py"), "--act", "evening"])
    with open(os.devnull, "w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor")
        for line in screen(said):
            console.print(Text.from_ansi(line), overflow="fold")
    # The id is in the names of the picture's styles: one that stays keeps changes of the file small.
    drawn = console.export_svg(title="make demo", unique_id="demo")
    # Fonts from elsewhere: where the picture is shown in a page they are not loaded, and elsewhere nobody should ask.
    (PICTURES / "demo.svg").write_text(FONT_FACE.sub("", drawn))


def run_in_terminal(command: list[str], columns: int = COLUMNS, rows: int = ROWS) -> str:
    """What a program writes to a terminal of this size. Raises CalledProcessError where it fails."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=ROOT)
    os.close(theirs)
    pieces = []
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            # Linux: how a terminal says that nobody writes to it any more.
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(ours)
    said = b"".join(pieces).decode(errors="replace")
    if process.wait() != 0:
        raise subprocess.CalledProcessError(process.returncode, command, said)
    return said


def screen(said: str) -> list[str]:
    """The lines that remain on the screen, after the live tables have drawn themselves over and over."""
    lines, row = [""], 0
    for piece in STEP.split(said):
        if piece in ("\r\n", "\n"):
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif piece.endswith("A") and STEP.fullmatch(piece):
            row = max(0, row - int(piece[2:-1] or 1))
        elif piece == "\x1b[2K":
            lines[row] = ""
        elif not STEP.fullmatch(piece):
            lines[row] += piece
    return "\n".join(lines).rstrip().split("\n")


def docs_page() -> None:
    """The page /docs of a server: a key that may ask two questions of the weather, and one of them asked."""
    with shown() as browser:
        browser.resize(PAGE_WIDTH, 1240)
        browser.do(f"window.card = document.getElementById({OPERATION!r}); card.open = true")
        browser.until("card.querySelector('.try')")
        browser.do("card.querySelector('.try').click()")
        browser.until("card.querySelector('.answer pre')")
        browser.do("document.activeElement.blur(); scrollTo(0, 0)")
        save("docs-page.png", browser)


def docs_phone() -> None:
    """The same on a phone at night: a wrong value, and what the server says about it."""
    with shown() as browser:
        browser.darken()
        browser.resize(390, 844)
        browser.do(f"window.card = document.getElementById({OPERATION!r}); card.open = true")
        browser.until("card.querySelector('.try')")
        browser.do("card.querySelector('[data-field=limit] input').value = '5000'; card.querySelector('.try').click()")
        browser.until("card.querySelector('.problem')")
        browser.do("card.querySelector('.snippet').scrollIntoView(); scrollBy(0, -40); document.activeElement.blur()")
        save("docs-phone.png", browser)


def docs_reference() -> None:
    """The full reference next to it."""
    with shown() as browser:
        browser.open(browser.do("new URL('docs/reference', location.href).href"))
        browser.until("document.querySelector('#reference h1')")
        browser.do("location.hash = 'tag/readings/GET/v1/items/readings:by_postal_code'")
        browser.until(
            "[...document.querySelectorAll('#reference h3')].some(each => each.innerText.includes('postal_code'))"
        )
        # The first lines below the heading are drawn once they are in view.
        browser.until("document.querySelector('#reference').innerText.includes('by_postal_code?')")
        save("docs-reference.png", browser)


def form_page() -> None:
    """The page of a form after something wrong was sent from it."""
    declared = YAML(typ="safe", pure=True).load(FORM)["links"]["contact"]["when"]["form"]
    with TestServer() as server, Browser() as browser:
        server.api.post("/v1/forms", declared)
        browser.resize(820, 1130)
        browser.open(f"{server.url}/f/{declared['path']}")
        for name, text in (("name", "Ann"), ("email", "ann"), ("message", "Do you ship to Graz?")):
            browser.do(f"document.getElementById('f-{name}').value = {json.dumps(text)}")
        browser.leave("document.querySelector('button').click()")
        save("form-page.png", browser)


def portal() -> None:
    """The portal of a customer, one of whose two endpoints fails."""
    with TestServer() as server, Browser() as browser:
        portal_picture.visit(server.api, browser)
        save("portal.png", browser)


@contextmanager
def shown() -> Iterator[Browser]:
    """A browser at the page /docs of a server of weather, with the key for everybody entered."""
    with TestServer() as server, Browser() as browser:
        server.api.post("/v1/collections:apply", YAML(typ="safe", pure=True).load(DECLARATIONS))
        for reading in READINGS:
            server.api.post("/v1/items/readings", reading)
        key = server.api.post("/v1/keys", KEY)["key"]
        browser.open(f"{server.url}/docs")
        browser.do(f"document.getElementById('key').value = {json.dumps(key)}")
        browser.do("document.getElementById('key-form').requestSubmit()")
        browser.until("document.getElementById('said').innerText.includes('This key may make')")
        yield browser


def save(name: str, browser: Browser) -> None:
    """Keep what is in view."""
    (PICTURES / name).write_bytes(browser.picture())


def program() -> str | None:
    """Where Chromium is; None where there is none."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


class Browser:
    """One headless Chromium with one page. The pipes are its file descriptors 3 and 4. `preferences`: its settings."""

    def __init__(self, preferences: dict[str, Any] | None = None) -> None:
        self._preferences = preferences or {}
        self.requests: list[str] = []
        """The address of everything that a page has asked for."""
        self.complaints: list[str] = []
        """What the page's scripts and its policy (CSP) have complained about."""

    def __enter__(self) -> Browser:
        found = program()
        if found is None:
            raise FileNotFoundError(MISSING)
        self._folder = tempfile.mkdtemp(prefix="tidings-browser-")
        Path(self._folder, "Default").mkdir()
        Path(self._folder, "Default", "Preferences").write_text(json.dumps(self._preferences))
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        # The shell gives the pipes the numbers that Chromium asks for.
        script = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
        flags = [*FLAGS, f"--user-data-dir={self._folder}", f"--window-size={PAGE_WIDTH},{PAGE_HEIGHT}"]
        self._process = subprocess.Popen(
            ["bash", "-c", script, found, *flags], pass_fds=(theirs_in, theirs_out), stderr=subprocess.DEVNULL
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._number, self._rest, self._session = 0, b"", ""
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Network", "Log", "Runtime"):
            self._ask(f"{domain}.enable")
        self.resize()
        self.darken(False)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)
        shutil.rmtree(self._folder, ignore_errors=True)

    def open(self, url: str) -> None:
        """Go to a page, and wait until it is there."""
        self.do("window.isLeft = true")
        self._ask("Page.navigate", url=url)
        self.until("!window.isLeft && document.readyState === 'complete'")

    def leave(self, script: str, key: str = "") -> None:
        """Run a script that leads to another page, or press a key after it, and wait until that page is there."""
        self.do(f"window.isLeft = true; {script}; 0")
        if key:
            self.press(key)
        # On the way to another origin there is an empty page for a moment.
        self.until("!window.isLeft && document.readyState === 'complete' && location.protocol !== 'about:'")

    def allow_scripts(self, allowed: bool) -> None:
        """Let pages run scripts, or none at all."""
        self._ask("Emulation.setScriptExecutionDisabled", value=not allowed)

    def do(self, script: str) -> Any:
        """The value of a script in the page. Raises RuntimeError where it fails."""
        answer = self._ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def until(self, condition: str, seconds: float = 20.0) -> None:
        """Wait until a script answers true. Raises NotInTime."""
        until(lambda: self.do(f"Boolean({condition})"), condition, seconds)

    def resize(self, width: int = PAGE_WIDTH, height: int = PAGE_HEIGHT) -> None:
        """Make the window so large, in CSS pixels."""
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def darken(self, dark: bool = True) -> None:
        """Prefer dark colours, or light ones."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        # Nothing moves either: where a thing is now, it is when the mouse clicks.
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self._ask("Emulation.setEmulatedMedia", features=[scheme, still])

    def permit_clipboard(self, origin: str) -> None:
        """Let pages of an origin (`http://127.0.0.1:8080`) write and read the clipboard, and count as in front."""
        permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"]
        self._ask("Browser.grantPermissions", origin=origin, permissions=permissions)
        self._ask("Emulation.setFocusEmulationEnabled", enabled=True)

    def type(self, text: str) -> None:
        """Type a text where the cursor is, as keys would."""
        self._ask("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press a key of KEYS."""
        code, text = KEYS[key]
        for kind in ("keyDown", "keyUp"):
            self._ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, text=text, windowsVirtualKeyCode=code)

    def click(self, element: str) -> None:
        """Click in the middle of what a script answers, with the mouse."""
        where = self.do(
            f"(() => {{ const each = {element}; each.scrollIntoView({{block: 'center', behavior: 'instant'}}); "
            "const box = each.getBoundingClientRect(); "
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._ask("Input.dispatchMouseEvent", type=kind, x=where[0], y=where[1], button="left", clickCount=1)

    def choose(self, ident: str, *paths: str) -> None:
        """Choose files in the input with an id."""
        found = self._ask("Runtime.evaluate", expression=f"document.getElementById({json.dumps(ident)})")
        self._ask("DOM.setFileInputFiles", files=paths, objectId=found["result"]["objectId"])

    def tree(self) -> list[dict[str, Any]]:
        """What a screen reader is given: the nodes of the accessibility tree that are not ignored, in order."""
        nodes = self._ask("Accessibility.getFullAXTree")["nodes"]
        return [
            {
                "role": node["role"]["value"],
                "name": node.get("name", {}).get("value", ""),
                "description": node.get("description", {}).get("value", ""),
                **{each["name"]: each["value"].get("value") for each in node.get("properties", ())},
            }
            for node in nodes
            if not node["ignored"]
        ]

    def picture(self) -> bytes:
        """The page as PNG."""
        return b64decode(self._ask("Page.captureScreenshot", format="png")["data"])

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command; its result. What the browser tells in between is noted."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads(self._read())
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return dict(answer["result"])
            self._note(answer.get("method", ""), answer.get("params", {}))

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Log.entryAdded" and params["entry"]["source"] != "network":
            self.complaints.append(params["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"]))

    def _read(self) -> bytes:
        while b"\0" not in self._rest:
            piece = os.read(self._in, 1 << 20)
            if not piece:
                raise RuntimeError("the browser has ended")
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        return message


MAKERS: dict[str, Callable[[], None]] = {
    "demo": demo,
    "docs-page": docs_page,
    "docs-phone": docs_phone,
    "docs-reference": docs_reference,
    "form-page": form_page,
    "portal": portal,
}


def main(names: list[str]) -> None:
    """Make the named pictures, or all."""
    unknown = set(names) - set(MAKERS)
    if unknown:
        sys.exit(f"There is no picture {', '.join(sorted(unknown))}. There are: {', '.join(MAKERS)}.")
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name in names or MAKERS:
        if name != "demo" and program() is None:
            sys.exit(MISSING)
        MAKERS[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
