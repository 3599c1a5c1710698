"""The transport of the sync client: http.client with a few connections kept alive. Safe to share between threads."""

from __future__ import annotations

import http.client
import select
import ssl
import threading
from collections.abc import Iterator

from tidings.client.exchange import ClientReply, ClientRequest, ServerAddress, encode, failed

IDLE_MAX = 10
PIECE_BYTES = 64 * 1024


class _Answered(Exception):
    """The server responded before it had the whole request."""


class Wire:
    """Sends requests to one server."""

    def __init__(self, target: ServerAddress, context: ssl.SSLContext | None) -> None:
        self._target = target
        self._context = context
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()
        self._where = f"{target.parts.scheme}://{target.parts.netloc.rpartition('@')[2]}"

    def send(self, request: ClientRequest) -> ClientReply:
        """Send once. Raises ConnectionFailed."""
        connection = self._take()
        sent = False
        try:
            if connection.sock is None:
                connection.timeout = self._target.timeout_seconds
                connection.connect()
            sent = True
            is_whole = self._write(connection, request)
            connection.sock.settimeout(self._target.timeout_seconds + request.extra_seconds)
            answer = connection.getresponse()
            headers = {name.lower(): text for name, text in answer.getheaders()}
            if request.streamed and answer.status < 300:
                return ClientReply(answer.status, headers, b"", self._rest(connection, answer))
            reply = ClientReply(answer.status, headers, answer.read())
        except (OSError, http.client.HTTPException) as wrong:
            connection.close()
            raise failed(wrong, self._where, sent=sent) from wrong
        except BaseException:
            connection.close()
            raise
        if is_whole:
            self._give_back(connection)
        else:
            connection.close()
        return reply

    def _write(self, connection: http.client.HTTPConnection, request: ClientRequest) -> bool:
        """Write the request; returns whether all of it was sent. If not, the response came early."""
        connection.sock.settimeout(self._target.timeout_seconds)
        path, headers = self._target.prefix + request.target, self._target.headers(request)
        if request.upload is None:
            body = encode(request.body) if request.body is not None or request.method != "GET" else None
            connection.request(request.method, path, body=body, headers=headers)
            return True
        length = request.upload.length
        if length is not None:
            headers["Content-Length"] = str(length)
        begun = request.upload.begin()
        if not isinstance(begun, Iterator):
            raise TypeError("an async iterable is for AsyncClient")
        try:
            pieces = _until_answered(connection, begun)
            connection.request(request.method, path, body=pieces, headers=headers, encode_chunked=length is None)
        except (_Answered, BrokenPipeError, ConnectionResetError):
            return False
        return True

    def _rest(self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> Iterator[bytes]:
        """The chunks of a response. Raises ConnectionFailed if it breaks off."""
        is_whole = False
        # `read` waits for whole chunks, and drops the rest of one that broke off.
        take = answer.read1 if answer.chunked else answer.read
        try:
            while piece := take(PIECE_BYTES):
                yield piece
            is_whole = True
        except (OSError, http.client.HTTPException) as wrong:
            raise failed(wrong, self._where, sent=True) from wrong
        finally:
            if is_whole:
                self._give_back(connection)
            else:
                answer.close()
                connection.close()

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self) -> http.client.HTTPConnection:
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self._new()
            if connection.sock is not None and not _is_readable(connection):
                return connection
            # Readable without a request: the server has closed it, or sent something unasked.
            connection.close()

    def _new(self) -> http.client.HTTPConnection:
        parts = self._target.parts
        host = parts.hostname or ""
        if parts.scheme == "https":
            context = self._context or ssl.create_default_context()
            return http.client.HTTPSConnection(host, parts.port, context=context)
        return http.client.HTTPConnection(host, parts.port)

    def _give_back(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if connection.sock is not None and len(self._idle) < IDLE_MAX:
                self._idle.append(connection)
                return
        connection.close()


def _until_answered(connection: http.client.HTTPConnection, pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        if _is_readable(connection):
            raise _Answered
        yield piece


def _is_readable(connection: http.client.HTTPConnection) -> bool:
    watch = select.poll()
    watch.register(connection.sock, select.POLLIN)
    return bool(watch.poll(0))
