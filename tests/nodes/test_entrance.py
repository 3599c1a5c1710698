"""An entrance of a socket that others have as well: who leaves it cuts nobody off, and takes nobody new."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from tidings import listening
from tidings.listening import Entrance, opened


class Named:
    """An application that answers its name, to some once `answers` is set."""

    def __init__(self, name: str) -> None:
        self.name, self.asked, self.answers = name, asyncio.Event(), asyncio.Event()

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        if scope.path == "/slow":
            self.asked.set()
            await self.answers.wait()
        proto.response_bytes(200, [("content-type", "text/plain")], self.name.encode())


async def connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port)


async def answer(there: tuple[asyncio.StreamReader, asyncio.StreamWriter], path: str = "/") -> tuple[str, bool]:
    """Who answers, and whether that ends the connection."""
    reader, writer = there
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
    return (await reader.readexactly(length)).decode(), b"connection: close" in head


def test_who_leaves_cuts_nobody_off_and_takes_nobody_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "LEAVE_SECONDS", 2.0)
    asyncio.run(_leave())


async def _leave() -> None:
    public = opened("127.0.0.1", 0)
    port = public.getsockname()[1]
    first = Named("first")
    leaving = Entrance(first, public.dup())
    idle, kept, slow, silent = [await connected(port) for _ in range(4)]
    assert await answer(idle) == await answer(kept) == ("first", False)
    waiting = asyncio.create_task(answer(slow, "/slow"))
    await first.asked.wait()
    staying = Entrance(Named("second"), public.dup())
    leaving.leave()
    leaving.leave()
    for _ in range(20):
        new = await connected(port)
        assert await asyncio.wait_for(answer(new), 5) == ("second", False)
        new[1].close()
    assert await answer(idle) == ("first", True)
    # It was connected, and had asked nothing. It may have waited in the queue.
    assert await answer(silent) in [("first", True), ("second", False)]
    assert await asyncio.wait_for(kept[0].read(), 5) == b"", "who says nothing is not waited for"
    first.answers.set()
    assert (await waiting)[0] == "first", "it had asked before"
    await asyncio.wait_for(leaving.serving, 5)
    await staying.ended()
    public.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
