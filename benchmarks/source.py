"""Another system that is polled, in pages of 1,000 records. Run: python -m benchmarks.source PAGES.

It prints its port. `?page=N` answers page N of records with about 300 bytes each, and says where the next one is.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

PAGE_RECORDS = 1_000


def page(number: int, pages: int) -> bytes:
    """One page."""
    first = number * PAGE_RECORDS
    records = [
        {
            "id": f"c-{first + each:08}",
            "name": f"Contact number {first + each}",
            "email": f"contact{first + each}@example.com",
            "phone": "+49 30 1234567",
            "address": {"street": "Unter den Linden 1", "city": "Berlin", "zip": "10117"},
            "tags": ["customer", "newsletter"],
            "changed": "2026-01-01T00:00:00Z",
        }
        for each in range(PAGE_RECORDS)
    ]
    more = f"/?page={number + 1}" if number + 1 < pages else None
    return json.dumps({"records": records, "next": more}).encode()


class Handler(BaseHTTPRequestHandler):
    """Answers pages, over connections that stay open."""

    protocol_version = "HTTP/1.1"
    pages: ClassVar[int] = 1

    def do_GET(self) -> None:
        """One page."""
        raw = page(int(self.path.partition("page=")[2] or 0), self.pages)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged."""


if __name__ == "__main__":
    Handler.pages = int(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
