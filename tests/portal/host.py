"""A page of the operator's own, on another site, that shows the portal in a frame; and a browser that looks inside."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from chromium import Browser
from tidings.testing import until

PAGE = """<!doctype html><title>Host</title><body><script>
window.got = [];
addEventListener("message", (event) => got.push([event.origin, event.data]));
window.show = (url) => {
  document.querySelector("iframe")?.remove();
  const frame = Object.assign(document.createElement("iframe"), {src: url});
  frame.style.width = "700px";
  document.body.append(frame);
};
</script>"""
BLOCKED = {"profile": {"default_content_setting_values": {"cookies": 2}}}
"""Chromium's preferences with which pages may store nothing: no cookies, no sessionStorage."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def host() -> Iterator[int]:
    """The operator's page; its port on every name of this machine. `localhost` is another site than 127.0.0.1."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class FrameBrowser(Browser):
    """A browser that can run scripts inside a frame of another site."""

    def __enter__(self) -> FrameBrowser:
        super().__enter__()
        return self

    @contextmanager
    def inside(self, url: str) -> Iterator[None]:
        """Be inside the frame whose URL begins so."""
        outer = self._session

        def target() -> str | None:
            self._session = ""
            found = self._ask("Target.getTargets")["targetInfos"]
            return next(
                (each["targetId"] for each in found if each["type"] == "iframe" and each["url"].startswith(url)), None
            )

        try:
            ident = until(target, f"there is a frame of {url}")
            self._session = self._ask("Target.attachToTarget", targetId=ident, flatten=True)["sessionId"]
            for domain in ("Network", "Log", "Runtime"):
                self._ask(f"{domain}.enable")
            yield
        finally:
            self._session = outer
