"""Batches: many operations on items of one collection, in one transaction, all or none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from tidings.intake.items.change import Change, ItemChanges, ItemRequest, check_verb
from tidings.intake.items.drafts import Drafts
from tidings.intake.items.foresight import foresee
from tidings.intake.items.kinds import Kinds
from tidings.intake.items.moving import Moving
from tidings.model.access import Verb
from tidings.model.errors import Forbidden, Invalid, Place, TidingsError, Unavailable
from tidings.rules.revisions import ANY, Conditions
from tidings.store.base import Db
from tidings.store.catalog import Catalog

BATCH_MAX = 1_000
ERRORS_MAX = 50
"""The maximum number of wrong operations that a refusal lists."""
_VERBS: dict[str, Verb] = {"create": "create", "put": "put", "edit": "edit", "delete": "delete"}
_DATA = "`create`, `put` and `edit` require `data` with the item's fields; `delete` must not have `data`."

Asked = Sequence[tuple[Verb, ItemRequest]]
"""The operations of a batch, in order."""


class BatchOperation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One operation of a batch."""

    op: str
    id: str | msgspec.UnsetType = msgspec.UNSET
    data: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    revision: int | msgspec.UnsetType = msgspec.UNSET


class Batches:
    """Checks batches and carries them out."""

    def __init__(self, items: ItemChanges, catalog: Catalog, kinds: Kinds) -> None:
        self._items, self._catalog, self._kinds = items, catalog, kinds

    def check(self, caller: ItemRequest, operations: Sequence[BatchOperation]) -> Asked:
        """The requests of the operations; `caller`: a request with only the caller.

        Raises Invalid or Forbidden, with the places of all that are wrong.
        """
        if not 1 <= len(operations) <= BATCH_MAX:
            code = "too_many" if operations else "too_few"
            raise _misplaced("/operations", code, f"A batch must have from 1 to {BATCH_MAX:,} operations.")
        asked: list[tuple[Verb, ItemRequest]] = []
        wrong = Wrong()
        for index, each in enumerate(operations):
            with wrong.of(index):
                asked.append(_asked(caller, each, index))
        wrong.raise_any()
        return asked

    def carry_out(self, db: Db, asked: Asked) -> list[Change]:
        """Inside a write job: do all of them. Raises what single operations raise, with the places of all."""
        changes: list[Change] = []
        wrong, moving, drafts = Wrong(), Moving(), Drafts()
        kind = self._items.current(asked[0][1].grant)
        drafts.expect(kind.table, [ask.data for verb, ask in asked if verb == "create"])
        foresee(db, self._catalog, self._kinds, kind, drafts, asked)
        for index, (verb, ask) in enumerate(asked):
            if wrong.is_after(ask.id):
                # An operation that this one depends on was refused.
                continue
            with wrong.of(index, ask.id):
                request = msgspec.structs.replace(ask, drafts=drafts, moving=moving)
                changes.append(self._items.do(db, verb, request))
        wrong.raise_any()
        if (unsettled := moving.settle(db)) is not None:
            raise unsettled
        drafts.write(db)
        return changes


def _asked(caller: ItemRequest, given: BatchOperation, index: int) -> tuple[Verb, ItemRequest]:
    at = f"/operations/{index}"
    verb = _VERBS.get(given.op)
    if verb is None:
        raise _misplaced(f"{at}/op", "not_in_enum", "`op` must be `create`, `put`, `edit` or `delete`.")
    try:
        check_verb(caller.grant, verb)
    except Forbidden as wrong:
        raise placed(wrong, index) from None
    if given.op != "create" and given.id is msgspec.UNSET:
        raise _misplaced(f"{at}/id", "missing", f"{given.op} needs the item's id.")
    if (given.data is msgspec.UNSET) != (given.op == "delete"):
        code = "missing" if given.data is msgspec.UNSET else "not_possible_here"
        raise _misplaced(f"{at}/data", code, _DATA)
    conditions = ANY
    if given.revision is not msgspec.UNSET:
        if given.op == "create":
            raise _misplaced(
                f"{at}/revision", "not_possible_here", "A new item has no revision yet. Leave `revision` out."
            )
        if given.revision < 1:
            raise _misplaced(f"{at}/revision", "too_small", "Revisions start at 1.")
        conditions = Conditions(must_exist=True, expected=frozenset({given.revision}))
    return verb, msgspec.structs.replace(
        caller,
        id=None if given.id is msgspec.UNSET else given.id,
        data=given.data or {},
        conditions=conditions,
        pointer=f"{at}/data",
        id_pointer=f"{at}/id",
    )


def _misplaced(pointer: str, code: str, detail: str) -> Invalid:
    return Invalid("The batch is not valid.", errors=[Place(pointer=pointer, code=code, detail=detail)])


class Wrong:
    """Collects refusals. The first decides the response; it lists the places of all."""

    def __init__(self) -> None:
        self._first: TidingsError | None = None
        self._places: list[Place] = []
        self._ids: set[str] = set()

    @contextmanager
    def of(self, index: int, ident: str | None = None) -> Iterator[None]:
        """Collect the refusal of the operation at this index; `ident`: the id of its item."""
        try:
            yield
        except Unavailable:
            raise
        except TidingsError as wrong:
            self.add(placed(wrong, index))
            if ident is not None:
                self._ids.add(ident)
            if len(self._places) >= ERRORS_MAX:
                self.raise_any()

    def is_after(self, ident: str | None) -> bool:
        """Whether an earlier operation on this item was refused, so that a later one is skipped."""
        return ident in self._ids

    def add(self, wrong: TidingsError | None) -> None:
        """One more refusal, with its places."""
        if wrong is not None:
            self._first = self._first or wrong
            self._places += wrong.errors

    def raise_any(self) -> None:
        """Raise the first refusal with the places of all, if there is one."""
        if self._first is not None:
            self._first.errors = self._places[:ERRORS_MAX]
            raise self._first


def placed(wrong: TidingsError, index: int) -> TidingsError:
    """The same refusal, naming the operation of the batch."""
    if not wrong.errors:
        wrong.errors = [Place(pointer=f"/operations/{index}", code=wrong.code, detail=wrong.detail)]
    return wrong
