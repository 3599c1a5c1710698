"""How applications use both clients, as mypy sees it: it is checked by `make lint`, and nothing here ever runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, assert_type

from tidings.client import AsyncClient, Client
from tidings.client.async_items import AsyncItems
from tidings.client.exchange import ClientRequest
from tidings.client.items import Items

Json = dict[str, Any]


def sync_use(rows: list[Json]) -> None:
    """Each shape of call: plain, listed, without end, of bytes, and without an answer."""
    with Client("http://127.0.0.1:8080", key="tdk_x") as client:
        assert_type(client, Client)
        assert_type(client.send(ClientRequest("GET", "/v1/keys")), Any)
        assert_type(client.publish("a.b", {}), Json)
        assert_type(client.publish_batch([{"type": "a.b", "data": {}}]), list[Json])
        assert_type(client.events(type="a.b"), Iterator[Json])
        assert_type(client.follow(), Iterator[tuple[list[Json], str]])
        assert_type(client.download(ClientRequest("GET", "/v1/items/tasks:export")), Generator[bytes])
        client.revoke_key("key_1")
        tasks = client.items("tasks")
        assert_type(tasks, Items)
        assert_type(tasks.create({"title": "x"}), Json)
        assert_type(tasks.batch(rows), Sequence[Json])
        assert_type(tasks.import_(rows), Json)
        assert_type(tasks.import_(Path("tasks.csv")), Json)
        assert_type(tasks.list(done=False), Iterator[Json])
        assert_type(tasks.export(), Iterator[Json])
        assert_type(tasks.export_file("csv"), Generator[bytes])


async def async_use(rows: AsyncIterator[Json]) -> None:
    """The same, awaited."""
    async with AsyncClient("http://127.0.0.1:8080", key="tdk_x") as client:
        assert_type(client, AsyncClient)
        assert_type(await client.send(ClientRequest("GET", "/v1/keys")), Any)
        assert_type(await client.publish("a.b", {}), Json)
        assert_type(await client.publish_batch([{"type": "a.b", "data": {}}]), list[Json])
        assert_type(client.events(type="a.b"), AsyncIterator[Json])
        assert_type(client.follow(), AsyncIterator[tuple[list[Json], str]])
        assert_type(client.download(ClientRequest("GET", "/v1/items/tasks:export")), AsyncGenerator[bytes])
        await client.revoke_key("key_1")
        tasks = client.items("tasks")
        assert_type(tasks, AsyncItems)
        assert_type(await tasks.create({"title": "x"}), Json)
        assert_type(await tasks.batch([{"op": "delete", "id": "1"}]), Sequence[Json])
        assert_type(await tasks.import_(rows), Json)
        assert_type(await tasks.import_(Path("tasks.csv")), Json)
        assert_type(tasks.list(done=False), AsyncIterator[Json])
        assert_type(tasks.export(), AsyncIterator[Json])
        assert_type(tasks.export_file("csv"), AsyncGenerator[bytes])
