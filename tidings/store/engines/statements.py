"""Load the named statements of store/sql/*.sql.

A statement begins with `-- name: x`, or `-- name: x (sqlite)` / `x (postgres)` where the two must differ.
Parameters are written `:x` in the files.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib.resources import files

_HEAD = re.compile(r"^-- name: (\w+)(?: \((sqlite|postgres)\))?\s*$", re.MULTILINE)
_PARAM = re.compile(r"(?<![:\w]):([a-z_]\w*)")


@cache
def statements(dialect: str) -> dict[str, str]:
    """All statements of one dialect, by name, in that driver's way of writing parameters."""
    found: dict[str, str] = {}
    for file in sorted(files("tidings.store.sql").iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".sql"):
            continue
        parts = _HEAD.split(file.read_text())
        for name, only, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
            if only in (None, dialect):
                if name in found:
                    raise ValueError(f"two statements are named {name} ({file.name})")
                found[name] = to_driver(_without_comments(text), dialect)
    return found


@lru_cache(maxsize=4096)
def to_driver(sql: str, dialect: str) -> str:
    """Turn `:x` into what the driver reads: the same for SQLite, `%(x)s` for PostgreSQL."""
    if dialect == "sqlite":
        return sql
    return _PARAM.sub(r"%(\1)s", sql.replace("%", "%%"))


def _without_comments(text: str) -> str:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    return "\n".join(lines).strip().rstrip(";")
