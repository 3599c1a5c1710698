"""SQLAlchemy: the outbox's table as a `Table`, for `create_all` and for Alembic.

class Base(DeclarativeBase): ...

outbox_table(Base.metadata)
outbox = Outbox()

with Session(engine) as session, session.begin():
    session.add(Order(...))
    outbox.add(session, "orders.created", {...})
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Identity, Integer, MetaData, Table, Text

from tidings.outbox.statements import TABLE, Statements


def outbox_table(metadata: MetaData, name: str = TABLE) -> Table:
    """Add the table to the metadata, as `tidings.outbox.schema` describes it. Raises ValueError for an invalid name."""
    Statements(name)
    schema, _, table = name.rpartition(".")
    position = Column("position", BigInteger().with_variant(Integer, "sqlite"), Identity(always=True), primary_key=True)
    return Table(
        table,
        metadata,
        position,
        Column("id", Text, nullable=False),
        Column("type", Text, nullable=False),
        Column("subject", Text),
        Column("tenant", Text),
        Column("time", Text, nullable=False),
        Column("data", Text, nullable=False),
        Column("refused", Text),
        schema=schema or None,
        sqlite_autoincrement=True,
        postgresql_with={"autovacuum_vacuum_scale_factor": 0, "autovacuum_vacuum_threshold": 1000},
    )
