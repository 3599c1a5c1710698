"""What decides for callers checks itself what they may: whoever calls it, by the API or from a page."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tidings.model.access import SCOPES, Caller, Key
from tidings.model.errors import Forbidden, NotFound
from tidings.testing import TestServer
from tidings.web.operation import Operation, Request
from tidings.web.operations import OPERATIONS

DECIDED_BELOW = ("Keys", "Tenants", "Event types", "Endpoints", "Deliveries", "Replays", "Collections")
"""Tags of operations whose handlers only translate."""
SUNK = [each for each in OPERATIONS if each.tag in DECIDED_BELOW]


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    with TestServer() as made:
        yield made


def ask(server: TestServer, operation: Operation, key: Key) -> Any:
    """Run an operation's handler without the door, which would have refused the key."""
    assert server.server is not None and server.server._loop is not None
    body = None
    if operation.example is not None and isinstance(operation.request, type):
        body = msgspec.convert(operation.example, operation.request)
    parts = server.server.parts
    path = {"id": "unknown", "name": "unknown.type"}
    request = Request(operation, key, "req_1", path, {}, {}, b"", body, parts.cursors, value=operation.example or {})

    async def run() -> Any:
        return await operation.handler(parts, request)

    return asyncio.run_coroutine_threadsafe(run(), server.server._loop).result(10)


@pytest.mark.parametrize("operation", SUNK, ids=lambda each: str(each.name))
def test_each_needs_its_operations_scope_without_the_door_too(server: TestServer, operation: Operation) -> None:
    others = tuple(scope for scope in SCOPES if scope not in (operation.scope, "*"))
    with pytest.raises(Forbidden) as refused:
        ask(server, operation, Key(id="key_1", hash="", name="", scopes=others))
    assert refused.value.code == "scope_missing" and f"the scope {operation.scope}." in refused.value.detail


@pytest.mark.parametrize(
    "operation",
    [each for each in SUNK if each.tag in ("Tenants", "Event types", "Collections") and each.method != "GET"],
    ids=lambda each: str(each.name),
)
def test_what_belongs_to_the_whole_server_is_not_changed_for_one_tenant(
    server: TestServer, operation: Operation
) -> None:
    with pytest.raises(Forbidden, match="belong to the whole server"):
        ask(server, operation, Key(id="key_1", hash="", name="", scopes=("*",), tenant="acme"))


def test_a_caller_of_a_tenant_sees_that_tenant_alone() -> None:
    theirs = Caller(Key(id="key_1", hash="", name="", scopes=(), tenant="acme"))
    assert theirs.sees("acme") and not theirs.sees("zen") and not theirs.sees(None)
    assert theirs.narrowed(None) == theirs.narrowed("acme") == "acme"
    with pytest.raises(NotFound):
        theirs.narrowed("zen")
    operator = Caller(Key(id="key_2", hash="", name="", scopes=("*",)))
    assert operator.sees("zen") and operator.narrowed("zen") == "zen" and operator.narrowed(None) is None
    assert operator.is_operator and not theirs.is_operator
