"""The operation that shows what the server has: its store table by table, its last backup, and its settings."""

from __future__ import annotations

import msgspec

from tidings import __version__
from tidings.model import moment
from tidings.store.engines import nodes
from tidings.store.files import read_backups
from tidings.store.log import sizes
from tidings.web.operation import Answer, Operation, Request
from tidings.web.parts import Parts


class TableReport(msgspec.Struct, frozen=True, kw_only=True):
    """A table of the store. `bytes`: its size with its indexes; null if unknown. `is_estimate`: the numbers are
    estimates. `is_more`: the table has more than `rows` rows; the exact number is unknown.
    """

    name: str
    rows: int
    bytes: int | None
    is_estimate: bool
    is_more: bool


class StoreReport(msgspec.Struct, frozen=True, kw_only=True):
    """The size of the whole store, and its tables, the largest first. `unused`: the bytes inside its file that are
    free.
    """

    bytes: int
    unused: int
    tables: list[TableReport]


class BackupReport(msgspec.Struct, frozen=True, kw_only=True):
    """The last backup that `tidings backup` made and checked, and the last one that was restored as a trial; null if
    none is known. `key_copied`: when the secret key was last copied somewhere else.
    """

    file: str | None
    made: str | None
    key_copied: str | None
    tried_file: str | None
    tried: str | None


class SettingReport(msgspec.Struct, frozen=True, kw_only=True):
    """A setting that is in effect; secrets are masked. `origin`: where its value is from; null if it is the default."""

    name: str
    value: str
    origin: str | None


class NodeReport(msgspec.Struct, frozen=True, kw_only=True):
    """A server that shares the database. `role`: it `works` alone, `sends` for the joined servers, `takes in`, `stands
    by`, or is `gone`. `address`: where the other servers reach it. `draining`: it was asked to stop. `seconds_ago`: how
    long ago it last reported. `parts`: of the 32 parts of the endpoints, how many it sends for, among joined servers.
    """

    name: str
    version: str
    role: nodes.Role
    address: str | None
    draining: bool
    seconds_ago: float
    parts: int | None


class ServerInventory(msgspec.Struct, frozen=True, kw_only=True):
    """What the server has."""

    version: str
    store: StoreReport
    backup: BackupReport
    nodes: list[NodeReport]
    settings: list[SettingReport]


async def get_server(parts: Parts, request: Request) -> Answer:
    """The store, the last backup, the servers that share the database, and the settings."""
    there = await parts.readers.call(nodes.seen, request.caller.tenant)
    size = await parts.readers.call(sizes.read, request.caller.tenant)
    made = read_backups(parts.settings.folder)
    view = ServerInventory(
        version=__version__,
        store=msgspec.convert(size, StoreReport, from_attributes=True),
        backup=BackupReport(
            file=made.made,
            made=_time(made.made_at),
            key_copied=_time(made.key_copied_at),
            tried_file=made.tried,
            tried=_time(made.tried_at),
        ),
        nodes=[
            NodeReport(
                name=each.name,
                version=each.version,
                role=each.role,
                address=each.address,
                draining=each.draining,
                seconds_ago=round(each.seconds, 1),
                parts=each.parts,
            )
            for each in there
        ],
        settings=[
            SettingReport(name=name, value=value, origin=origin or None)
            for name, value, origin in parts.settings.shown()
        ],
    )
    return Answer(200, view)


def _time(at: int | None) -> str | None:
    return None if at is None else moment.to_text(at)


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="get_server",
        method="GET",
        path="/v1/server",
        scope="metrics:read",
        whole=True,
        summary="Show the store's size by table, the last backup, the servers and the settings",
        help=(
            "The call takes the same time no matter how much is stored: PostgreSQL keeps track of the size of each "
            "table and of its approximate number of rows; for SQLite, both are estimated from samples. `nodes` "
            "lists the servers that share a PostgreSQL database. Secrets in settings are masked."
        ),
        handler=get_server,
        tag="Service",
        response=ServerInventory,
    ),
)
