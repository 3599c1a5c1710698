"""Declarations on behalf of callers: collections listed, declared, changed and dropped, and whole files applied.

Plans are made and carried out by `control/collections.py`. Anything that would lose values or items is refused (409
`would_lose`) unless the caller says that this is intended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tidings.control.collections import Asked, Make, Shown, Wanted
from tidings.control.declare.declaring import Ask, Declaring
from tidings.control.declare.link_plans import WantedLinks
from tidings.control.declare.whole import WholeFile
from tidings.control.links import WHOLE as WHOLE_LINKS
from tidings.control.links import WRITE as WRITE_LINKS
from tidings.model.access import Caller
from tidings.model.collection import Collection
from tidings.model.errors import Conflict, NotFound
from tidings.rules.declare.declaration import plain
from tidings.rules.merge_patch import merged
from tidings.rules.revisions import Conditions, check_revision
from tidings.store.base import Db, R, Run
from tidings.store.catalog import Catalog
from tidings.store.readers import Readers

READ, WRITE = "collections:read", "collections:write"
WHOLE = "Collections"


class DeclaredCollection(msgspec.Struct, frozen=True):
    """The result of a declaration. `is_new`: there was no collection with this name."""

    collection: Collection
    is_new: bool


class Declarations:
    """Reads and changes declarations."""

    def __init__(self, catalog: Catalog, readers: Readers, whole: WholeFile, declaring: Declaring) -> None:
        self._catalog, self._readers = catalog, readers
        self._whole, self._declaring = whole, declaring

    @property
    def busy(self) -> bool:
        """Whether a declaration over many items is in progress."""
        return self._declaring.busy

    def visible(self, caller: Caller) -> list[Collection]:
        """Every collection."""
        caller.need(READ)
        return list(self._catalog.now.collections.values())

    def find(self, caller: Caller, name: str) -> Collection:
        """One collection. Raises NotFound."""
        caller.need(READ)
        collection = self._catalog.now.collections.get(name)
        if collection is None:
            raise _absent(name)
        return collection

    async def create(self, caller: Caller, name: str, document: dict[str, Any], run: Run[DeclaredCollection, R]) -> R:
        """Declare a collection. Raises Invalid, or Conflict if there is one or a step is refused."""
        caller.need(WRITE, WHOLE)

        def ask(db: Db) -> Asked:
            if self._catalog.collection(db, name) is not None:
                raise Conflict(f"A collection {name[:100]} already exists. Change it with PATCH or PUT.")
            return _declaration(name, document)

        return await self._declare(caller, name, ask, run)

    async def put(
        self,
        caller: Caller,
        name: str,
        document: dict[str, Any],
        conditions: Conditions,
        check: Callable[[Collection | None], None],
        run: Run[DeclaredCollection, R],
        *,
        drop_values: bool = False,
    ) -> R:
        """Declare a collection, or replace its declaration.

        `check` gets the present one and may refuse. Raises Invalid, Stale, and Conflict as `create` does.
        """
        caller.need(WRITE, WHOLE)

        def ask(db: Db) -> Asked:
            before = self._catalog.collection(db, name)
            conditions.check("collection", name, None if before is None else before.revision)
            check(before)
            return _declaration(name, document, drop_values=drop_values)

        return await self._declare(caller, name, ask, run)

    async def edit(
        self,
        caller: Caller,
        name: str,
        expected: set[int] | None,
        patch: dict[str, Any],
        check: Callable[[Collection], None],
        run: Run[DeclaredCollection, R],
        *,
        drop_values: bool = False,
    ) -> R:
        """Merge `patch` into a declaration (RFC 7396). Raises NotFound, Stale, and what `put` raises."""
        caller.need(WRITE, WHOLE)

        def ask(db: Db) -> Asked:
            before = self._at(db, name, expected)
            check(before)
            return _declaration(name, merged(plain(before), patch), drop_values=drop_values)

        return await self._declare(caller, name, ask, run)

    async def delete(
        self, caller: Caller, name: str, expected: set[int] | None, run: Run[None, R], *, drop_values: bool = False
    ) -> R:
        """Drop a collection with its items. Raises NotFound, Stale or Conflict."""
        caller.need(WRITE, WHOLE)

        def ask(db: Db) -> Asked:
            self._at(db, name, expected)
            return Asked(wish=Wanted(drop=(name,)), drop_values=drop_values)

        def result(db: Db, make: Make) -> None:
            make(db)

        return await self._declaring.carry_out(ask, result, run, caller.tenant)

    async def plan(self, caller: Caller, wanted: Wanted, links: WantedLinks | None = None) -> Shown:
        """What these declarations would change; nothing is changed. Raises Invalid."""
        _may_write(caller, links)
        return await self._readers.call(lambda db: self._whole.look(db, wanted, links), caller.tenant)

    async def apply(
        self,
        caller: Caller,
        wanted: Wanted,
        run: Run[Shown, R],
        *,
        plan_name: str | None,
        drop_values: bool,
        links: WantedLinks | None = None,
        links_plan: str | None = None,
    ) -> R:
        """Carry out these declarations, and links next to them, all or none. Raises Invalid or Conflict."""
        _may_write(caller, links)
        asked = Asked(wish=wanted, plan=plan_name, drop_values=drop_values)

        def result(db: Db, make: Make) -> Shown:
            return self._whole.end(db, wanted, links, make, links_plan=links_plan, drop_values=drop_values)

        if links is not None:
            await self._readers.call(lambda db: self._whole.read(db, links), caller.tenant)
        done = await self._declaring.carry_out(lambda db: asked, result, run, caller.tenant)
        if links is not None:
            self._whole.sweep()
        return done

    async def _declare(self, caller: Caller, name: str, ask: Ask, run: Run[DeclaredCollection, R]) -> R:
        """Carry out one declaration."""

        def result(db: Db, make: Make) -> DeclaredCollection:
            is_new = self._catalog.collection(db, name) is None
            make(db)
            collection = self._catalog.collection(db, name)
            assert collection is not None
            return DeclaredCollection(collection, is_new)

        return await self._declaring.carry_out(ask, result, run, caller.tenant)

    def _at(self, db: Db, name: str, expected: set[int] | None) -> Collection:
        """The collection as the present transaction sees it."""
        collection = self._catalog.collection(db, name)
        if collection is None:
            raise _absent(name)
        check_revision(expected, collection.revision)
        return collection


def _may_write(caller: Caller, links: WantedLinks | None) -> None:
    caller.need(WRITE, WHOLE)
    if links is not None:
        caller.need(WRITE_LINKS, WHOLE_LINKS)


def _declaration(name: str, document: dict[str, Any], *, drop_values: bool = False) -> Asked:
    return Asked(wish=Wanted(collections={name: document}, single=name), drop_values=drop_values)


def _absent(name: str) -> NotFound:
    return NotFound(f"There is no collection {name[:100]}.")
