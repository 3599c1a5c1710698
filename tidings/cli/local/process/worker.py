"""The program of a worker: `tidings serve`, with orders from its supervisor through standard input."""

from __future__ import annotations

import socket
import sys

from tidings.cli.local.serve import serve
from tidings.nodes.worker import Worker


def main() -> int:
    """Run it; returns the exit status."""
    try:
        worker = Worker(socket.socket(fileno=sys.stdin.fileno()))
    except EOFError:
        return 1
    return serve(worker.order.flags, worker)


if __name__ == "__main__":
    sys.exit(main())
