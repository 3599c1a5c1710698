"""What decides stands below what translates: SQL and stages are out of reach of the API and of pages.

`lint-imports` keeps the imports; what cannot be told from imports is looked for here.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.repository import ROOT, name, under

DECIDING = ("store", "control", "intake", "route", "deliver")
"""Folders whose code may name SQL statements."""
ASKS = frozenset(("one", "all", "run", "many", "insert", "query", "execute"))
"""What a connection can be asked (`store/base.py`, Db)."""
CONNECTIONS = frozenset(("db", "conn", "connection"))
STATEMENTS = frozenset(
    statement
    for path in sorted((ROOT / "tidings" / "store" / "sql").glob("*.sql"))
    for statement in re.findall(r"^-- name: (\w+)", path.read_text(), re.MULTILINE)
)


def asks(source: str) -> list[int]:
    """The lines that ask a connection, by a statement's name or with SQL of their own."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in ASKS:
            continue
        asked = node.func.value
        whom = asked.id if isinstance(asked, ast.Name) else asked.attr if isinstance(asked, ast.Attribute) else ""
        first = node.args[0] if node.args else None
        is_statement = isinstance(first, ast.Constant) and first.value in STATEMENTS
        if is_statement or whom.lstrip("_") in CONNECTIONS:
            found.append(node.lineno)
    return found


def translating() -> list[Path]:
    """The package's files that may not."""
    return [path for path in under("tidings", suffix=".py") if path.relative_to(ROOT).parts[1] not in DECIDING]


def test_only_the_store_the_stages_and_control_name_sql() -> None:
    found = [f"{name(path)}:{line}" for path in translating() for line in asks(path.read_text())]
    assert not found, f"move these into store/, or where it is decided, control/ or intake/: {found}"


@pytest.mark.parametrize(
    "source",
    [
        'row = db.one("tenant_of", id=1)',
        'rows = await readers.call(lambda it: it.all("call_counts"))',
        'self._db.run(f"{table}_changed", name=name)',
        'db.query("SELECT 1", {})',
    ],
)
def test_a_line_that_names_sql_is_found(source: str) -> None:
    assert asks(f"async def job():\n    {source}\n") == [2]


def test_other_things_are_not_taken_for_sql() -> None:
    assert len(STATEMENTS) > 100 and "tenant_of" in STATEMENTS
    assert not asks('query.one(text, "ticket")\nsubprocess.run(["git"])\nregistry.all("keys of nobody")\n')
