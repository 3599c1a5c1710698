"""What decides for callers checks itself what they may: whoever calls it, by the API or from a page."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tidings.intake.items.change import ItemRequest
from tidings.intake.items.import_check import OnConflict
from tidings.intake.items.imports import ImportRequest
from tidings.model.access import SCOPES, Caller, Key, Permit, Verb
from tidings.model.errors import Forbidden, NotFound
from tidings.rules.items.permit import Grant, grant
from tidings.testing import TestServer
from tidings.web.operation import Operation, Request, Slice
from tidings.web.operations import OPERATIONS
from tidings.web.parts import Parts

DECIDED_BELOW = (
    "Keys",
    "Tenants",
    "Event types",
    "Endpoints",
    "Deliveries",
    "Replays",
    "Collections",
    "Events",
    "Hooks",
)
"""Tags of operations whose handlers only translate."""
CLERK = Key(id="key_1", hash="", name="", scopes=())
# The schemes are the same for everybody, so nothing is decided about them.
SUNK = [each for each in OPERATIONS if each.tag in DECIDED_BELOW and each.name not in ("list_schemes", "get_scheme")]


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    with TestServer() as made:
        yield made


def ask(server: TestServer, operation: Operation, key: Key) -> Any:
    """Run an operation's handler without the door, which would have refused the key."""
    assert server.server is not None and server.server._loop is not None
    body: Any = None
    slices: tuple[Slice, ...] = ()
    raw = b"" if operation.example is None else msgspec.json.encode(operation.example)
    if raw and operation.listing is not None:
        slices = (Slice(0, raw),)
    elif raw and isinstance(operation.request, type):
        body = msgspec.json.decode(raw, type=operation.request)
    parts = server.server.parts
    path = {"id": "unknown", "name": "unknown.type", "event": "unknown"}
    value = operation.example or {}
    request = Request(operation, key, "req_1", path, {}, {}, raw, body, parts.cursors, value=value, slices=slices)

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
def test_a_tenants_key_cannot_change_the_whole_server(server: TestServer, operation: Operation) -> None:
    with pytest.raises(Forbidden, match="belong to the whole server"):
        ask(server, operation, Key(id="key_1", hash="", name="", scopes=("*",), tenant="acme"))


def test_a_tenants_caller_sees_only_that_tenant() -> None:
    theirs = Caller(Key(id="key_1", hash="", name="", scopes=(), tenant="acme"))
    assert theirs.sees("acme") and not theirs.sees("zen") and not theirs.sees(None)
    assert theirs.narrowed(None) == theirs.narrowed("acme") == "acme"
    with pytest.raises(NotFound):
        theirs.narrowed("zen")
    operator = Caller(Key(id="key_2", hash="", name="", scopes=("*",)))
    assert operator.sees("zen") and operator.narrowed("zen") == "zen" and operator.narrowed(None) is None
    assert operator.is_operator and not theirs.is_operator


ITEM_VERBS: tuple[tuple[Verb, Verb], ...] = (
    ("create", "list"), ("edit", "create"), ("put", "create"), ("delete", "edit"),
)  # fmt: skip


@pytest.mark.parametrize(("verb", "other"), ITEM_VERBS)
def test_an_item_is_changed_only_by_a_key_with_the_verb(server: TestServer, verb: Verb, other: Verb) -> None:
    asked = ItemRequest(grant=granted(server, other), key=CLERK, id="x", data={"title": "x"})
    parts = inside(server)
    with pytest.raises(Forbidden, match=f"may not {verb} items of jobs. It may: {other}."):
        parts.writer.wait(lambda db: parts.items.do(db, verb, asked))


@pytest.mark.parametrize(("on_conflict", "verbs", "missing"), [
    ("refuse", ("list",), "create"), ("replace", ("create",), "put"), ("merge", ("create",), "edit"),
])  # fmt: skip
def test_a_file_is_imported_only_by_a_key_with_the_verbs(
    server: TestServer, on_conflict: OnConflict, verbs: tuple[Verb, ...], missing: Verb
) -> None:
    asked = ImportRequest(
        caller=Caller(CLERK), grant=granted(server, *verbs), media="text/csv", on_conflict=on_conflict
    )
    with pytest.raises(Forbidden, match=f"may not {missing} items of jobs"):
        inside(server).imports.begin(asked)


def granted(server: TestServer, *verbs: Verb) -> Grant:
    """What a key with these verbs may do in the collection of jobs."""
    server.api.call("PUT", "/v1/collections/jobs", {"fields": {"title": {"type": "string"}}})
    key = msgspec.structs.replace(CLERK, permits=(Permit(collection="jobs", verbs=verbs),))
    found = grant(key, inside(server).catalog.now.collections["jobs"])
    assert found is not None
    return found


def inside(server: TestServer) -> Parts:
    assert server.server is not None
    return server.server.parts
