"""The transport of the sync client: http.client with a few connections kept alive. Safe to share between threads."""

from __future__ import annotations

import http.client
import select
import ssl
import threading

from tidings.client.exchange import Reply, Request, Target, encode, failed

IDLE_MAX = 10


class Wire:
    """Sends requests to one server."""

    def __init__(self, target: Target, context: ssl.SSLContext | None) -> None:
        self._target = target
        self._context = context
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()
        self._where = f"{target.parts.scheme}://{target.parts.netloc.rpartition('@')[2]}"

    def send(self, request: Request) -> Reply:
        """Send once. Raises ConnectionFailed."""
        connection = self._take()
        sent = False
        try:
            if connection.sock is None:
                connection.timeout = self._target.timeout_seconds
                connection.connect()
            connection.sock.settimeout(self._target.timeout_seconds + request.extra_seconds)
            sent = True
            path = self._target.prefix + request.target
            body = encode(request.body) if request.body is not None or request.method != "GET" else None
            connection.request(request.method, path, body=body, headers=self._target.headers(request))
            answer = connection.getresponse()
            reply = Reply(answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read())
        except (OSError, http.client.HTTPException) as wrong:
            connection.close()
            raise failed(wrong, self._where, sent=sent) from wrong
        except BaseException:
            connection.close()
            raise
        self._give_back(connection)
        return reply

    def close(self) -> None:
        """Close the connections that rest."""
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
            # Readable without a request: the server has closed it, or says what nobody asked for.
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


def _is_readable(connection: http.client.HTTPConnection) -> bool:
    watch = select.poll()
    watch.register(connection.sock, select.POLLIN)
    return bool(watch.poll(0))
