"""Firefox and WebKit, as far as tests of frames need them: open a page, go into its frame, run a script."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests import programs
from tidings.testing import until
from tidings.testing.ports import free_port

START_SECONDS = 60.0
MINI_BROWSER = next(Path("/usr/lib").glob("*/webkit2gtk-4.1/MiniBrowser"), None)
PREFERENCES = {
    # Pages may store nothing: no cookies, no sessionStorage.
    "network.cookie.cookieBehavior": 2,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False,
}


class Engine(ABC):
    """One page of a browser."""

    @abstractmethod
    def ask(self, what: str, **params: Any) -> Any:
        """One command of WebDriver, by its path and by Marionette's name for it. Raises RuntimeError."""

    def open(self, url: str) -> None:
        """Go to a page."""
        self.ask("url Navigate", url=url)

    def do(self, script: str) -> Any:
        """The value of a script."""
        return self.ask("execute/sync ExecuteScript", script=f"return {script}", args=[])

    def until(self, condition: str) -> None:
        """Wait until a script answers true. Raises NotInTime."""
        until(lambda: self.do(f"Boolean({condition})"), condition, START_SECONDS)

    def enter(self) -> None:
        """Go into the page's frame."""
        self.ask(
            "frame SwitchToFrame", **self.inside(self.ask("element FindElement", using="css selector", value="iframe"))
        )

    def leave(self) -> None:
        """Go back to the page itself."""
        self.ask("frame SwitchToFrame", **self.inside(None))

    @abstractmethod
    def inside(self, element: Any) -> dict[str, Any]:
        """How a frame is named."""


class Marionette(Engine):
    """Firefox's own protocol: messages with their length before them."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._rest, self._number = connection, b"", 0
        self._read()
        self.ask(" NewSession")

    def ask(self, what: str, **params: Any) -> Any:
        self._number += 1
        message = json.dumps([0, self._number, f"WebDriver:{what.partition(' ')[2]}", params]).encode()
        self._connection.sendall(b"%d:%s" % (len(message), message))
        _, _, wrong, result = self._read()
        if wrong:
            raise RuntimeError(f"{what}: {wrong}")
        return result.get("value")

    def inside(self, element: Any) -> dict[str, Any]:
        return {"element": next(iter(element.values())) if element else None}

    def _read(self) -> Any:
        while b":" not in self._rest:
            self._more()
        size, _, self._rest = self._rest.partition(b":")
        while len(self._rest) < int(size):
            self._more()
        message, self._rest = self._rest[: int(size)], self._rest[int(size) :]
        return json.loads(message)

    def _more(self) -> None:
        piece = self._connection.recv(65_536)
        if not piece:
            raise RuntimeError("the browser has ended")
        self._rest += piece


class WebDriver(Engine):
    """WebKit's driver, over HTTP."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/session/"
        options = {"binary": str(MINI_BROWSER), "args": ["--automation"]}
        wanted = {"browserName": "MiniBrowser", "webkitgtk:browserOptions": options}
        self._url += self._post(f"{url}/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def ask(self, what: str, **params: Any) -> Any:
        return self._post(f"{self._url}/{what.partition(' ')[0]}", params)

    def inside(self, element: Any) -> dict[str, Any]:
        return {"id": element}

    def _post(self, url: str, body: Mapping[str, Any]) -> Any:
        request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urlopen(request, timeout=START_SECONDS) as answer:
            return json.load(answer)["value"]


@contextmanager
def firefox(folder: Path) -> Iterator[Engine]:
    """Firefox, which stores nothing."""
    program, port = programs.needed("firefox"), free_port()
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items()]
    (folder / "user.js").write_text("\n".join([*lines, f'user_pref("marionette.port", {port});']))
    with ExitStack() as stack:
        command = [program, "--headless", "--marionette", "--no-remote", "--profile", str(folder)]
        stack.enter_context(running(command, folder))
        connection = stack.enter_context(until(lambda: reached(port), "Firefox listens", START_SECONDS))
        connection.settimeout(START_SECONDS)
        yield Marionette(connection)


@contextmanager
def webkit(folder: Path) -> Iterator[Engine]:
    """WebKit, on a screen that nobody sees."""
    driver, xvfb, port, display = (
        programs.needed("WebKitWebDriver"),
        programs.needed("Xvfb"),
        free_port(),
        ":" + str(os.getpid()),
    )
    if MINI_BROWSER is None:
        pytest.skip(f"{programs.MISSING}WebKitWebDriver")
    with ExitStack() as stack:
        stack.enter_context(running([xvfb, display, "-screen", "0", "1200x1000x24"], folder))
        stack.enter_context(
            running([driver, f"--port={port}"], folder, DISPLAY=display, WEBKIT_DISABLE_DMABUF_RENDERER="1")
        )
        until(lambda: reached(port), "WebKit's driver listens", START_SECONDS).close()
        yield WebDriver(f"http://127.0.0.1:{port}")


@contextmanager
def running(command: list[str], home: Path, **more: str) -> Iterator[None]:
    """A process with a home of its own, ended afterwards."""
    environment = os.environ | {"HOME": str(home), "LIBGL_ALWAYS_SOFTWARE": "1", **more}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def reached(port: int) -> socket.socket | None:
    """A connection, once somebody listens."""
    try:
        return socket.create_connection(("127.0.0.1", port))
    except OSError:
        return None
