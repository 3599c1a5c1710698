"""Conditions on items as SQL. Each piece is true or false, never unknown, so that NOT means what it says."""

from __future__ import annotations

from typing import Any

from tidings.rules.items.condition import Both, Compare, Condition, Either, Op
from tidings.store.base import Dialect
from tidings.store.items.tables import asked_column

_ORDERED: dict[Op, str] = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_LAST_CHAR = 0x10FFFF
_SURROGATES = (0xD800, 0xDFFF)


class Where:
    """Collects a statement's conditions and their values. `text` goes after WHERE."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._parts: list[str] = []
        self.values: dict[str, Any] = {}

    def add(self, condition: Condition) -> None:
        """One more condition that must be true."""
        parts = condition.parts if isinstance(condition, Both) else (condition,)
        for part in parts:
            self._parts.append(self._sql(part, positive=True))
            if isinstance(part, Compare) and part.field == "tenant" and part.op == "eq" and part.value:
                # The indexes for one tenant contain only rows with a tenant, and are used only if the condition says
                # so.
                self._parts.append("tenant <> ''")

    def add_sql(self, sql: str, **values: Any) -> None:
        """A condition in SQL of our own, with its values."""
        self._parts.append(sql)
        self.values |= values

    def value(self, value: Any) -> str:
        """The placeholder of a value."""
        name = f"v{len(self.values)}"
        self.values[name] = value
        return f":{name}"

    @property
    def text(self) -> str:
        """All conditions, joined."""
        return " AND ".join(self._parts) or "TRUE"

    def _sql(self, condition: Condition, *, positive: bool = False) -> str:
        """`positive`: it is in a place where unknown counts as false, so an index may be used."""
        if isinstance(condition, Compare):
            return self._compare(condition, positive=positive)
        if isinstance(condition, Both):
            return "(" + (" AND ".join(self._sql(part, positive=positive) for part in condition.parts) or "TRUE") + ")"
        if isinstance(condition, Either):
            return "(" + (" OR ".join(self._sql(part, positive=positive) for part in condition.parts) or "FALSE") + ")"
        return f"NOT {self._sql(condition.part)}"

    def _compare(self, condition: Compare, *, positive: bool) -> str:
        name = asked_column(condition.field)
        op, value = condition.op, condition.value
        if op == "exists":
            return f"({name} IS {'NOT ' if value else ''}NULL)"
        if op in ("eq", "ne") and value is None:
            return f"({name} IS {'NOT ' if op == 'ne' else ''}NULL)"
        if op == "ne":
            return f"({name} IS NULL OR {name} <> {self.value(value)})"
        if op in ("in", "nin"):
            return self._member(name, value, negated=op == "nin", positive=positive)
        if op == "eq":
            text = f"{name} = {self.value(value)}"
        elif op == "starts_with":
            text = self._prefix(name, value)
        elif op == "contains":
            find = "instr" if self._dialect == "sqlite" else "strpos"
            text = f"{find}({name}, {self.value(value)}) > 0"
        else:
            text = f"{name} {_ORDERED[op]} {self.value(value)}"
        return f"({text})" if positive else f"({name} IS NOT NULL AND {text})"

    def _member(self, name: str, values: tuple[Any, ...], *, negated: bool, positive: bool) -> str:
        there = [self.value(value) for value in values if value is not None]
        has_null = len(there) < len(values)
        parts = [f"{name} {'NOT ' if negated else ''}IN ({', '.join(there)})"] if there else []
        if negated:
            # Null is in the list or not, like any other value.
            null = f"{name} IS {'NOT ' if has_null else ''}NULL"
            return f"({' AND '.join([null, *parts])})" if has_null else f"({' OR '.join([null, *parts])})"
        if has_null:
            return f"({' OR '.join([f'{name} IS NULL', *parts])})"
        return f"({parts[0]})" if positive else f"({name} IS NOT NULL AND {parts[0]})"

    def _prefix(self, name: str, prefix: str) -> str:
        """Texts with this prefix, as a range: texts compare by code points."""
        above = _successor(prefix)
        text = f"{name} >= {self.value(prefix)}"
        return text if above is None else f"{text} AND {name} < {self.value(above)}"


def _successor(prefix: str) -> str | None:
    """The least text that is greater than all that begin with `prefix`; None if there is none."""
    while prefix:
        point = ord(prefix[-1]) + 1
        if point <= _LAST_CHAR:
            return prefix[:-1] + chr(_SURROGATES[1] + 1 if point == _SURROGATES[0] else point)
        prefix = prefix[:-1]
    return None
