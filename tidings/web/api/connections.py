"""The operations of connections: how other systems are reached, with credentials that are never shown."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from tidings.control.connections.connections import READ, WRITE, PutConnection
from tidings.model.calls.connection import TIMEOUT_SECONDS, Connection
from tidings.views.links import ConnectionTestView, ConnectionView, connection_test_view, connection_view
from tidings.web.habits.edits import conditions, created, shown, unless_known
from tidings.web.habits.given import agreeing
from tidings.web.habits.paging import SortedPage, SortKey
from tidings.web.habits.revisions import if_match
from tidings.web.habits.rows import Noun
from tidings.web.operation import Answer, Operation, Request
from tidings.web.parts import Parts

TAG = "Connections"


class ConnectionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A connection's declaration, as in `tidings.yaml`. The value `***` keeps the stored secret."""

    base: str | None = None
    smtp: str | None = None
    sender: str | None = msgspec.field(name="from", default=None)
    description: str = ""
    auth: dict[str, Any] | None = None
    headers: dict[str, str] = {}
    rate: float | str | None = None
    max_in_flight: int | None = None
    timeout_seconds: float = TIMEOUT_SECONDS
    private: bool | list[str] = False
    ca: str | None = None
    client_certificate: dict[str, str] | None = None


class ConnectionTest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request to test with: a GET of `path`, which must not change anything on the other system.

    Without `path`, it is a HEAD of `base`. On a mail server, the test only logs in.
    """

    path: str | None = None


class ConnectionList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of connections, by name."""

    data: list[ConnectionView]
    next_cursor: str | None
    count: int | msgspec.UnsetType = msgspec.UNSET


SORTS: dict[str, SortKey] = {"name": lambda each: each.name, "created": lambda each: each.created}


async def list_connections(parts: Parts, request: Request) -> Answer:
    """Connections, by name by default."""
    page = SortedPage(request, parts.links.connections.visible(request.caller), SORTS, lambda each: each.name)
    return page.answer([_view(parts, each) for each in page.shown])


async def get_connection(parts: Parts, request: Request) -> Answer:
    """Read one connection."""
    connection = parts.links.connections.find(request.caller, request.path["name"])
    return unless_known(request, _view(parts, connection), connection.revision)


async def put_connection(parts: Parts, request: Request) -> Answer:
    """Declare a connection, or replace its declaration."""
    name = request.path["name"]
    check = agreeing(request, partial(_view, parts))
    put: PutConnection = await parts.links.connections.put(
        request.caller, name, request.value, conditions(request), check, parts.writer.call
    )
    view, revision = _view(parts, put.connection), put.connection.revision
    return created(view, revision, f"/v1/connections/{name}") if put.is_new else shown(view, revision)


async def delete_connection(parts: Parts, request: Request) -> Answer:
    """Delete a connection that no link uses."""
    await parts.links.connections.delete(request.caller, request.path["name"], if_match(request), parts.writer.call)
    return Answer(204)


async def test_connection(parts: Parts, request: Request) -> Answer:
    """Test whether a connection reaches the other system, and whether its credentials are accepted."""
    name, wanted = request.path["name"], request.body or ConnectionTest()
    found = await parts.link_trials.connections.test(request.caller, name, wanted.path)
    return Answer(200, connection_test_view(name, found))


def _view(parts: Parts, connection: Connection) -> ConnectionView:
    return connection_view(connection, parts.links.connections.users(connection.name))


NOUN = Noun(name="connection", path="/v1/connections/{name}", tag=TAG, view=ConnectionView)
OPERATIONS: tuple[Operation, ...] = (
    NOUN.lists(list_connections, ConnectionList, SORTS, scope=READ, whole=True, summary="List connections"),
    NOUN.reads(get_connection, scope=READ, whole=True, summary="Read a connection"),
    NOUN.puts(
        put_connection,
        at_sender=True,
        scope=WRITE,
        whole=True,
        summary="Declare a connection, or replace its declaration",
        help=(
            "The declaration takes effect with the next request, and deliveries waiting for a retry are sent at "
            "once. Secrets are shown as `***`; to keep a secret, send `***` back. With `If-None-Match: *`, the call "
            "can only create a connection; with `If-Match`, it can only replace an existing one."
        ),
        request=ConnectionBody,
        example={"base": "https://api.example.com/v1", "auth": {"bearer": "sk_live_4eC39HqLyjWDarjtT1zd"}, "rate": 5},
    ),
    NOUN.deletes(
        delete_connection, at_sender=True, scope=WRITE, whole=True, summary="Delete a connection that no link uses"
    ),
    Operation(
        name="test_connection",
        at_sender=True,
        method="POST",
        path="/v1/connections/{name}:test",
        scope=WRITE,
        whole=True,
        summary="Test whether a connection reaches the other system, and whether its credentials are accepted",
        help=(
            "If the connection uses access tokens and has no valid one, a new token is requested. Then a single "
            "test request is sent: a GET of `path` if the body has a `path`, otherwise a HEAD of `base`. For a "
            "connection to a mail server, the test logs in but sends no mail. The test is not a delivery, and it "
            "does not count towards `rate`."
        ),
        handler=test_connection,
        tag=TAG,
        request=ConnectionTest,
        request_optional=True,
        response=ConnectionTestView,
        example={"path": "/me"},
    ),
)
