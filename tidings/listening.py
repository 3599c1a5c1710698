"""The socket that the server listens on, and the processor that its threads share."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
from typing import Any

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server as HttpServer

HEADER_READ_SECONDS = 9
HEADER_BUFFER_BYTES = 64 * 1024
STOP_HTTP_SECONDS = 3
BACKLOG, CONNECTIONS_MAX = 2_048, 10_000
LEAVE_SECONDS = 1.0
"""For how many seconds an entrance that accepts no new connections still serves existing ones."""
THREADS_STEPS = 10
"""How many turns of the event loop to wait for an HTTP server to start its threads. It takes two; more are safer."""
_PROCESSORS: set[int] = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()

log = logging.getLogger("tidings.server")


class _OnSocket(HttpServer):
    """An HTTP server on an open socket. Its own socket would have SO_REUSEPORT, so two servers could share it."""

    def __init__(self, app: Any, opened: socket.socket, **options: Any) -> None:
        self._opened = opened
        host, port = opened.getsockname()[:2]
        super().__init__(app, address=host, port=port, **options)

    def _init_shared_socket(self) -> None:
        # The worker closes it.
        self._shd = SocketHolder(self._opened.detach(), False, BACKLOG)  # type: ignore[assignment,call-arg]


def opened(host: str, port: int) -> socket.socket:
    """The only socket that listens there; port 0 means a free port. Raises OSError with a sentence for the operator."""
    taken = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        # Remains of connections to an earlier server do not block the port.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, port))
        taken.setblocking(False)
        taken.listen(BACKLOG)
    except OSError as wrong:
        taken.close()
        if wrong.errno == errno.EADDRINUSE:
            message = f"{host} port {port} is in use by another process. Stop that process, or choose another --port."
            raise OSError(message) from None
        raise OSError(f"Tidings cannot listen on {host} port {port}: {wrong.strerror or wrong}.") from None
    return taken


def http_server(app: Any, opened: socket.socket) -> HttpServer:
    """The HTTP server, not started yet, which from then on owns the socket. `app` is an RSGI application."""
    return _OnSocket(
        app,
        opened,
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


class Entrance:
    """A socket at which an application takes calls, from the moment it is made. Belongs to the running event loop."""

    def __init__(self, app: Any, opened: socket.socket) -> None:
        self._app, self._descriptor, self._leaves = app, opened.fileno(), False
        self._http = http_server(self, opened)
        self.serving = asyncio.create_task(self._serve())

    def __rsgi__(self, scope: Any, proto: Any) -> Any:
        return self._app.__rsgi__(scope, _Closing(proto) if self._leaves else proto)

    def leave(self) -> None:
        """For a socket that others share: accept no new connections here. Nobody who calls within LEAVE_SECONDS is cut
        off.

        Connected callers learn from the response that the connection ends. Ending the HTTP server at once would close
        connections that were just accepted.
        """
        if self._leaves or self.serving.done():
            return
        self._leaves = True
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            # The HTTP server continues to accept connections, on a socket that gets none.
            nobody.setblocking(False)
            os.dup2(nobody.fileno(), self._descriptor, inheritable=False)
        asyncio.get_running_loop().call_later(LEAVE_SECONDS, self._http.stop)

    async def ended(self) -> None:
        """Accept no new connections, and wait a moment for requests in progress."""
        await ended(self._http, self.serving)

    async def _serve(self) -> None:
        # Its threads inherit the processors of this one, which may keep to a single one.
        kept = _on_processors(_PROCESSORS)
        serving = asyncio.create_task(self._http.serve())
        for _ in range(THREADS_STEPS):
            await asyncio.sleep(0)
        _on_processors(kept)
        await serving


class _Closing:
    """The protocol object of an application, on a connection that ends with the response."""

    def __init__(self, proto: Any) -> None:
        self._proto = proto

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._proto, name)
        if not name.startswith("response_"):
            return found
        return lambda status, headers, *more: found(status, [*headers, ("connection", "close")], *more)

    def __call__(self) -> Any:
        return self._proto()

    def __aiter__(self) -> Any:
        return self._proto.__aiter__()


async def ended(http: HttpServer, serving: asyncio.Task[None]) -> None:
    """Accept no new connections, and wait a moment for requests in progress."""
    http.stop()  # type: ignore[no-untyped-call]
    try:
        await asyncio.wait_for(serving, STOP_HTTP_SECONDS)
    except TimeoutError:
        log.warning("some connections did not end in time and were closed")


def share_processor(threads: list[int], choice: int) -> None:
    """Keep these threads on one processor, if the system permits; several servers take different ones.

    They share one interpreter, and handing it from core to core costs more than a second core gains.
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    processors = sorted(os.sched_getaffinity(0))
    with contextlib.suppress(OSError):
        for thread in threads:
            os.sched_setaffinity(thread, {processors[choice % len(processors)]})


def _on_processors(wanted: set[int]) -> set[int]:
    """Move this thread to these processors, if the system permits; returns those that it was on."""
    if not hasattr(os, "sched_setaffinity"):
        return wanted
    before = os.sched_getaffinity(0)
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, wanted)
    return before


async def listening(host: str, port: int, serving: asyncio.Task[None]) -> None:
    """Wait until the socket accepts connections. Raises whatever ended the server before that."""
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
    """The host to call for a server that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 -- names it, does not bind it


def reached_at(host: str, port: int) -> str:
    """The URL at which other machines reach a server that listens there, with this machine's name if it listens on
    all addresses."""
    return url_of(socket.gethostname() if host in ("0.0.0.0", "::") else host, port)  # noqa: S104 -- names them


def url_of(host: str, port: int) -> str:
    """The URL of a server that listens there."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
