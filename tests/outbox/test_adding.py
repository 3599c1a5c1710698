"""An event is added in the transaction of the change, by whatever library: both happen or neither."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.outbox.shops import ON_POSTGRES, SHOPS, Shop, file_of
from tidings.outbox import Outbox, schema
from tidings.outbox.database import OutboxTable, connector


@pytest.fixture(params=[pytest.param(kind, marks=pytest.mark.slow) if kind in ON_POSTGRES else kind for kind in SHOPS])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    url = request.getfixturevalue("postgres_url") if request.param in ON_POSTGRES else file_of(tmp_path)
    made = SHOPS[request.param](url)
    made.create()
    yield made
    made.close()


def test_an_event_is_there_if_the_change_is_committed_and_only_then(shop: Shop) -> None:
    shop.sell(1)
    with pytest.raises(ZeroDivisionError), shop.transaction() as connection:
        shop.run(connection, "INSERT INTO orders VALUES (2)")
        shop.add(connection, "orders.created", {"id": 2})
        raise ZeroDivisionError
    id = "order-3"
    with shop.transaction() as connection:
        assert shop.add(connection, "orders.paid", {"id": 3}, id=id, tenant="acme", time="2026-11-21T01:02:03Z") == id
    table = OutboxTable(connector(shop.url), "tidings_outbox")
    first, second = table.first(10)
    assert (first.type, first.subject, first.tenant, first.data) == ("orders.created", "all", None, '{"id":1}')
    assert first.id.startswith("obx_")
    assert datetime.fromisoformat(first.time).tzinfo == UTC
    assert second[1:] == (id, "orders.paid", None, "acme", "2026-11-21T01:02:03Z", '{"id":3}')
    assert second.position > first.position
    table.delete([first])
    table.refuse(second, "because")
    assert table.first(10) == []
    assert [(row.id, row.reason) for row in table.refused(10)] == [(id, "because")]
    assert table.retry() == 1
    table.delete(table.first(10))
    table.close()
    shop.sell(4)
    [later] = table.first(10)
    assert later.position > second.position, "a position is never given out twice"
    table.close()


def test_a_table_can_be_created_twice(shop: Shop) -> None:
    shop.create()
    assert shop.rows() == 0


def nested(levels: int) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for _ in range(levels - 1):
        data = {"n": data}
    return data


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"type": "orders paid"}, "An event type must consist of words"),
    ({"data": [1]}, "pass a dict"),
    ({"data": {"n": float("nan")}}, "JSON"),
    ({"data": {"n": "a\0b"}}, "/data/n contains the character NUL"),
    ({"data": {"n\0": 1}}, "NUL"),
    ({"data": {"n": "\ud83d"}}, "an unpaired surrogate at /data/n"),
    ({"subject": "\ud83d"}, "an unpaired surrogate at /subject"),
    ({"data": {"n": 2**63}}, "/data/n does not fit into 64 bits"),
    ({"data": {"n": "x" * 1_048_576}}, "a server accepts at most 1,048,576"),
    ({"data": {1: 1, "1": 1}}, "appears twice"),
    ({"data": nested(62)}, "deeper than 62 levels"),
    ({"data": nested(300)}, "deeper than 62 levels"),
    ({"data": nested(100_000)}, "nested too deep"),
    ({"subject": "a\nb"}, "A subject has"),
    ({"id": "stream"}, "An id has"),
    ({"tenant": "a b"}, "A tenant's id"),
    ({"type": "endpoint.gone"}, "reserved for Tidings"),
    ({"time": "tomorrow"}, "RFC 3339 format"),
    ({"time": "2150-01-01T00:00:00Z"}, "the years 1970 to 2099"),
    ({"time": datetime(1969, 1, 1, tzinfo=UTC)}, "the years 1970 to 2099"),
    ({"time": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001  (that is what is wrong with it)
]


@pytest.mark.parametrize(
    ("given", "reason"), WRONG, ids=[f"{next(iter(given))} {n}" for n, (given, _) in enumerate(WRONG)]
)
def test_what_cannot_be_right_is_refused_where_it_is_written(given: dict[str, Any], reason: str) -> None:
    connection = sqlite3.connect(":memory:")
    Outbox().create_table(connection)
    with pytest.raises(ValueError, match=reason):
        Outbox().add(connection, **{"type": "orders.paid", "data": {}, **given})


def test_values_of_python_become_json() -> None:
    connection = sqlite3.connect(":memory:")
    Outbox().create_table(connection)
    ident = uuid.UUID(int=7)
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    values = {"at": at, "day": date(2026, 1, 2), "price": Decimal("1.10"), "id": ident, "text": "é"}
    Outbox().add(connection, "a", values)
    text = '{"at":"2026-01-02T03:04:05Z","day":"2026-01-02","price":"1.10","id":"%s","text":"\\u00e9"}'
    assert connection.execute("SELECT data FROM tidings_outbox").fetchone() == (text % ident,)
    with pytest.raises(TypeError, match="pass `dumps`"):
        Outbox().add(connection, "a", {"x": object()})
    Outbox(dumps=lambda data: '{"x":1.10}').add(connection, "a", {"x": object()})


def test_an_event_that_would_be_committed_by_itself_is_refused() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    Outbox().create_table(connection)
    with pytest.raises(RuntimeError, match="in one transaction"):
        Outbox().add(connection, "orders.paid", {})
    connection.execute("BEGIN")
    Outbox().add(connection.cursor(), "orders.paid", {})
    connection.execute("COMMIT")


def test_sqlite_as_python_3_12_has_it_commits_at_once_if_it_was_told_so() -> None:
    class Later(sqlite3.Connection):
        autocommit = True

    connection = sqlite3.connect(":memory:", factory=Later)
    Outbox().create_table(connection)
    connection.commit()
    with pytest.raises(RuntimeError, match="in one transaction"):
        Outbox().add(connection, "orders.paid", {})
    connection.execute("BEGIN")
    Outbox().add(connection, "orders.paid", {})


def test_sqlalchemy_that_commits_each_statement_is_refused(tmp_path: Path) -> None:
    from sqlalchemy import create_engine
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
    from sqlalchemy.orm import Session

    url = f"sqlite:///{tmp_path / 'shop.db'}"
    engine, hasty = create_engine(url), create_engine(url, isolation_level="AUTOCOMMIT")
    told = engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.begin() as connection:
        Outbox().create_table(connection)
        Outbox().add(connection, "orders.paid", {})
    for wrong in (hasty.connect(), told.connect(), Session(hasty), Session(told)):
        with wrong, pytest.raises(RuntimeError, match="other than AUTOCOMMIT"):
            Outbox().add(wrong, "orders.paid", {})
    with hasty.connect().execution_options(isolation_level="SERIALIZABLE") as connection, connection.begin():
        Outbox().add(connection, "orders.paid", {})
    assert len(OutboxTable(connector(url), "tidings_outbox").first(10)) == 2
    waiting = create_async_engine("postgresql+psycopg://nobody@127.0.0.1:1/none", isolation_level="AUTOCOMMIT")
    with pytest.raises(RuntimeError, match="other than AUTOCOMMIT"):
        asyncio.run(Outbox().add_async(AsyncSession(waiting), "orders.paid", {}))


def test_other_libraries_and_names_are_refused() -> None:
    with pytest.raises(TypeError, match=r"psycopg, sqlite3, SQLAlchemy or Django, not object"):
        Outbox().add(object(), "orders.paid", {})
    with pytest.raises(ValueError, match="is not a valid table name"):
        Outbox('x"; DROP TABLE orders')
    with pytest.raises(ValueError, match="not with mysql"):
        schema("mysql")
    with pytest.raises(ValueError, match="a URL such as postgresql://"):
        connector("mysql://shop")
    assert "app.outbox" in schema("postgresql", "app.outbox")


@pytest.mark.slow
def test_postgresql_refuses_an_event_outside_a_transaction_too(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        Outbox().create_table(connection)
        with pytest.raises(RuntimeError, match="with connection"):
            Outbox().add(connection, "orders.paid", {})


@pytest.mark.slow
def test_connections_that_are_awaited(postgres_url: str) -> None:
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    async def add() -> None:
        async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
            await Outbox().create_table_async(connection)
            await Outbox().add_async(connection, "orders.paid", {"by": "psycopg"})
        engine = create_async_engine(postgres_url.replace("postgresql:", "postgresql+psycopg:"))
        async with AsyncSession(engine) as session, session.begin():
            await Outbox().add_async(session, "orders.paid", {"by": "sqlalchemy"})
        await engine.dispose()

    asyncio.run(add())
    table = OutboxTable(connector(postgres_url), "tidings_outbox")
    assert [row.data for row in table.first(10)] == ['{"by":"psycopg"}', '{"by":"sqlalchemy"}']
    table.close()


def test_an_asynchronous_connection_is_refused_where_nothing_would_await_it_and_the_reverse() -> None:
    """`add` returned an id, and nothing was stored: the statement was a coroutine that nobody awaited."""
    from psycopg.pq import PGconn
    from sqlalchemy import create_engine
    from sqlalchemy.ext.asyncio import (
        AsyncConnection,
        AsyncSession,
        async_scoped_session,
        async_sessionmaker,
        create_async_engine,
    )

    engine = create_async_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    scoped = async_scoped_session(async_sessionmaker(engine), scopefunc=int)
    ours = psycopg.AsyncConnection(PGconn.connect_start(b"host=127.0.0.1 port=1"))
    for connection in (ours, psycopg.AsyncCursor(ours), AsyncSession(engine), AsyncConnection(engine), scoped):
        with pytest.raises(TypeError, match=r"is asynchronous: await `Outbox\.add_async`"):
            Outbox().add(connection, "orders.paid", {})
        with pytest.raises(TypeError, match=r"is asynchronous: await `Outbox\.create_table_async`"):
            Outbox().create_table(connection)
        with pytest.raises(TypeError, match="a synchronous connection"):
            OutboxTable([connection].pop, "tidings_outbox").first(1)
    sync = sqlite3.connect(":memory:")
    Outbox().create_table(sync)
    for awaiting in (sync, create_engine("sqlite://").connect()):
        with pytest.raises(TypeError, match=r"not asynchronous: call `Outbox\.add`"):
            asyncio.run(Outbox().add_async(awaiting, "orders.paid", {}))
        with pytest.raises(TypeError, match=r"not asynchronous: call `Outbox\.create_table`"):
            asyncio.run(Outbox().create_table_async(awaiting))
    assert sync.execute("SELECT count(*) FROM tidings_outbox").fetchone() == (0,)


def test_a_server_that_accepts_more_is_told_of() -> None:
    connection = sqlite3.connect(":memory:")
    Outbox().create_table(connection)
    Outbox(event_bytes_max=2_000_000).add(connection, "a", {"x": "y" * 1_500_000})
    with pytest.raises(ValueError, match="accepts at most 100"):
        Outbox(event_bytes_max=100).add(connection, "a", {"x": "y" * 100})
    with pytest.raises(ValueError, match="returned something else"):
        Outbox(dumps=lambda data: "[1]").add(connection, "a", {})
