"""The HTTP client: libcurl's multi interface on epoll (the only file that imports pycurl).

One thread drives it: `send` queues a request, `poll` waits for sockets and calls back with what came. Nothing
here raises for a bad endpoint: a Reply carries an outcome from the closed list.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path

import certifi
import msgspec
import pycurl

from tidings.model import outcome as outcomes
from tidings.model.outcome import Outcome

CONNECT_SECONDS = 5.0
ANSWER_BYTES_KEPT = 16 * 1024
ANSWER_BYTES_READ = 64 * 1024
HEADER_BYTES_MAX = 64 * 1024
CONNECTIONS_CACHED = 1_024
IDLE_HANDLES_KEPT = 256
IDLE_CONNECTION_SECONDS = 60
IDLE_BODY_BYTES_MAX = 16 * 1024
CA_FILES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")

Refusal = Callable[[str], str | None]
"""Given an address that is about to be dialled: None, or a sentence why not."""


class Request(msgspec.Struct, frozen=True):
    """A POST. `headers` are whole lines, `timeout_seconds` covers everything from the name to the last byte."""

    url: str
    headers: list[str]
    body: bytes
    timeout_seconds: float


class Reply(msgspec.Struct, frozen=True):
    """What came of a request. `answer` holds the first 16 KiB."""

    outcome: Outcome
    status: int | None
    duration_ms: int
    answer: bytes
    retry_after: str | None
    reason: str


Done = Callable[[Reply], None]


class HttpClient:
    """Many requests at once on one thread, over one shared pool of connections with keep-alive."""

    def __init__(self, refusal: Refusal, user_agent: str, ca_file: str | None = None) -> None:
        self._refusal = refusal
        self._user_agent = user_agent
        self._ca_file = ca_file or next((path for path in CA_FILES if Path(path).exists()), certifi.where())
        self._epoll = select.epoll()
        self._watched: set[int] = set()
        self._deadline: float | None = 0.0
        self._idle: list[_Handle] = []
        self._busy: dict[pycurl.Curl, _Handle] = {}
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, CONNECTIONS_CACHED)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._epoll.register(self._wake_read, select.EPOLLIN)

    @property
    def in_flight(self) -> int:
        """How many requests are under way."""
        return len(self._busy)

    def send(self, request: Request, done: Done) -> None:
        """Begin a request; `done` is called from `poll`. Raises ValueError where it cannot be built."""
        handle = self._idle.pop() if self._idle else _Handle(self._refusal, self._user_agent, self._ca_file)
        try:
            handle.load(request, done)
        except (pycurl.error, UnicodeError, TypeError) as wrong:
            raise ValueError(f"the request cannot be built: {wrong}") from wrong
        self._busy[handle.curl] = handle
        self._multi.add_handle(handle.curl)

    def poll(self, timeout_seconds: float) -> None:
        """Wait for sockets, a wake-up or the time, whichever is first, and call back for what is done."""
        wait = timeout_seconds
        if self._deadline is not None:
            wait = min(wait, max(0.0, self._deadline - time.monotonic()))
        for fd, event in self._epoll.poll(wait):
            if fd == self._wake_read:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_read, 65536)
                continue
            mask = (pycurl.CSELECT_IN if event & (select.EPOLLIN | select.EPOLLHUP) else 0) | (
                pycurl.CSELECT_OUT if event & select.EPOLLOUT else 0
            )
            self._multi.socket_action(fd, mask | (pycurl.CSELECT_ERR if event & select.EPOLLERR else 0))
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self._deadline = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._collect()

    def wake(self) -> None:
        """End a `poll` that waits; may be called from any thread."""
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"w")

    def close(self) -> None:
        """Drop every connection and request."""
        for curl in list(self._busy):
            self._multi.remove_handle(curl)
            curl.close()
        self._busy.clear()
        for handle in self._idle:
            handle.curl.close()
        self._multi.close()
        self._epoll.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

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
        handle = self._busy.pop(curl)
        done, reply = handle.done, handle.reply(number, message)
        handle.rest()
        if len(self._idle) < IDLE_HANDLES_KEPT:
            self._idle.append(handle)
        else:
            curl.close()
        done(reply)

    def _on_socket(self, what: int, fd: int, multi: object, data: object) -> None:
        if what == pycurl.POLL_REMOVE:
            if fd in self._watched:
                self._watched.discard(fd)
                with contextlib.suppress(OSError, ValueError):
                    self._epoll.unregister(fd)
            return
        mask = (select.EPOLLIN if what & pycurl.POLL_IN else 0) | (select.EPOLLOUT if what & pycurl.POLL_OUT else 0)
        if fd in self._watched:
            try:
                self._epoll.modify(fd, mask)
                return
            except FileNotFoundError:
                # The number was closed and given out again without a word to us.
                self._watched.discard(fd)
        self._epoll.register(fd, mask)
        self._watched.add(fd)

    def _on_timer(self, millis: int) -> None:
        self._deadline = None if millis < 0 else time.monotonic() + millis / 1000


class _Handle:
    """One curl handle, set up once and loaded for each request."""

    def __init__(self, refusal: Refusal, user_agent: str, ca_file: str) -> None:
        self.curl = pycurl.Curl()
        self.done: Done = _nobody
        self._refusal = refusal
        self._refused: str | None = None
        self._headers: list[bytes] = []
        self._answer = bytearray()
        self._read = 0
        self._timeout_seconds = 0.0
        self._body_bytes = 0
        curl = self.curl
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.POST, 1)
        curl.setopt(pycurl.PROXY, "")
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.FOLLOWLOCATION, 0)
        curl.setopt(pycurl.USERAGENT, user_agent)
        curl.setopt(pycurl.CAINFO, ca_file)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, int(CONNECT_SECONDS * 1000))
        curl.setopt(pycurl.MAXAGE_CONN, IDLE_CONNECTION_SECONDS)
        curl.setopt(pycurl.TCP_NODELAY, 1)
        curl.setopt(pycurl.HEADERFUNCTION, self._on_header)
        curl.setopt(pycurl.WRITEFUNCTION, self._on_body)
        curl.setopt(pycurl.OPENSOCKETFUNCTION, self._on_open)

    def load(self, request: Request, done: Done) -> None:
        self.done = done
        self._refused = None
        self._headers.clear()
        self._answer.clear()
        self._read = 0
        self._timeout_seconds = request.timeout_seconds
        self._body_bytes = len(request.body)
        self.curl.setopt(pycurl.URL, request.url)
        self.curl.setopt(pycurl.HTTPHEADER, request.headers)
        self.curl.setopt(pycurl.TIMEOUT_MS, int(request.timeout_seconds * 1000))
        self.curl.setopt(pycurl.POSTFIELDSIZE, len(request.body))
        self.curl.setopt(pycurl.POSTFIELDS, request.body)

    def rest(self) -> None:
        """Hold on to nothing large until the next request."""
        self.done = _nobody
        if self._body_bytes > IDLE_BODY_BYTES_MAX:
            self.curl.setopt(pycurl.POSTFIELDS, b"")

    def reply(self, number: int, message: str) -> Reply:
        curl = self.curl
        status = curl.getinfo(pycurl.RESPONSE_CODE) or None
        duration_ms = int(curl.getinfo(pycurl.TOTAL_TIME) * 1000)
        kept = bytes(self._answer)
        if number == pycurl.E_WRITE_ERROR and self._read > ANSWER_BYTES_READ:
            number = 0
        if number:
            kind, reason = self._failure(number, message)
            return Reply(kind, status, duration_ms, kept, None, reason)
        kind, reason = _judge(status or 0)
        retry_after = None if kind is outcomes.OK else self._header(b"retry-after:")
        return Reply(kind, status, duration_ms, kept, retry_after, reason)

    def _failure(self, number: int, message: str) -> tuple[Outcome, str]:
        if self._refused is not None:
            return outcomes.REFUSED_ADDRESS, self._refused
        if number == pycurl.E_OPERATION_TIMEDOUT:
            if self.curl.getinfo(pycurl.REQUEST_SIZE):
                return outcomes.TIMEOUT, f"No whole answer within {self._timeout_seconds:g} s."
            # The request never left. (PRETRANSFER_TIME would not tell: curl sets it when it gives up, too.)
            limit = min(CONNECT_SECONDS, self._timeout_seconds)
            if self.curl.getinfo(pycurl.CONNECT_TIME):
                return outcomes.TLS_FAILED, f"The TLS handshake did not end within {limit:g} s."
            return outcomes.CONNECT_FAILED, f"No connection within {limit:g} s."
        return _FAILURES.get(number, outcomes.BROKEN_ANSWER), message or f"The transfer failed (curl {number})."

    def _header(self, name: bytes) -> str | None:
        for line in self._headers:
            if line[: len(name)].lower() == name:
                return line[len(name) :].decode("latin-1").strip()
        return None

    def _on_header(self, line: bytes) -> None:
        if len(self._headers) < 200:
            self._headers.append(line)

    def _on_body(self, chunk: bytes) -> int | None:
        self._read += len(chunk)
        room = ANSWER_BYTES_KEPT - len(self._answer)
        if room > 0:
            self._answer += chunk[:room]
        return 0 if self._read > ANSWER_BYTES_READ else None

    def _on_open(self, purpose: int, address: tuple[int, int, int, tuple[object, ...]]) -> socket.socket | int:
        family, kind, protocol, where = address
        host = where[0].decode() if isinstance(where[0], bytes) else str(where[0])
        self._refused = self._refusal(host)
        if self._refused is not None:
            return int(pycurl.SOCKET_BAD)
        return socket.socket(family, kind, protocol)


def _nobody(reply: Reply) -> None:
    """Nobody waits for it."""


def _judge(status: int) -> tuple[Outcome, str]:
    if 200 <= status < 300:
        return outcomes.OK, "Delivered."
    if status == 410:
        return outcomes.GONE, "The endpoint answered 410 Gone."
    if 300 <= status < 400:
        return outcomes.REDIRECT, f"The endpoint answered {status}; redirects are not followed. Register the final URL."
    return outcomes.BAD_STATUS, f"The endpoint answered {status}."


_FAILURES = {
    pycurl.E_COULDNT_RESOLVE_HOST: outcomes.DNS_FAILED,
    pycurl.E_COULDNT_CONNECT: outcomes.CONNECT_FAILED,
    pycurl.E_SSL_CONNECT_ERROR: outcomes.TLS_FAILED,
    pycurl.E_PEER_FAILED_VERIFICATION: outcomes.TLS_FAILED,
    pycurl.E_SSL_CERTPROBLEM: outcomes.TLS_FAILED,
    pycurl.E_SSL_CIPHER: outcomes.TLS_FAILED,
    pycurl.E_SSL_CACERT_BADFILE: outcomes.TLS_FAILED,
}
