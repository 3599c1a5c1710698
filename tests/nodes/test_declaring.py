"""A declaration at one node while others write to the same items: every row is converted, and none is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.nodes.peers import neighbour
from tests.postgres_server import PostgresServer
from tidings.testing import Api, TestServer, until

ITEMS = 20_000
BEFORE = {"amount": {"type": "integer"}, "code": {"type": "string", "unique": True}}
AFTER = {"amount": {"type": "number"}, "code": BEFORE["code"], "state": {"type": "string", "default": "new"}}


@pytest.fixture(scope="module")
def url(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.database(migrated=True) as url:
        yield url


@pytest.fixture(scope="module")
def pair(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestServer, TestServer]]:
    """The node that sends, and another one."""
    folder = tmp_path_factory.mktemp("pair")
    with neighbour(url, folder / "a") as a, neighbour(url, folder / "b") as b:
        assert a.server is not None and a.server.sends and b.server is not None and not b.server.sends
        yield a, b


def fill(url: str, table: str, count: int) -> None:
    with psycopg.connect(url) as db:
        db.execute(
            f"INSERT INTO {table} (id, tenant, revision, created, updated, f_amount, f_code) "
            f"SELECT 'i' || n, '', 1, 1, 1, n, 'code' || n FROM generate_series(1, {count}) AS n"
        )


class Writing:
    """Somebody who creates, changes and deletes items through one node until told to stop."""

    def __init__(self, node: TestServer, name: str, which: int) -> None:
        self._api, self._path, self._which = node.api, f"/v1/items/{name}", which
        self.kept: dict[str, str] = {}
        """What is to be there, by id, with its count."""
        self.gone: set[str] = set()
        self.refused: list[int] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _done(self, method: str, ident: str, body: Any = None) -> bool:
        while (reply := self._api.call(method, f"{self._path}/{ident}", body)).status == 503:
            self.refused.append(503)
            assert "retry-after" in reply.headers
        assert reply.status in (200, 201, 204), (method, ident, reply.body)
        return True

    def _run(self) -> None:
        n = 0
        while not self._stopping.is_set():
            n += 1
            new, old, dead = f"w{self._which}x{n}", f"i{4 * n + self._which}", f"i{10_000 + 4 * n + self._which}"
            if self._done("PUT", new, {"amount": n, "code": new}):
                self.kept[new] = str(n)
            if self._done("PATCH", old, {"amount": -n}):
                self.kept[old] = str(-n)
            if self._done("DELETE", dead):
                self.gone.add(dead)


@pytest.mark.thorough
def test_what_others_write_during_a_declaration_is_converted_as_well(
    pair: tuple[TestServer, TestServer], url: str
) -> None:
    a, b = pair
    a.api.put("/v1/collections/busy", {"fields": BEFORE})
    fill(url, "c_busy", ITEMS)
    writers = [Writing(b, "busy", 0), Writing(b, "busy", 1), Writing(a, "busy", 2)]
    try:
        for each in writers:
            until(lambda: len(each.gone) > 3, "it writes")
        before = [len(each.kept) for each in writers]
        # Those who write all the time take most of a slow machine.
        made = Api(a.url, a.api.key, 120).call("PUT", "/v1/collections/busy", {"fields": AFTER})
        assert made.status == 200, made.body
        for each, count in zip(writers, before, strict=True):
            until(lambda: len(each.kept) > count + 6, "it still writes")
    finally:
        for each in writers:
            each.stop()
    with psycopg.connect(url) as db:
        [(table,)] = db.execute("SELECT declaration::json ->> 'table' FROM collection WHERE name = 'busy'").fetchall()
        rows = db.execute(f"SELECT id, f_amount::text, f_state FROM c_{table}").fetchall()
    found = {ident: (count, state) for ident, count, state in rows}
    assert len(found) == len(rows) and {state for _, state in found.values()} == {"new"}
    kept = {ident: count for each in writers for ident, count in each.kept.items()}
    gone = set().union(*(each.gone for each in writers))
    assert {ident: found[ident][0] for ident in kept} == kept
    assert gone.isdisjoint(found) and len(found) == ITEMS + len([each for each in kept if each[0] == "w"]) - len(gone)
