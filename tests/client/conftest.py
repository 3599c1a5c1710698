"""Both clients behind one face, and a server that answers what a test dictates, byte by byte."""

from __future__ import annotations

import asyncio
import inspect
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from typing import Any

import pytest

from tidings.client import AsyncClient, Client


class Face:
    """One client, sync or async, called the same way."""

    def __init__(self, kind: str, url: str, key: str | None, **options: Any) -> None:
        self._runner = asyncio.Runner()
        self.client: Any = (AsyncClient if kind == "async" else Client)(url, key, **options)

    def call(self, name: str, *args: Any, **more: Any) -> Any:
        """Call a method; an iterator is answered as the list of its first items, `first` of them."""
        return self.done(getattr(self.client, name), *args, **more)

    def done(self, method: Callable[..., Any], *args: Any, **more: Any) -> Any:
        """The same for a method of anything that the client gave."""
        first = more.pop("first", 10_000)
        found = method(*args, **more)
        if inspect.isawaitable(found):
            return self._runner.run(_awaited(found))
        if isinstance(found, AsyncIterator):
            return self._runner.run(_collected(found, first))
        return list(islice(found, first)) if isinstance(found, Iterator) else found

    def close(self) -> None:
        self.call("close")
        self._runner.close()


async def _awaited(found: Any) -> Any:
    return await found


async def _collected(found: Any, first: int) -> list[Any]:
    items: list[Any] = []
    async for item in found:
        items.append(item)
        if len(items) == first:
            break
    await found.aclose()
    return items


MakeFace = Callable[..., Face]


@pytest.fixture(params=["sync", "async"])
def face(request: pytest.FixtureRequest) -> Iterator[MakeFace]:
    """Makes clients, each test once with the sync and once with the async one."""
    made: list[Face] = []

    def make(url: str, key: str | None = None, **options: Any) -> Face:
        made.append(Face(request.param, url, key, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


class Script:
    """A server that reads a whole request, answers the next text of its list, and closes where told to."""

    CLOSE = b""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.answers: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reader:
            while request := _read_request(reader):
                self.requests.append(request)
                answer = self.answers.pop(0)
                connection.sendall(answer)
                if answer == self.CLOSE or b"onnection: close" in answer or b"HTTP/1.0" in answer:
                    return


def _read_request(reader: Any) -> bytes:
    lines = [reader.readline()]
    while lines[-1].strip():
        lines.append(reader.readline())
    head = b"".join(lines)
    for line in lines:
        if line.lower().startswith(b"content-length:"):
            head += reader.read(int(line.split(b":")[1]))
    return bytes(head)


@pytest.fixture
def script() -> Iterator[Script]:
    """A scripted server."""
    script = Script()
    yield script
    script.close()
