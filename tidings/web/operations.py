"""The one table of operations. A new list of them joins with one line."""

from __future__ import annotations

from tidings.web import endpoints, publish
from tidings.web.menu import Operation

OPERATIONS: tuple[Operation, ...] = (
    *publish.OPERATIONS,
    *endpoints.OPERATIONS,
)
