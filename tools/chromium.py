"""Chromium, driven through its protocol (CDP) over two pipes: for the pictures of the documents and the tests of pages.

Nothing but the standard library and Chromium itself is needed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from base64 import b64decode
from pathlib import Path
from types import TracebackType
from typing import Any

from tidings.testing import NotInTime, until

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
REPLACED = (
    "Cannot find context with specified id",
    "Cannot find default execution context",
    "Execution context was destroyed",
    "Inspected target navigated or closed",
    "Promise was collected",
)
"""What Chromium says of a script whose page was replaced by another one before it ended."""


class NotThere(RuntimeError):
    """A script did not find what it asked for: its page was replaced, or an element is not drawn yet."""


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
        """The value of a script in the page. Raises RuntimeError if it fails, NotThere if waiting may help."""
        answer = self._ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if wrong := answer.get("exceptionDetails"):
            # Such as a member of null, where a selector finds nothing.
            is_early = wrong.get("exception", {}).get("className") == "TypeError"
            raise (NotThere if is_early else RuntimeError)(f"{script}: {wrong}")
        return answer["result"].get("value")

    def until(self, condition: str, seconds: float = 20.0) -> None:
        """Wait until a script returns true, on this page or on one that replaces it. Raises NotInTime."""
        missed: list[NotThere] = []

        def holds() -> bool:
            try:
                found = bool(self.do(f"Boolean({condition})"))
                missed.clear()
                return found
            except NotThere as wrong:
                missed[:] = [wrong]
                return False

        try:
            until(holds, condition, seconds)
        except NotInTime as late:
            raise late from next(iter(missed), None)

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
                if wrong := answer.get("error"):
                    is_replaced = wrong["message"].startswith(REPLACED)
                    raise (NotThere if is_replaced else RuntimeError)(f"{method}: {wrong}")
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
