"""What may be called after a success, as OpenAPI links: derived from the paths of things.

A response that creates or lists things has links to the calls that read, change and delete them; one that reads a
thing, to those that change and delete it. Operations declare any other links themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tidings.web.operation import NextOperation, Operation

_NAME = re.compile(r"\{(\w+)\}")
BY_NAME = ("/v1/collections", "/v1/event-types")
"""Collections whose things are named by `name`; all others by `id`."""
_THEN = {"GET": ("PATCH", "PUT", "DELETE"), "PATCH": ("GET", "DELETE"), "PUT": ("GET", "PATCH", "DELETE")}
"""The methods that a response links to, by the method of the request for one thing."""


def links(operation: Operation, status: int, operations: Sequence[Operation]) -> dict[str, NextOperation]:
    """The links of one answer, by their names; only to operations in the document."""
    shown = {each.name for each in operations}
    found = {link.name: link for link in operation.links if link.operation in shown and status == operation.status}
    for target in _targets(operation, status, operations):
        name = _NAME.findall(target.path)[-1]
        found.setdefault(
            target.name, NextOperation(target.name, target.name, {name: _where(operation, target)}, target.summary)
        )
    return found


def _targets(operation: Operation, status: int, operations: Sequence[Operation]) -> Iterable[Operation]:
    if operation.response is None or status == 204:
        return []
    if "{" not in operation.path:
        makes = operation.method == "POST" and status == operation.status
        within = operation.path + "/{"
        if not makes and not operation.is_list:
            return []
        return [each for each in operations if each.path.startswith(within)]
    methods = _THEN.get(operation.method, ())
    return [each for each in operations if each.path == operation.path and each.method in methods]


def _where(operation: Operation, target: Operation) -> str:
    """The runtime expression for the name or id of the thing."""
    if "{" in operation.path:
        return f"$request.path.{_NAME.findall(target.path)[-1]}"
    field = "name" if operation.path in BY_NAME else "id"
    return f"$response.body#/data/0/{field}" if operation.is_list else f"$response.body#/{field}"
