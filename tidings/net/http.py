"""The HTTP client: libcurl's multi interface on epoll.

One thread drives it: `send` queues a request, `poll` waits for sockets and calls back with the results. Nothing here
raises for a bad server, and nothing is judged: a Reply says what was received, or what failed, from a closed list.

Names are looked up first (`net/names.py`); libcurl gets the addresses with the request and never looks a name up
itself. Each set of addresses has an alias, and connections belong to the alias: they end when the addresses do. libcurl
may not rewind a body, so one that was sent is never repeated here. HTTP/2 would hide that, which is why this speaks
HTTP/1.1.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import certifi
import msgspec
import pycurl

from tidings.net.handle import A_GLANCE, AnswerLimits, Done, Handle, HttpRequest, Refusal, Tls
from tidings.net.mail import MailHandle, MailRequest
from tidings.net.names import LOOKUP_SECONDS, NAMES_KEPT, Names, Resolved
from tidings.net.reply import FailureKind, Reply, TransportFailure
from tidings.rules.network.address import Networks

__all__ = [
    "A_GLANCE",
    "AnswerLimits",
    "FailureKind",
    "HttpClient",
    "HttpRequest",
    "Reply",
    "Tls",
    "TransportFailure",
]

LOOK_SECONDS = 0.5
"""How often to check for response bodies that take too long."""
HUNG_SECONDS = 1.5
"""How long after a connection was closed libcurl notices it on its own."""
PROXY_LOOKUP_SECONDS = 1.0
"""How long we try to resolve a name ourselves before we ask the proxy to connect to it."""
CONNECTIONS_CACHED = 1_024
IDLE_HANDLES_KEPT = 256
CONNECTION_SECONDS = 120
"""How long a connection is used, even if it is busy. The next connection then uses the host's current address."""
LOADED_SECONDS = 120.0
"""How long we rely on libcurl to remember the addresses of an alias. It actually remembers them longer."""
LITERAL = "address"
"""The alias that is used if the URL itself contains the address."""
CA_FILES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_READS = select.EPOLLIN | select.EPOLLRDHUP


class HttpClient:
    """Many requests at once on one thread, over a shared pool of keep-alive connections."""

    def __init__(
        self,
        refusal: Refusal,
        user_agent: str,
        ca_file: str | None = None,
        names: Names | None = None,
        connection_seconds: int = CONNECTION_SECONDS,
        proxy: str | None = None,
    ) -> None:
        """`proxy`: the URL of a proxy for all connections; it looks names up, and we check what we know."""
        ca_file = ca_file or next((path for path in CA_FILES if Path(path).exists()), certifi.where())
        self._make: Callable[[type[Handle]], Handle] = lambda kind: kind(
            refusal, user_agent, ca_file, connection_seconds, self._is_hung, self._on_open, proxy
        )
        self._proxied = proxy is not None
        self._own_names = names is None
        self._names = names or Names()
        self._found: deque[tuple[Handle, int, Resolved | None]] = deque()
        """Handles whose look-up has ended, with its result; None if the URL itself contains the address."""
        self._waits: list[tuple[float, int, int, Handle]] = []
        self._starting: list[Handle] = []
        self._look_at = 0.0
        self._unsteady: dict[str, int] = {}
        self._loaded: dict[tuple[str, int], float] = {}
        self._apart: dict[tuple[str, tuple[str, ...], Networks], Resolved] = {}
        self._aliases = 0
        self._epoll = select.epoll()
        self._watched: dict[int, tuple[int, int]] = {}
        """By socket: the events for which epoll watches it, and how many sockets had been opened when that was last
        certain."""
        self._opened = 0
        self._resting: set[int] = set()
        self._hung: dict[int, float] = {}
        self._fd_of_port: dict[int, int] = {}
        self._idle: list[Handle] = []
        self._busy: dict[pycurl.Curl, Handle] = {}
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, CONNECTIONS_CACHED)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._closing = threading.Lock()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._epoll.register(self._wake_read, select.EPOLLIN)

    @property
    def held(self) -> int:
        """How many requests it holds back; `done` of these is not called for now."""
        return 0

    @property
    def in_flight(self) -> int:
        """How many requests are in flight."""
        return len(self._busy)

    def send(self, request: HttpRequest, done: Done) -> None:
        """Start a request; `done` is called from `poll`. Raises ValueError if it cannot be built."""
        if isinstance(request, MailRequest):
            handle = self._make(MailHandle)
        else:
            handle = self._idle.pop() if self._idle else self._make(Handle)
        try:
            handle.load(request, done)
        except (pycurl.error, UnicodeError, TypeError) as wrong:
            raise ValueError(f"the request cannot be built: {wrong}") from wrong
        self._busy[handle.curl] = handle
        name = handle.target.name
        if name is None and not self._proxied:
            if request.opens and handle.target.address is not None:
                self._dial(handle, Resolved((handle.target.address,), None, 0.0, 0.0, LITERAL))
            else:
                self._starting.append(handle)
            return
        found = None if name is None else self._names.known(name, request.tenant)
        if found is not None and found.addresses and not self._proxied:
            self._dial(handle, found)
        elif found is not None or name is None:
            self._found.append((handle, handle.serial, found))
        else:
            self._look_up(handle, name)

    def poll(self, timeout_seconds: float) -> None:
        """Wait for sockets, a wake-up or the timeout, whichever is first, and call back for finished requests."""
        for fd, event in self._epoll.poll(self._patience(timeout_seconds)):
            if fd == self._wake_read:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_read, 65536)
                continue
            if fd in self._resting:
                self._hang_up(fd)
                continue
            mask = (pycurl.CSELECT_IN if event & (select.EPOLLIN | select.EPOLLHUP) else 0) | (
                pycurl.CSELECT_OUT if event & select.EPOLLOUT else 0
            )
            self._multi.socket_action(fd, mask | (pycurl.CSELECT_ERR if event & select.EPOLLERR else 0))
        if self._found:
            self._dial_found()
        if self._starting:
            self._start()
        # Asked, not told: each callback of libcurl has to wait for the interpreter.
        if self._busy and self._multi.timeout() == 0:
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._collect()
        if self._busy and time.monotonic() >= self._look_at:
            self._mind_bodies()
        if self._waits:
            self._mind_waits()

    def wake(self) -> None:
        """End a waiting `poll`; may be called from any thread."""
        with self._closing, contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"w")

    def close(self) -> None:
        """Drop every connection and request."""
        for curl, handle in self._busy.items():
            if handle.added:
                self._multi.remove_handle(curl)
            curl.close()
        self._busy.clear()
        for handle in self._idle:
            handle.curl.close()
        self._multi.close()
        self._epoll.close()
        os.close(self._wake_read)
        with self._closing:
            # A look-up may still call back; the number must not belong to another file by then.
            os.close(self._wake_write)
            self._wake_write = -1
        if self._own_names:
            self._names.close()

    def _patience(self, wait: float) -> float:
        if self._found or self._starting:
            return 0.0
        if not self._busy:
            return wait
        now = time.monotonic()
        wait = min(wait, max(self._look_at - now, 0.0) if self._look_at > now - LOOK_SECONDS else LOOK_SECONDS)
        if (millis := self._multi.timeout()) >= 0:
            wait = min(wait, millis / 1000)
        if self._waits:
            wait = min(wait, self._waits[0][0] - now)
        return max(0.0, wait)

    def _start(self) -> None:
        """Hand ready requests to libcurl. Connections closed just now are known by then."""
        if self._hung:
            old = time.monotonic() - HUNG_SECONDS
            self._hung = {fd: when for fd, when in self._hung.items() if when > old}
        for handle in self._starting:
            if self._hung:
                handle.look_first()
            handle.added = True
            self._multi.add_handle(handle.curl)
        self._starting.clear()

    # --- names --------------------------------------------------------------------------------------------------------

    def _look_up(self, handle: Handle, name: str) -> None:
        serial = handle.serial

        def done(found: Resolved) -> None:
            self._found.append((handle, serial, found))
            self.wake()

        handle.waits = done
        patience = min(PROXY_LOOKUP_SECONDS if self._proxied else LOOKUP_SECONDS, handle.timeout_seconds)
        heapq.heappush(self._waits, (handle.began + patience, id(handle), serial, handle))
        self._names.look_up(name, handle.tenant, done)

    def _dial(self, handle: Handle, found: Resolved) -> None:
        if handle.opens:
            found = self._kept_apart(found, handle.opens)
        known = self._loaded.get((found.alias, handle.target.port), 0.0)
        handle.dial(found, load=known < handle.began - LOADED_SECONDS)
        self._starting.append(handle)

    def _kept_apart(self, found: Resolved, opens: Networks) -> Resolved:
        """The same addresses by another alias, so that nobody else reuses a connection that only this one may open."""
        key = (found.alias, found.addresses, opens)
        known = self._apart.get(key)
        if known is None:
            if len(self._apart) >= NAMES_KEPT:
                self._apart.clear()
            self._aliases += 1
            known = self._apart[key] = msgspec.structs.replace(found, alias=f"apart-{self._aliases}.tidings.invalid")
        return known

    def _dial_found(self) -> None:
        while self._found:
            handle, serial, found = self._found.popleft()
            if handle.serial != serial:
                continue
            handle.waits = None
            if self._proxied:
                self._hand_to_proxy(handle, found)
            elif found is not None and found.addresses:
                self._dial(handle, found)
            else:
                self._end(handle, handle.unresolved(found.problem if found is not None else None))

    def _hand_to_proxy(self, handle: Handle, found: Resolved | None) -> None:
        """Send through the proxy, unless a known address may not be called. The proxy may know others."""
        refused = handle.refused(found)
        if refused is None:
            self._starting.append(handle)
        else:
            self._end(handle, refused)

    def _mind_waits(self) -> None:
        """Give up names that took too long."""
        now = time.monotonic()
        late = False
        while self._waits and self._waits[0][0] <= now:
            _, _, serial, handle = heapq.heappop(self._waits)
            if handle.serial == serial and handle.waits is not None and handle.target.name is not None:
                self._names.forget(handle.target.name, handle.waits)
                handle.waits = None
                late = True
                if self._proxied:
                    self._starting.append(handle)
                else:
                    self._end(handle, handle.unresolved("silent"))
        if late:
            self._names.expire()

    def _mind_address(self, name: str, reply: Reply) -> None:
        """A failing address is looked up again and gets a new connection: at once if nothing responded."""
        if reply.status is not None and reply.status < 500:
            self._unsteady.pop(name, None)
            return
        fails = self._unsteady.get(name, 0) + 1
        if fails > 1 or reply.status is None:
            self._names.doubt(name)
        if len(self._unsteady) >= NAMES_KEPT:
            self._unsteady.clear()
        self._unsteady[name] = fails

    # --- what came ----------------------------------------------------------------------------------------------------

    def _mind_bodies(self) -> None:
        """Stop waiting for a body that takes too long after the head is complete."""
        now = time.monotonic()
        self._look_at = now + LOOK_SECONDS
        for handle in [each for each in self._busy.values() if each.head_at is not None]:
            if handle.head_at is not None and now - handle.head_at >= handle.wanted.seconds:
                self._finish(handle.curl, pycurl.E_OPERATION_TIMEDOUT, "")

    def _collect(self) -> None:
        while True:
            left, good, bad = self._multi.info_read()
            for curl in good:
                self._finish(curl, 0, "")
            for curl, number, message in bad:
                self._finish(curl, number, message)
            if not left:
                return

    def _finish(self, curl: pycurl.Curl, number: int, message: str) -> None:
        self._multi.remove_handle(curl)
        handle = self._busy[curl]
        if number and handle.stayed_here(number):
            # The kept connection was dead, and nothing was sent: that is not an attempt.
            handle.renew()
            self._starting.append(handle)
            return
        reply = handle.reply(number, message)
        name = handle.target.name
        if handle.loads is not None:
            if len(self._loaded) >= NAMES_KEPT:
                self._loaded.clear()
            self._loaded[handle.loads, handle.target.port] = handle.began
        if name is not None and not self._proxied and (self._unsteady or reply.status is None or reply.status >= 500):
            self._mind_address(name, reply)
        self._end(handle, reply)

    def _end(self, handle: Handle, reply: Reply) -> None:
        del self._busy[handle.curl]
        done = handle.done
        handle.rest()
        if len(self._idle) < IDLE_HANDLES_KEPT and not handle.special:
            self._idle.append(handle)
        else:
            handle.curl.close()
        done(reply)

    # --- sockets ------------------------------------------------------------------------------------------------------

    def _on_open(self) -> None:
        """A socket is opened, perhaps with the number of one that was closed without notice."""
        self._opened += 1

    def _on_socket(self, what: int, fd: int, _multi: object, _data: object) -> None:
        if what == pycurl.POLL_REMOVE:
            # It may be kept, and is watched as the next request will want it, since each change is a system call and
            # hands the interpreter over.
            if fd in self._watched and (self._watched[fd] == (_READS, self._opened) or self._watch(fd, _READS)):
                self._resting.add(fd)
            return
        mask = (_READS if what & pycurl.POLL_IN else 0) | (select.EPOLLOUT if what & pycurl.POLL_OUT else 0)
        self._resting.discard(fd)
        known = self._watched.get(fd)
        if known != (mask, self._opened) and (known is None or not self._watch(fd, mask)):
            self._hung.pop(fd, None)
            self._epoll.register(fd, mask)
            self._watched[fd] = mask, self._opened
            with contextlib.suppress(OSError, IndexError), socket.socket(fileno=os.dup(fd)) as connection:
                self._fd_of_port[connection.getsockname()[1]] = fd

    def _watch(self, fd: int, mask: int) -> bool:
        """Watch a known socket for something else.

        False if its number was closed, and perhaps reused, in the meantime.
        """
        try:
            self._epoll.modify(fd, mask)
        except (OSError, ValueError):
            self._watched.pop(fd, None)
            return False
        self._watched[fd] = mask, self._opened
        return True

    def _hang_up(self, fd: int) -> None:
        """A kept connection was closed, or received unrequested data: it must not be used again. libcurl itself checks
        this only once a second, and would take the data for the response to the next request.
        """
        self._resting.discard(fd)
        self._watched.pop(fd, None)
        self._hung[fd] = time.monotonic()
        with contextlib.suppress(OSError, ValueError):
            self._epoll.unregister(fd)

    def _is_hung(self, local_port: int) -> bool:
        return self._fd_of_port.get(local_port) in self._hung
