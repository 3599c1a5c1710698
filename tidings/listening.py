"""The socket that the server listens on, and the processor that its threads share."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server as HttpServer

HEADER_READ_SECONDS = 9
HEADER_BUFFER_BYTES = 64 * 1024
BACKLOG, CONNECTIONS_MAX = 2_048, 10_000


def http_server(app: Any, host: str, port: int) -> HttpServer:
    """The HTTP server, not started yet. `app` is an RSGI application."""
    return HttpServer(
        app,
        address=host,
        port=port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=BACKLOG,
        backpressure=CONNECTIONS_MAX,
        http1_settings=HTTP1Settings(
            header_read_timeout=HEADER_READ_SECONDS * 1000, max_buffer_size=HEADER_BUFFER_BYTES
        ),
        log_enabled=False,
    )


def share_processor(threads: list[int], choice: int) -> None:
    """Keep these threads on one processor, where the system lets us; several servers take different ones.

    They share one interpreter: handing it from core to core costs more than a second core gains.
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    processors = sorted(os.sched_getaffinity(0))
    with contextlib.suppress(OSError):
        for thread in threads:
            os.sched_setaffinity(thread, {processors[choice % len(processors)]})


async def listening(host: str, port: int, serving: asyncio.Task[None]) -> None:
    """Wait until the socket takes connections. Raises what ended the server before that."""
    while not serving.done():
        try:
            _, writer = await asyncio.open_connection(dialable(host), port)
        except OSError:
            await asyncio.sleep(0.005)
            continue
        writer.close()
        return
    serving.result()
    raise OSError(f"the server could not listen on {host}:{port}")


def dialable(host: str) -> str:
    """The host at which to call who listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 -- names it, does not bind it


def url_of(host: str, port: int) -> str:
    """The URL of who listens there."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def free_port(host: str) -> int:
    """A port that nobody listens on."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
