"""What decides is below what translates: SQL and stages are out of reach of the API and of pages.

`lint-imports` keeps the imports; what cannot be told from imports is looked for here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.repository import ROOT, name, nodes, under

DECIDING = ("store", "control", "intake", "route", "deliver", "outbox")
"""Folders whose code may name SQL statements."""
ASKS = frozenset(("one", "all", "run", "many", "insert", "query", "execute"))
"""What a connection can be asked (`store/base.py`, Db)."""
CONNECTIONS = frozenset(("db", "conn", "connection"))
STATEMENTS = frozenset(
    statement
    for path in sorted((ROOT / "tidings" / "store" / "sql").glob("*.sql"))
    for statement in re.findall(r"^-- name: (\w+)", path.read_text(), re.MULTILINE)
)


def asks(code: Iterable[ast.AST]) -> list[int]:
    """The lines that ask a connection, by a statement's name or with SQL of their own."""
    found = []
    for node in code:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in ASKS:
            continue
        asked = node.func.value
        whom = asked.id if isinstance(asked, ast.Name) else asked.attr if isinstance(asked, ast.Attribute) else ""
        first = node.args[0] if node.args else None
        is_statement = isinstance(first, ast.Constant) and first.value in STATEMENTS
        if is_statement or whom.lstrip("_") in CONNECTIONS:
            found.append(node.lineno)
    return found


def parts(source: str) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(source))


def translating() -> list[Path]:
    """The package's files that may not."""
    return [path for path in under("tidings", suffix=".py") if path.relative_to(ROOT).parts[1] not in DECIDING]


def test_only_the_store_the_stages_and_control_name_sql() -> None:
    found = [f"{name(path)}:{line}" for path in translating() for line in asks(nodes(path))]
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
    assert asks(parts(f"async def job():\n    {source}\n")) == [2]


def test_other_things_are_not_taken_for_sql() -> None:
    assert len(STATEMENTS) > 100 and "tenant_of" in STATEMENTS
    assert not asks(parts('query.one(text, "ticket")\nsubprocess.run(["git"])\nregistry.all("keys of nobody")\n'))


# --- handlers translate -----------------------------------------------------------------------------------------------

KNOWS_KEYS = ("web/callers", "web/api/door.py", "web/svix/door.py")
"""Where a request's key is looked up, and asked for the operation's scope, so that most refusals cost nothing."""
SHOWS_KEYS = ("web/openapi",)
"""What a key may do, as its document shows it."""
DECISIONS = frozenset(("need", "has_scope", "is_operator", "check_verb", "sees"))
REFUSALS = frozenset(("Forbidden", "Conflict", "Stale", "Gone", "NotFound"))
"""What is raised by what decides. Handlers raise only what is wrong with the request itself: Malformed, Invalid ..."""
FINDS_OPERATIONS = {
    "web/items/templates.py": "finds the operation in the key's own menu, which is made from its grant",
    "web/habits/given.py": "compares members of the body with what was read",
    "web/docs/pages.py": "looks for its own files",
    "web/api/schemes.py": "looks a name up in a list that is the same for everybody",
    "web/wire/routes.py": "looks for paths",
    "web/inside.py": "runs operations for pages, and asks for their scope as the API's door does",
    "web/console/door.py": "looks for pages",
    "web/console/shown.py": "leaves out of the menu what the key sees nothing of",
    "web/mcp/tools.py": "finds the operation behind a tool in the key's own menu",
    "web/portal/door.py": "looks for pages",
    "web/portal/pages/log.py": "shows no deliveries of the operator's links",
    "web/pages/senders.py": "refuses requests that other sites make browsers send",
}


def decides(code: Iterable[ast.AST]) -> list[int]:
    """The lines that ask what a caller may do, or refuse for what they find."""
    found = []
    for node in code:
        if not isinstance(node, ast.Attribute | ast.Call):
            continue
        is_asking = isinstance(node, ast.Attribute) and node.attr in DECISIONS
        is_refusing = isinstance(node, ast.Call) and getattr(node.func, "id", "") in REFUSALS | DECISIONS
        if is_asking or is_refusing:
            found.append(node.lineno)
    return found


def test_handlers_translate_and_control_decides() -> None:
    found = [
        f"{name(path)}:{line}"
        for path in under("tidings", suffix=".py")
        if name(path).startswith("tidings/web/")
        and not name(path).removeprefix("tidings/").startswith(KNOWS_KEYS + SHOWS_KEYS)
        and name(path).removeprefix("tidings/") not in FINDS_OPERATIONS
        for line in decides(nodes(path))
    ]
    assert not found, f"decide this in control/ or intake/, for a Caller: {found}"


@pytest.mark.parametrize(
    "source", ['request.caller.need("keys:read")', 'raise Conflict("It exists.")', "x = caller.is_operator"]
)
def test_a_line_that_decides_is_found(source: str) -> None:
    assert decides(parts(f"async def handler():\n    {source}\n")) == [2]
