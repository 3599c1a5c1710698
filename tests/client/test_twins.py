"""The sync client is made from the async one: the same calls, in words of its own."""

from __future__ import annotations

import inspect

import pytest

from make_client import sync_source
from tidings.client import AsyncClient, Client
from tidings.client.async_items import AsyncItems
from tidings.client.items import Items


def test_the_sync_client_is_the_async_one_without_awaits() -> None:
    source = (
        "class AsyncA(_AsyncB):\n"
        "    async def f(self) -> AsyncIterator[bytes]:  # a reason\n"
        "        async with aclosing(self._wire) as pieces:\n"
        "            async for piece in pieces:\n"
        "                await asyncio.sleep(len(piece))\n"
        '                yield b"x" + piece\n'
    )
    assert sync_source(source) == (
        "class A(_B):\n"
        "    def f(self) -> Iterator[bytes]:  # a reason\n"
        "        with closing(self._wire) as pieces:\n"
        "            for piece in pieces:\n"
        "                time.sleep(len(piece))\n"
        '                yield b"x" + piece\n'
    )


def test_docstrings_mention_their_own_client() -> None:
    assert sync_source('"""The async client."""\n') == '"""The sync client."""\n'
    for untrue in ("# `await client.publish(...)`", '"""Use it in an `async with`."""', "'one event loop'"):
        with pytest.raises(ValueError, match=r"^line 2 says .*: add it to PHRASES"):
            sync_source(f"x = 1\n{untrue}\n")


@pytest.mark.parametrize(("a_sync", "sync"), [(AsyncClient, Client), (AsyncItems, Items)])
def test_both_clients_have_the_same_calls(a_sync: type, sync: type) -> None:
    def calls(kind: type) -> dict[str, list[str]]:
        methods = inspect.getmembers(kind, inspect.isfunction)
        return {name: list(inspect.signature(each).parameters) for name, each in methods if not name.startswith("__")}

    assert calls(a_sync) == calls(sync)
