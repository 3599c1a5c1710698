"""What callers may do with both hooks and forms: find, add, edit and delete them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from tidings.model.access import Caller
from tidings.model.errors import Conflict, NotFound
from tidings.model.forms.form import Form
from tidings.model.hook import Hook
from tidings.model.moment import Clock
from tidings.rules.revisions import check_revision
from tidings.store.base import Db, R, Run
from tidings.store.catalog import Catalog

PER_TENANT_MAX = 1_000

T = TypeVar("T", Hook, Form)


@dataclass(frozen=True, slots=True)
class PathKind(Generic[T]):
    """Hooks, or forms: the word for one, and how the store keeps them."""

    noun: str
    known: Callable[[], Mapping[str, T]]
    """Those in memory, by id."""
    all: Callable[[Db], list[T]]
    one: Callable[[Db, str], T | None]
    put: Callable[[Db, T], None]
    drop: Callable[[Db, str], None]
    at: str
    """The SQL statement that finds the id by the path."""
    of_tenant: str
    """The SQL statement that counts a tenant's hooks or forms."""

    @property
    def read(self) -> str:
        """The scope to read."""
        return f"{self.noun}s:read"

    @property
    def write(self) -> str:
        """The scope to write."""
        return f"{self.noun}s:write"


def hooks_of(catalog: Catalog) -> PathKind[Hook]:
    """Hooks, as this catalogue keeps them."""
    return PathKind(
        "hook",
        lambda: catalog.now.hooks,
        catalog.hooks,
        catalog.hook,
        catalog.put_hook,
        catalog.drop_hook,
        "hook_at",
        "hooks_of_tenant",
    )


def forms_of(catalog: Catalog) -> PathKind[Form]:
    """Forms, as this catalogue keeps them."""
    return PathKind(
        "form",
        lambda: catalog.now.forms,
        catalog.forms,
        catalog.form,
        catalog.put_form,
        catalog.drop_form,
        "form_at",
        "forms_of_tenant",
    )


class KeptPaths(Generic[T]):
    """What callers may do with hooks, or with forms. Belongs to one event loop."""

    def __init__(self, kind: PathKind[T], clock: Clock) -> None:
        self._kind: PathKind[T] = kind
        self._clock = clock

    def visible(self, caller: Caller, tenant: str | None = None) -> list[T]:
        """Those that the caller may see. `tenant`: only that tenant's. Raises NotFound."""
        caller.need(self._kind.read)
        wanted = caller.narrowed(tenant)
        return [each for each in self._kind.known().values() if wanted in (None, each.tenant)]

    def find(self, caller: Caller, ident: str, scope: str | None = None) -> T:
        """One of them, for a caller that has this scope or may read.

        Raises NotFound, also if it is another tenant's.
        """
        caller.need(scope or self._kind.read)
        found = self._kind.known().get(ident)
        if found is None or not caller.sees(found.tenant):
            raise self._absent(ident)
        return found

    async def _add(self, new: T, run: Run[T, R]) -> R:
        """Store a new one. Raises Conflict if its path is taken or the tenant has too many."""
        noun = self._kind.noun

        def job(db: Db) -> T:
            self._check_free(db, new)
            row = db.one(self._kind.of_tenant, tenant=new.tenant)
            if new.tenant is not None and row is not None and row[0] >= PER_TENANT_MAX:
                detail = f"The tenant already has {PER_TENANT_MAX:,} {noun}s, which is the maximum."
                raise Conflict(detail, code="too_many_hooks" if noun == "hook" else "too_many_forms")
            self._kind.put(db, new)
            return new

        return await run(job)

    async def _change(self, ident: str, expected: set[int] | None, run: Run[T, R], **parts: Any) -> R:
        """Replace parts of one. Raises NotFound, Stale, or Conflict if its path is taken."""
        now = self._clock.now()

        def job(db: Db) -> T:
            before = self._at(db, ident, expected)
            after = msgspec.structs.replace(before, **parts, revision=before.revision + 1, updated=now)
            self._check_free(db, after)
            self._kind.put(db, after)
            return after

        return await run(job)

    async def delete(self, caller: Caller, ident: str, expected: set[int] | None, run: Run[None, R]) -> R:
        """Delete one; its events and receipts are kept as long as any. Raises NotFound or Stale."""
        self.find(caller, ident, self._kind.write)
        return await run(lambda db: self._kind.drop(db, self._at(db, ident, expected).id))

    def _at(self, db: Db, ident: str, expected: set[int] | None) -> T:
        before = self._kind.one(db, ident)
        if before is None:
            raise self._absent(ident)
        check_revision(expected, before.revision)
        return before

    def _absent(self, ident: str) -> NotFound:
        return NotFound(f"There is no {self._kind.noun} {ident[:100]}.")

    def _check_free(self, db: Db, wanted: T) -> None:
        """Raise Conflict if another one has its path."""
        path = wanted.options.path
        row = db.one(self._kind.at, path=path)
        if row is not None and row[0] != wanted.id:
            raise Conflict(f"Another {self._kind.noun} already has the path {path}.", code="path_taken")
