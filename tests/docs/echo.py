"""A server that knows nothing of Tidings: it serves the files of the page and a document of the test's own.

Every other call it answers with what arrived. So a test sees exactly what a form or a copied snippet sends.
"""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any

import tidings.web.docs
from tidings.web.docs.pages import OURS, PAGE_POLICY

STATIC = Path(tidings.web.docs.__file__).parent / "static"
MEDIA = {".css": "text/css", ".js": "text/javascript", ".html": "text/html; charset=utf-8"}
SENT = ("authorization", "content-type", "x-text", "idempotency-key")
"""The headers that an answer tells of."""


class Echo:
    """The server, in a `with`. `document` may be changed at any time; `status` and `headers` shape its answers."""

    def __init__(self) -> None:
        self.document: dict[str, Any] = {"openapi": "3.1.0", "info": {"title": "Echo", "version": "1"}, "paths": {}}
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body: Any = None
        """What is answered in place of what arrived."""
        self.seen: list[dict[str, Any]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Echo:
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def hold(self, paths: dict[str, Any], **more: Any) -> None:
        """Serve a document with these paths."""
        self.document = {**self.document, "paths": paths, **more}


def _handler(echo: Echo) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            path = self.path.partition("?")[0]
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if path == "/docs" or path.startswith("/docs/"):
                name = path.rpartition("/")[2]
                file = STATIC / ("page/docs.html" if path == "/docs" else f"{OURS[name]}/{name}")
                self.send(200, file.read_bytes(), MEDIA[file.suffix], {"content-security-policy": PAGE_POLICY})
            elif path == "/v1/openapi.json":
                self.send(200, json.dumps(echo.document).encode(), "application/json", echo.headers)
            else:
                said = {"method": self.command, "target": self.path, "body": body.decode()}
                said |= {name: self.headers[name] for name in SENT if name in self.headers}
                echo.seen.append(said)
                media = "application/json" if echo.status < 400 else "application/problem+json"
                shown = said if echo.body is None else echo.body
                self.send(echo.status, json.dumps(shown).encode(), media, echo.headers)

        def send(self, status: int, content: bytes, media: str, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"content-type": media, "content-length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the tests look at what was seen."""

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    return Handler
