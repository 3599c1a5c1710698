"""Operations of the menu, run for our own pages: the rows, checks and scopes of the API, without HTTP.

So a page can read and do exactly what its caller's key may: there is no second set of rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

from tidings.model.access import Key
from tidings.model.errors import NotFound
from tidings.web.habits import given, shaping
from tidings.web.operation import Answer, Operation, Request
from tidings.web.parts import Parts
from tidings.web.wire import query

Values = Mapping[str, Any]


class Menu:
    """Runs operations by their name."""

    def __init__(self, parts: Parts, operations: Sequence[Operation]) -> None:
        self._parts = parts
        self._operations = {operation.name: operation for operation in operations}

    def has(self, name: str) -> bool:
        """Whether there is such an operation."""
        return name in self._operations

    def may(self, key: Key, name: str) -> bool:
        """Whether the key may try an operation that every caller finds under this name."""
        operation = self._operations.get(name)
        if operation is None or (operation.whole and key.tenant is not None):
            return False
        return operation.per_key is not None or operation.scope is None or key.has_scope(operation.scope)

    async def run(
        self,
        key: Key,
        name: str,
        *,
        path: Mapping[str, str] | None = None,
        query: Values | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        request_id: str = "",
    ) -> Answer:
        """Run one operation; returns its response. `query`: texts, numbers, booleans and lists; None omits a parameter.

        Raises what the API returns as a problem: Forbidden, NotFound, Invalid ...
        """
        operation, path = self._operations.get(name), dict(path or {})
        if operation is None:
            raise NotFound(f"This server has no operation {name}.")
        if operation.per_key is not None:
            operation = operation.per_key(self._parts, key, path)
        elif operation.scope is not None:
            key.need(operation.scope)
        request = Request(
            operation=operation,
            key=key,
            request_id=request_id,
            path=path,
            query=_read(query or {}, operation),
            headers=dict(headers or {}),
            raw=b"",
            body=None,
            cursors=self._parts.cursors,
        )
        if "fields" in request.query:
            request.chosen = shaping.chosen_fields(request)
        if operation.request is not None and (body is not None or not operation.request_optional):
            request.raw = msgspec.json.encode({} if body is None else body)
            given.read(request, request.raw)
        answer = await operation.handler(self._parts, request)
        assert isinstance(answer, Answer), "a page does not follow a stream"
        return answer if operation.item is None else shaping.finish(request, answer)


def _read(values: Values, operation: Operation) -> dict[str, Any]:
    """The parameters as the API reads them from a URL."""
    text = urlencode([(name, _text(each)) for name, value in values.items() for each in _listed(value)])
    return query.read(text, operation) if text or operation.parameters else {}


def _listed(value: Any) -> Sequence[Any]:
    if value is None or value == "":
        return ()
    return value if isinstance(value, list | tuple) else (value,)


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
