"""Makes the pictures of the documents, from real runs: the terminal of `make demo`, and the pages /docs of a server.

`python tools/make_pictures.py [demo] [docs-page] [docs-phone] [docs-reference]` writes docs/pictures/. All but the
first need Chromium on the path.
"""

from __future__ import annotations

import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path

from rich.console import Console
from rich.text import Text
from ruamel.yaml import YAML

import portal_picture
from chromium import MISSING, PAGE_WIDTH, Browser, program
from tidings.testing import TestServer

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
COLUMNS, ROWS = 112, 60
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
