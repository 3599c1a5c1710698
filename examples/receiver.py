"""A receiver of webhooks to begin with: it checks each signature, drops repeats, and prints what has come.

Run `python examples/receiver.py 9000`; it listens at http://127.0.0.1:9000/. The secret comes from WEBHOOK_SECRET, as
it would in production. Without that, the server (TIDINGS_URL, TIDINGS_KEY) is asked for the secrets of the endpoints
that have our URL; each endpoint has its own. It is asked again when a signature matches none of them, once a second at
most: an endpoint may have been registered, or its secret rotated, since.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import urlsplit

from tidings.client import BadSignature, Client, ClientError, verify

BODY_BYTES_MAX = 1_048_576
LOCAL = ("127.0.0.1", "localhost")
ASK_SECONDS = 1.0
"""How long the server is not asked for the secrets again."""


class Secrets:
    """What webhooks to this port are signed with: one that was given, or those that the server knows."""

    def __init__(self, port: int, given: str | None) -> None:
        self._port, self._given = port, given
        self._lock, self._asked = threading.Lock(), float("-inf")
        self.known = [given] if given else secrets_of(port)

    def verify(self, headers: dict[str, str], body: bytes) -> Any:
        """The webhook's JSON value. Raises BadSignature."""
        if self.known:
            try:
                return verify(headers, body, self.known)
            except BadSignature as wrong:
                if self._given or wrong.code != "no_match":
                    raise
        self._ask_again()
        if not self.known:
            raise BadSignature("bad_secret", "No endpoint has our URL, so no secret is known.")
        return verify(headers, body, self.known)

    def _ask_again(self) -> None:
        with self._lock:
            if time.monotonic() < self._asked + ASK_SECONDS:
                return
            self._asked = time.monotonic()
            try:
                self.known = secrets_of(self._port) or self.known
            except ClientError as wrong:
                print(f"The server does not say the secrets: {wrong}", flush=True)


class Hooks(BaseHTTPRequestHandler):
    """Answers 204 to a genuine webhook, 400 to anything else."""

    protocol_version = "HTTP/1.1"
    secrets: Secrets
    seen: ClassVar[set[str]] = set()
    """The ids that came before. Production keeps them in its database, for some days."""

    def do_POST(self) -> None:
        """One webhook."""
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_BYTES_MAX:
            self.close_connection = True
            return self.answer(413)
        body = self.rfile.read(length)
        try:
            event = self.secrets.verify(dict(self.headers), body)
        except BadSignature as wrong:
            print(f"refused: {wrong}", flush=True)
            return self.answer(400)
        ident = self.headers["webhook-id"]
        print(f"{'again' if ident in self.seen else 'verified'}: {event['type']} {ident} {event['data']}", flush=True)
        self.seen.add(ident)
        return self.answer(204)

    def answer(self, status: int) -> None:
        """A status without a body."""
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing but what is printed above."""


def secrets_of(port: int) -> list[str]:
    """The secrets of all endpoints at this port of this machine."""
    with Client(os.environ.get("TIDINGS_URL", "http://127.0.0.1:8080"), os.environ.get("TIDINGS_KEY")) as client:
        ours = [endpoint["id"] for endpoint in client.endpoints() if is_ours(endpoint["url"], port)]
        return [str(client.endpoint_secret(id)["secret"]) for id in ours]


def is_ours(url: str, port: int) -> bool:
    """Whether the URL leads to this port of this machine."""
    parts = urlsplit(url)
    return parts.port == port and parts.hostname in LOCAL


def main(port: int) -> None:
    """Receive until Ctrl-C."""
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), Hooks)
    except OSError as wrong:
        sys.exit(
            f"Nothing can listen on 127.0.0.1 port {port}: {wrong.strerror}. Choose another, as in: receiver.py 9001"
        )
    try:
        Hooks.secrets = Secrets(port, os.environ.get("WEBHOOK_SECRET"))
    except ClientError as wrong:
        sys.exit(f"The server does not say the secrets: {wrong}")
    print(f"receiving at http://127.0.0.1:{port}/", flush=True)
    if not Hooks.secrets.known:
        print(
            f"No endpoint has our URL yet. Register it: tidings endpoints create http://127.0.0.1:{port}/", flush=True
        )
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9000)
