"""Which index a query walks along, as the engine's own planner tells."""

from __future__ import annotations

import re
from typing import Any

from tidings.store.base import Db

AVOIDED = ("seqscan", "sort", "bitmapscan")
SORTS = re.compile(r"TEMP B-TREE|Sort|Seq Scan")


class Explained:
    """A connection that explains the queries that it is asked; an answer from it is not a page.

    PostgreSQL plans by what is in a table, and these are empty. So it is told to avoid reading a table from end to end
    and to sort, as it does by itself if there are many rows: if it does either, no index fits.
    """

    def __init__(self, db: Db) -> None:
        self.db, self.dialect = db, db.dialect
        self.used: list[str] = []
        """Of each query: the columns of its index, or the plan if it uses none or sorts as well."""
        if db.dialect == "postgres":
            for each in AVOIDED:
                db.query("SELECT set_config(:name, 'off', true)", {"name": f"enable_{each}"})
            indexes = db.query("SELECT indexname, indexdef FROM pg_indexes", {})
        else:
            indexes = db.query("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL", {})
        self._columns = {name: columns(definition) for name, definition in indexes}

    def query(self, sql: str, params: dict[str, Any]) -> list[Any]:
        """Explain a query for items; others are not asked."""
        if sql.startswith("SELECT seq"):
            lines = self._plan(sql, params)
            plan = "\n".join(lines)
            found = next((each for name, each in self._columns.items() if name in plan), plan)
            self.used.append(plan if SORTS.search(plan) else found)
        return []

    def _plan(self, sql: str, params: dict[str, Any]) -> list[str]:
        if self.dialect == "postgres":
            return [row[0] for row in self.db.query(f"EXPLAIN {sql}", params)]
        return [str(row[3]) for row in self.db.query(f"EXPLAIN QUERY PLAN {sql}", params)]


def columns(definition: str) -> str:
    """`("a", seq)` of a CREATE INDEX: the columns that it is made of, as SQLite is given them."""
    [inside] = re.findall(r"\((.*?)\)", definition)[:1]
    names = [re.sub(r'"| NULLS FIRST', "", each.strip()) for each in inside.split(",")]
    return "({})".format(", ".join(f'"{each}"' if each.startswith("f_") else each for each in names))
