"""A receiver of webhooks to begin with: it checks each signature, drops repeats, and prints what has come.

Run `python examples/receiver.py 9000`; it listens at http://127.0.0.1:9000/. The secret comes from WEBHOOK_SECRET, as
it would in production. Without that, the server (TIDINGS_URL, TIDINGS_KEY) is asked for the secrets of the endpoints
that have our URL; each endpoint has its own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlsplit

from tidings.client import BadSignature, Client, verify

BODY_BYTES_MAX = 1_048_576
LOCAL = ("127.0.0.1", "localhost")


class Hooks(BaseHTTPRequestHandler):
    """Answers 204 to a genuine webhook, 400 to anything else."""

    protocol_version = "HTTP/1.1"
    secrets: Sequence[str] = ()
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
            event = verify(dict(self.headers), body, self.secrets)
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
    """The secrets of all endpoints at this port of this machine. Ends the program if there are none."""
    with Client(os.environ.get("TIDINGS_URL", "http://127.0.0.1:8080"), os.environ.get("TIDINGS_KEY")) as client:
        ours = [endpoint["id"] for endpoint in client.endpoints() if is_ours(endpoint["url"], port)]
        secrets = [str(client.endpoint_secret(id)["secret"]) for id in ours]
    if not secrets:
        sys.exit(f"No endpoint has our URL. Register it: tidings endpoints create http://127.0.0.1:{port}/")
    return secrets


def is_ours(url: str, port: int) -> bool:
    """Whether the URL leads to this port of this machine."""
    parts = urlsplit(url)
    return parts.port == port and parts.hostname in LOCAL


def main(port: int) -> None:
    """Receive until Ctrl-C."""
    given = os.environ.get("WEBHOOK_SECRET")
    Hooks.secrets = [given] if given else secrets_of(port)
    server = ThreadingHTTPServer(("127.0.0.1", port), Hooks)
    print(f"receiving at http://127.0.0.1:{port}/", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9000)
