"""Applications that sell: each order is a row of its own table and an event, in one transaction, by each library."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.django_project import configured
from tidings.outbox import Outbox

ORDERS = "CREATE TABLE IF NOT EXISTS orders (id integer PRIMARY KEY)"


class Shop(ABC):
    """One application's database, with an outbox."""

    url: str
    """As the relay takes it."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Any]:
        """A transaction on what the library calls a connection; an error in the block rolls it back."""

    @abstractmethod
    def run(self, connection: Any, sql: str) -> list[tuple[Any, ...]]:
        """One statement of the application's own."""

    @abstractmethod
    def close(self) -> None:
        """Close its connections."""

    def create(self) -> None:
        """Create both tables, as the library's users do."""
        with self.transaction() as connection:
            Outbox().create_table(connection)
            self.run(connection, ORDERS)

    def add(self, connection: Any, type: str, data: dict[str, Any], **options: Any) -> str:
        return Outbox().add(connection, type, data, **options)

    def sell(self, number: int) -> None:
        """One order and its event, together."""
        with self.transaction() as connection:
            self.run(connection, f"INSERT INTO orders VALUES ({number})")
            self.add(connection, "orders.created", {"id": number}, subject="all")

    def orders(self) -> list[int]:
        with self.transaction() as connection:
            return [row[0] for row in self.run(connection, "SELECT id FROM orders ORDER BY id")]

    def rows(self) -> int:
        """How many rows the outbox has."""
        with self.transaction() as connection:
            return int(self.run(connection, "SELECT count(*) FROM tidings_outbox")[0][0])


class Psycopg(Shop):
    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = psycopg.connect(url, autocommit=True)

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        with self._connection.transaction():
            yield self._connection

    def run(self, connection: Any, sql: str) -> list[tuple[Any, ...]]:
        ran = connection.execute(sql)
        return ran.fetchall() if ran.description else []

    def close(self) -> None:
        self._connection.close()


class Sqlite3(Shop):
    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = sqlite3.connect(url, timeout=30)

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        with self._connection:
            yield self._connection

    def run(self, connection: Any, sql: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = connection.execute(sql).fetchall()
        return found

    def close(self) -> None:
        self._connection.close()


class SqlAlchemy(Shop):
    """Its sessions, with the table from the metadata."""

    def __init__(self, url: str) -> None:
        from sqlalchemy import create_engine

        self.url = (
            url.replace("postgresql:", "postgresql+psycopg:") if url.startswith("postgres") else f"sqlite:///{url}"
        )
        self._engine = create_engine(self.url)

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        from sqlalchemy.orm import Session

        with Session(self._engine) as session, session.begin():
            yield session

    def run(self, connection: Any, sql: str) -> list[tuple[Any, ...]]:
        from sqlalchemy import text

        ran = connection.execute(text(sql))
        return [tuple(row) for row in ran] if ran.returns_rows else []

    def create(self) -> None:
        from sqlalchemy import MetaData

        from tidings.outbox.sqlalchemy import outbox_table

        metadata = MetaData()
        outbox_table(metadata)
        metadata.create_all(self._engine)
        with self.transaction() as connection:
            self.run(connection, ORDERS)

    def close(self) -> None:
        self._engine.dispose()


class Django(Shop):
    """`transaction.atomic` and the app's own `add`. Django's settings are one for each process."""

    def __init__(self, url: str) -> None:
        from django.db import connections

        self.url = url
        configured()
        connections.settings["default"] = connections.configure_settings({"default": _django_database(url)})["default"]
        if hasattr(connections._connections, "default"):
            del connections["default"]
        self._connections = connections

    @property
    def connection(self) -> Any:
        return self._connections["default"]

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        from django.db import transaction

        with transaction.atomic():
            yield self.connection

    def run(self, connection: Any, sql: str) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall()) if cursor.description else []

    def create(self) -> None:
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        with self.transaction() as connection:
            self.run(connection, ORDERS)

    def add(self, connection: Any, type: str, data: dict[str, Any], **options: Any) -> str:
        from tidings.outbox.django import add

        return add(type, data, **options)

    def close(self) -> None:
        self.connection.close()


SHOPS: dict[str, Callable[[str], Shop]] = {
    "psycopg": Psycopg,
    "sqlite3": Sqlite3,
    "sqlalchemy-sqlite": SqlAlchemy,
    "sqlalchemy-postgres": SqlAlchemy,
    "django-sqlite": Django,
    "django-postgres": Django,
}
ON_POSTGRES = frozenset({"psycopg", "sqlalchemy-postgres", "django-postgres"})


def _django_database(url: str) -> dict[str, Any]:
    if not url.startswith("postgres"):
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": url, "OPTIONS": {"timeout": 30}}
    parts = psycopg.conninfo.conninfo_to_dict(url)
    known = {"NAME": parts.get("dbname"), "USER": parts.get("user"), "HOST": parts.get("host")}
    return {"ENGINE": "django.db.backends.postgresql", **known}


def sell_forever(kind: str, url: str, first: int) -> None:
    """What an application does, until it is killed."""
    shop = SHOPS[kind](url)
    number = first
    while True:
        shop.sell(number)
        number += 1


def file_of(folder: Path) -> str:
    return str(folder / "shop.db")
