"""The outbox's table and all statements about it, as SQL with `:named` parameters, for PostgreSQL and SQLite."""

from __future__ import annotations

import re
from dataclasses import dataclass

TABLE = "tidings_outbox"
DIALECTS = ("postgresql", "sqlite")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?")

# A position is never given out twice, so that a relay that was stopped for a while deletes no row that it did not read.
# The table is emptied all the time: without the two settings, dead rows would pile up between vacuums of a small table.
_POSTGRES = """\
CREATE TABLE IF NOT EXISTS {table} (
  position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id text NOT NULL,
  type text NOT NULL,
  subject text,
  tenant text,
  "time" text NOT NULL,
  data text NOT NULL,
  refused text
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)"""
_SQLITE = """\
CREATE TABLE IF NOT EXISTS {table} (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  id text NOT NULL,
  type text NOT NULL,
  subject text,
  tenant text,
  "time" text NOT NULL,
  data text NOT NULL,
  refused text
)"""


@dataclass(frozen=True, slots=True)
class Statements:
    """The statements about one table. `positions` is a JSON array of numbers, as text."""

    table: str = TABLE

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.table):
            raise ValueError(f"{self.table!r} is not a valid table name: use letters, digits and _, as in {TABLE}.")

    def schema(self, dialect: str) -> str:
        """The statement that creates the table, if it does not exist. Raises ValueError for another dialect."""
        if dialect not in DIALECTS:
            raise ValueError(f"The outbox works with {' and '.join(DIALECTS)}, not with {dialect}.")
        return (_POSTGRES if dialect == "postgresql" else _SQLITE).format(table=self.table)

    @property
    def insert(self) -> str:
        """Add a row: `:id`, `:type`, `:subject`, `:tenant`, `:time` (RFC 3339), `:data` (JSON text)."""
        columns = 'id, type, subject, tenant, "time", data'
        return f"INSERT INTO {self.table} ({columns}) VALUES (:id, :type, :subject, :tenant, :time, :data)"  # noqa: S608

    @property
    def first(self) -> str:
        """The first `:limit` rows to publish, in order."""
        return (
            f'SELECT position, id, type, subject, tenant, "time", data FROM {self.table} '  # noqa: S608
            "WHERE refused IS NULL ORDER BY position LIMIT :limit"
        )

    @property
    def refused(self) -> str:
        """The first `:limit` refused rows: position, id, type, time, reason."""
        return (
            f'SELECT position, id, type, "time", refused FROM {self.table} '  # noqa: S608
            "WHERE refused IS NOT NULL ORDER BY position LIMIT :limit"
        )

    @property
    def refuse(self) -> str:
        """Put a row aside, with the `:reason`."""
        return f"UPDATE {self.table} SET refused = :reason WHERE position = :position"  # noqa: S608

    @property
    def retry(self) -> str:
        """Let all refused rows be published again."""
        return f"UPDATE {self.table} SET refused = NULL WHERE refused IS NOT NULL"  # noqa: S608

    @property
    def drop(self) -> str:
        """Remove the refused rows of the event `:id`."""
        return f"DELETE FROM {self.table} WHERE id = :id AND refused IS NOT NULL"  # noqa: S608

    def delete(self, dialect: str) -> str:
        """Remove the rows at `:positions`."""
        each = (
            "SELECT CAST(each AS bigint) FROM json_array_elements_text(CAST(:positions AS json)) AS each"
            if dialect == "postgresql"
            else "SELECT value FROM json_each(:positions)"
        )
        return f"DELETE FROM {self.table} WHERE position IN ({each})"  # noqa: S608


def schema(dialect: str, table: str = TABLE) -> str:
    """The statement that creates the outbox's table, for your own migrations.

    `dialect` is `postgresql` or `sqlite`. Raises ValueError for another one, or if `table` cannot be a name.
    """
    return Statements(table).schema(dialect)
