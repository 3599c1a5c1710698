"""Connections on behalf of callers: read, declared, deleted, and planned together with links.

They hold credentials and belong to the whole server, so only keys of the whole server see or change them. Secrets are
never shown: `***` is shown instead, and keeps the stored one if it is sent back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from tidings.model.access import Caller
from tidings.model.calls.connection import Connection
from tidings.model.errors import Conflict, NotFound
from tidings.model.ids import new_id
from tidings.model.moment import Clock
from tidings.rules.declare.connections import CONNECTIONS_MAX, DeclaredConnection, read, read_one
from tidings.rules.network.address import NONE_OPEN, Networks
from tidings.rules.revisions import Conditions, check_revision
from tidings.store.base import Db, R, Run
from tidings.store.catalog import Catalog

READ, WRITE = "links:read", "links:write"
WHOLE = "Connections"


class PutConnection(msgspec.Struct, frozen=True):
    """The result of a declaration. `is_new`: there was no connection with this name."""

    connection: Connection
    is_new: bool


class PlannedConnections(msgspec.Struct, frozen=True):
    """What declarations of connections would change."""

    declared: dict[str, DeclaredConnection]
    present: dict[str, Connection]
    changed: dict[str, list[str]]
    """By the name of a connection, the members that differ; empty for a new connection."""
    dropped: list[str]
    stays: list[str]
    """Connections that are kept although they are not declared."""

    @property
    def after(self) -> dict[str, DeclaredConnection | Connection]:
        """The connections that there will be."""
        stay = {name: each for name, each in self.present.items() if name not in self.dropped}
        return {**stay, **self.declared}

    def steps(self) -> Iterator[tuple[str, str, str]]:
        """The steps: what is done, to which connection, and a sentence without secrets."""
        for name, differs in self.changed.items():
            if differs:
                yield "change_connection", name, f"will change {', '.join(differs)} of the connection {name}"
            else:
                yield "create_connection", name, f"will create the connection {name}"
        for name in self.dropped:
            yield "delete_connection", name, f"will delete the connection {name}"


class Connections:
    """What callers may do with connections.

    Belongs to one event loop, except `planned` and `carry_out`, which are jobs.
    """

    def __init__(self, catalog: Catalog, clock: Clock, networks: Networks = NONE_OPEN) -> None:
        """`networks`: the ranges that the operator has opened for all."""
        self._catalog, self._clock, self.networks = catalog, clock, networks

    def visible(self, caller: Caller) -> list[Connection]:
        """Every connection."""
        caller.need(READ, WHOLE)
        return list(self._catalog.now.connections.values())

    def find(self, caller: Caller, name: str) -> Connection:
        """One connection. Raises NotFound."""
        caller.need(READ, WHOLE)
        found = self._catalog.now.connections.get(name)
        if found is None:
            raise _absent(name)
        return found

    def users(self, name: str) -> list[str]:
        """The names of the links that use a connection."""
        return [link.name for link in self._catalog.now.links_by_name.values() if _via(link) == name]

    async def put(
        self,
        caller: Caller,
        name: str,
        document: dict[str, Any],
        conditions: Conditions,
        check: Callable[[Connection | None], None],
        run: Run[PutConnection, R],
    ) -> R:
        """Declare a connection, or replace its declaration; it applies from the next request on.

        `check` gets the present one and may refuse. Raises Invalid, Stale or Conflict.
        """
        caller.need(WRITE, WHOLE)

        def job(db: Db) -> PutConnection:
            present = self._catalog.connections(db)
            before = present.get(name)
            conditions.check("connection", name, None if before is None else before.revision)
            check(before)
            declared = read_one(name, document, before, self._clock.now(), self.networks)
            if before is None and len(present) >= CONNECTIONS_MAX:
                raise Conflict(f"There are already {len(present):,} connections, which is the maximum.")
            return PutConnection(self._store(db, declared, before), before is None)

        return await run(job)

    async def delete(self, caller: Caller, name: str, expected: set[int] | None, run: Run[None, R]) -> R:
        """Delete a connection. Raises NotFound, Stale, or Conflict if links use it."""
        caller.need(WRITE, WHOLE)

        def job(db: Db) -> None:
            found = self._catalog.connections(db).get(name)
            if found is None:
                raise _absent(name)
            check_revision(expected, found.revision)
            users = [link.name for link in self._catalog.declared_links(db).values() if _via(link) == name]
            if users:
                named = ", ".join(users[:5]) + (" ..." if len(users) > 5 else "")
                detail = f"{len(users)} link{'s use' if len(users) > 1 else ' uses'} this connection: {named}."
                raise Conflict(
                    f"{detail} Delete or change {'it' if len(users) == 1 else 'them'} first.", code="used_by_link"
                )
            self._catalog.drop_connection(db, found)

        return await run(job)

    # --- beside links -------------------------------------------------------------------------------------------------

    def planned(self, db: Db, connections: Mapping[str, Any] | None, *, prune: bool) -> PlannedConnections:
        """What these declarations would change; None if nothing is declared. Raises Invalid."""
        present = self._catalog.connections(db)
        if connections is None:
            return PlannedConnections({}, present, {}, [], [])
        declared = read(connections, present, self._clock.now(), "/connections", self.networks)
        changed: dict[str, list[str]] = {}
        for name, each in declared.items():
            before = present.get(name)
            differs = [] if before is None else each.changes(before)
            if before is None or differs:
                changed[name] = differs
        others = [name for name in present if name not in declared]
        return PlannedConnections(declared, present, changed, others if prune else [], [] if prune else others)

    def carry_out(self, db: Db, planned: PlannedConnections) -> None:
        """Make the changes. Links must no longer use what is dropped."""
        for name in planned.changed:
            self._store(db, planned.declared[name], planned.present.get(name))
        for name in planned.dropped:
            self._catalog.drop_connection(db, planned.present[name])

    def _store(self, db: Db, declared: DeclaredConnection, before: Connection | None) -> Connection:
        now = self._clock.now()
        if before is None:
            found = Connection(
                id=new_id("conn", now),
                name=declared.name,
                options=declared.options,
                secrets=declared.secrets,
                revision=1,
                created=now,
                updated=now,
            )
        elif declared.changes(before):
            found = msgspec.structs.replace(
                before,
                options=declared.options,
                secrets=declared.secrets,
                revision=before.revision + 1,
                updated=now,
            )
        else:
            return before
        self._catalog.put_connection(db, found)
        return found


def _via(link: Any) -> str | None:
    found: str | None = getattr(link.what, "via", None)
    return found


def _absent(name: str) -> NotFound:
    return NotFound(f"There is no connection {name[:100]}.")
