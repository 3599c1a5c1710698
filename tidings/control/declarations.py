"""Declarations on behalf of callers: collections listed, declared, changed and dropped, and whole files applied.

Plans are made and carried out by `control/collections.py`. Anything that would lose values or items is refused (409
`would_lose`) unless the caller says that this is intended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tidings.control.collections import Collections, Shown, Wanted
from tidings.control.indexes import Indexes
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
    """What was declared. `is_new`: there was no collection of this name."""

    collection: Collection
    is_new: bool


class Declarations:
    """Reads and changes declarations. No index is built while one is carried out."""

    def __init__(self, catalog: Catalog, readers: Readers, collections: Collections, indexes: Indexes) -> None:
        self._catalog, self._readers = catalog, readers
        self._collections, self._indexes = collections, indexes

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

        def job(db: Db) -> DeclaredCollection:
            if self._catalog.collection(db, name) is not None:
                raise Conflict(f"A collection {name[:100]} already exists. Change it with PATCH or PUT.")
            return self._declare(db, name, document, drop_values=False)

        return await self._run(job, run)

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

        def job(db: Db) -> DeclaredCollection:
            before = self._catalog.collection(db, name)
            conditions.check("collection", name, None if before is None else before.revision)
            check(before)
            return self._declare(db, name, document, drop_values=drop_values)

        return await self._run(job, run)

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

        def job(db: Db) -> DeclaredCollection:
            before = self._at(db, name, expected)
            check(before)
            return self._declare(db, name, merged(plain(before), patch), drop_values=drop_values)

        return await self._run(job, run)

    async def delete(
        self, caller: Caller, name: str, expected: set[int] | None, run: Run[None, R], *, drop_values: bool = False
    ) -> R:
        """Drop a collection with its items. Raises NotFound, Stale or Conflict."""
        caller.need(WRITE, WHOLE)

        def job(db: Db) -> None:
            self._at(db, name, expected)
            self._collections.apply(db, Wanted(drop=(name,)), drop_values=drop_values)

        return await self._run(job, run)

    async def plan(self, caller: Caller, wanted: Wanted) -> Shown:
        """What these declarations would change; nothing is changed. Raises Invalid."""
        caller.need(WRITE, WHOLE)
        shown: Shown = await self._readers.call(lambda db: self._collections.look(db, wanted), caller.tenant)
        return shown

    async def apply(
        self, caller: Caller, wanted: Wanted, run: Run[Shown, R], *, plan_name: str | None, drop_values: bool
    ) -> R:
        """Carry out these declarations, all or none. Raises Invalid or Conflict."""
        caller.need(WRITE, WHOLE)
        return await self._run(
            lambda db: self._collections.apply(db, wanted, plan_name=plan_name, drop_values=drop_values), run
        )

    async def _run(self, job: Callable[[Db], Any], run: Run[Any, R]) -> R:
        async with self._indexes.resting():
            return await run(job)

    def _declare(self, db: Db, name: str, document: dict[str, Any], *, drop_values: bool) -> DeclaredCollection:
        """Carry out one declaration."""
        is_new = self._catalog.collection(db, name) is None
        self._collections.apply(db, Wanted(collections={name: document}, single=name), drop_values=drop_values)
        collection = self._catalog.collection(db, name)
        assert collection is not None
        return DeclaredCollection(collection, is_new)

    def _at(self, db: Db, name: str, expected: set[int] | None) -> Collection:
        """The collection as the present transaction sees it."""
        collection = self._catalog.collection(db, name)
        if collection is None:
            raise _absent(name)
        check_revision(expected, collection.revision)
        return collection


def _absent(name: str) -> NotFound:
    return NotFound(f"There is no collection {name[:100]}.")
