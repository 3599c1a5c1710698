"""The application's side: add an event to the transaction that makes the change."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from decimal import Decimal
from typing import Any

from tidings.client.calls import event_text, given, moment
from tidings.model.access import TENANT_RULE, is_tenant
from tidings.model.errors import Malformed
from tidings.model.event import EVENT_BYTES_MAX, ID_RULE, OWN_TYPES, SUBJECT_RULE, event_time, is_event_id, is_subject
from tidings.outbox.connections import dialect_of, execute, in_transaction, is_awaited, kind_of
from tidings.outbox.statements import TABLE, Statements
from tidings.rules.event_types import TYPE_RULE, is_type
from tidings.rules.reading import jsontext

Row = dict[str, str | None]


class Outbox:
    """Adds events to a table in the application's own database. May be shared between threads.

    `connection` is the one that makes the change: a psycopg connection or cursor, a sqlite3 connection or cursor, an
    SQLAlchemy connection or session, or `django.db.connection` (`connections[...]`).

    `dumps` turns `data` into JSON text. The default writes times as RFC 3339, and UUIDs and decimals as strings.
    `event_bytes_max`: the server's `max_body_bytes`, if it is not the default.
    """

    def __init__(
        self,
        table: str = TABLE,
        *,
        dumps: Callable[[Any], str] | None = None,
        event_bytes_max: int = EVENT_BYTES_MAX,
    ) -> None:
        self._statements = Statements(table)
        self._dumps = dumps or _dumps
        self._event_bytes_max = event_bytes_max

    def add(
        self,
        connection: Any,
        type: str,
        data: Mapping[str, Any],
        *,
        subject: str | None = None,
        id: str | None = None,
        time: str | datetime | None = None,
        tenant: str | None = None,
    ) -> str:
        """Add an event to the connection's transaction; returns the event's id.

        The fields are those of `Client.publish`. By default, `id` is random, and `time` is now.

        Raises ValueError if any server would refuse the event, whatever its settings; RuntimeError if the connection
        is not in a transaction; TypeError for asynchronous or unknown kinds of connections; and database errors.
        """
        _check_kind(connection, awaited=False, other="add_async")
        _check_transaction(connection)
        row = self._row(type, data, subject, id, time, tenant)
        execute(connection, self._statements.insert, row)
        return str(row["id"])

    async def add_async(
        self,
        connection: Any,
        type: str,
        data: Mapping[str, Any],
        *,
        subject: str | None = None,
        id: str | None = None,
        time: str | datetime | None = None,
        tenant: str | None = None,
    ) -> str:
        """`add` for connections that are awaited: psycopg's AsyncConnection, SQLAlchemy's AsyncConnection and -Session.

        In Django, call `add` inside `sync_to_async`, as transactions there require.
        """
        _check_kind(connection, awaited=True, other="add")
        _check_transaction(connection)
        row = self._row(type, data, subject, id, time, tenant)
        await execute(connection, self._statements.insert, row)
        return str(row["id"])

    def create_table(self, connection: Any) -> None:
        """Create the table if it does not exist, in the connection's transaction.

        Raises ValueError for a database that is neither PostgreSQL nor SQLite, and TypeError as `add` does.
        """
        _check_kind(connection, awaited=False, other="create_table_async")
        execute(connection, self._statements.schema(dialect_of(connection)), {})

    async def create_table_async(self, connection: Any) -> None:
        """`create_table` for connections that are awaited."""
        _check_kind(connection, awaited=True, other="create_table")
        await execute(connection, self._statements.schema(dialect_of(connection)), {})

    def _row(
        self,
        type: str,
        data: Mapping[str, Any],
        subject: str | None,
        id: str | None,
        time: str | datetime | None,
        tenant: str | None,
    ) -> Row:
        # Mistakes are found here, by their author, rather than later by a relay.
        if not is_type(type):
            raise ValueError(TYPE_RULE)
        if type.startswith(OWN_TYPES):
            raise ValueError(f"Types that begin with {OWN_TYPES} are reserved for Tidings. Choose another name.")
        if not isinstance(data, Mapping):
            raise ValueError("An event's data must be an object: pass a dict.")
        if subject is not None and not is_subject(subject):
            raise ValueError(SUBJECT_RULE)
        if id is not None and not is_event_id(id):
            raise ValueError(ID_RULE)
        if tenant is not None and not is_tenant(tenant):
            raise ValueError(TENANT_RULE)
        fields = {
            "id": id or f"obx_{uuid.uuid4().hex}",
            "type": type,
            "subject": subject,
            "tenant": tenant,
            "time": moment(datetime.now(UTC) if time is None else time),
        }
        event_time(str(fields["time"]))
        try:
            text = self._dumps(data)
        except RecursionError:
            raise ValueError("The data is nested too deeply.") from None
        self._check_text(event_text(given(**fields), text))
        return {**fields, "data": text}

    def _check_text(self, event: bytes) -> None:
        """Raise ValueError if no server accepts the event as the relay sends it: inside a list in an object."""
        if len(event) > self._event_bytes_max:
            raise ValueError(
                f"The event is {len(event):,} bytes long; a server accepts at most {self._event_bytes_max:,} bytes."
            )
        try:
            value = jsontext.read(event, depth_max=jsontext.DEPTH_MAX - 2)
        except Malformed as wrong:
            raise ValueError(wrong.detail) from None
        if not isinstance(value["data"], dict):
            raise ValueError("An event's data must be an object, but `dumps` returned something else.")


def _check_kind(connection: Any, *, awaited: bool, other: str) -> None:
    if is_awaited(connection) != awaited:
        kind = "not asynchronous" if awaited else "asynchronous"
        raise TypeError(f"This connection is {kind}: {'call' if awaited else 'await'} `Outbox.{other}` instead.")


def _check_transaction(connection: Any) -> None:
    if in_transaction(connection):
        return
    how = {
        "django": "with transaction.atomic():",
        "psycopg": "with connection.transaction():",
        "sqlite3": 'connection.execute("BEGIN")',
        "sqlalchemy": "use an isolation level other than AUTOCOMMIT",
    }[kind_of(connection)]
    raise RuntimeError(
        "The event would be committed on its own, even if the change that it is about were rolled back. Make the "
        f"change and add the event in one transaction: {how}"
    )


def _dumps(data: Any) -> str:
    return json.dumps(data, separators=(",", ":"), allow_nan=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, date | time_of_day):
        return value.isoformat()
    if isinstance(value, Decimal | uuid.UUID):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(
        f"{type(value).__name__} cannot be written as JSON: pass `dumps` to Outbox, or convert the value first."
    )
