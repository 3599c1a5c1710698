"""A small mail server for the examples: it takes every mail and shows it, or refuses as it is asked to."""

from __future__ import annotations

import email
import socketserver
import threading
from email.message import EmailMessage
from email.policy import default
from typing import cast


class Mailbox(socketserver.ThreadingTCPServer):
    """Listens on a free port of 127.0.0.1; use it in a `with`."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.mails: list[EmailMessage] = []
        self.refusals: list[bytes] = []
        """Answers to the next recipients, instead of 250."""
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)

    def __enter__(self) -> Mailbox:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        """Its URL."""
        return f"smtp://127.0.0.1:{self.server_address[1]}"


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server = cast(Mailbox, self.server)
        self.wfile.write(b"220 mailbox\r\n")
        for line in self.rfile:
            word = line[:4].upper()
            if word == b"RCPT" and server.refusals:
                self.wfile.write(server.refusals.pop(0) + b"\r\n")
            elif word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = iter(self.rfile.readline, b".\r\n")
                raw = b"".join(each[1:] if each.startswith(b".") else each for each in lines)
                server.mails.append(email.message_from_bytes(raw, policy=default))
                self.wfile.write(b"250 taken\r\n")
            elif word == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 ok\r\n")
