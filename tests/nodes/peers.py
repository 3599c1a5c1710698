"""Two whole servers that write to one database at once: each has its own journal, and neither asks for the pen."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from tidings import stored as module
from tidings.store import journal
from tidings.store.base import Db
from tidings.store.engines.postgres import PostgresDb, PostgresEngine
from tidings.testing import TestServer

SECRET_KEY = base64.b64encode(b"k" * 32).decode()


class Peer(PostgresEngine):
    """The database as one of several nodes has it."""

    def __init__(self, url: str, own: int) -> None:
        super().__init__(url)
        self._own = own

    def writer(self) -> PostgresDb:
        if self._opened is not None:
            return super().writer()
        db = PostgresDb(self._url)
        db.journal, db.shares = self._own, True
        db.execute("SET lock_timeout = '2s'", {})
        return db

    def reader(self) -> Db:
        db = super().reader()
        db.journal = self._own
        return db


@contextlib.contextmanager
def neighbour(url: str, folder: Path) -> Iterator[TestServer]:
    """One of several servers that work together on a migrated database."""
    folder.mkdir(exist_ok=True)
    with TestServer(folder, database=url, secret_key=SECRET_KEY, join=True) as server:
        yield server


@contextlib.contextmanager
def peer(url: str, folder: Path, own: int) -> Iterator[TestServer]:
    """A server on a migrated database that others write to as well; `own`: its journal."""
    engine = Peer(url, own)
    db = engine.writer()
    journal.begin(db)
    db.close()
    folder.mkdir(exist_ok=True)
    server = TestServer(folder, database=url, secret_key=SECRET_KEY)
    with mock.patch.object(module, "open_engine", lambda *_, **__: engine):
        server.start()
    try:
        yield server
    finally:
        server.stop()
