"""Collections for tests, and how to declare them without the API."""

from __future__ import annotations

from tidings.model.collection import Collection, Field, OwnEvent, Question
from tidings.store.base import Db
from tidings.store.items import tables
from tidings.testing import TestServer

PEOPLE = Collection(
    name="people",
    fields=(
        Field(name="email", type="string", unique=True, required=True, format="email"),
        Field(name="name", type="string", filterable=True, sortable=True),
    ),
)
TASKS = Collection(
    name="tasks",
    description="Things to do.",
    fields=(
        Field(name="title", type="string", required=True, max=200, searchable=True, filterable=True, sortable=True),
        Field(name="done", type="boolean", default=False, filterable=True),
        Field(name="due", type="date", filterable=True, sortable=True),
        Field(name="at", type="datetime", filterable=True, sortable=True),
        Field(name="price", type="number", filterable=True, sortable=True, min=0),
        Field(name="pieces", type="integer", filterable=True, sortable=True),
        Field(name="priority", type="enum", values=("low", "high"), default="low", filterable=True, sortable=True),
        Field(name="owner", type="reference", to="people", filterable=True),
        Field(name="place", type="object"),
        Field(name="lines", type="array", max=50),
    ),
    events=(OwnEvent(name="completed", when="done becomes true"),),
    questions=(Question(name="by_day", parameters=("due", "done")),),
)
COLLECTIONS = (PEOPLE, TASKS)


def declare(server: TestServer, collection: Collection) -> None:
    """Make a collection's table and its entry in the catalogue."""
    assert server.server is not None
    catalog = server.server.parts.catalog

    def job(db: Db) -> None:
        for statement in tables.create(collection, db.dialect):
            db.execute(statement, {})
        for index in tables.indexes(collection, db.dialect):
            db.execute(index.sql(collection), {})
        catalog.put_collections(db, [collection])

    server.server.writer.wait(job)
