"""The operations on items, as one caller may use them in one collection: read, list, ask, create, edit, put, delete."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from tidings.intake.items.batches import BatchOperation
from tidings.intake.items.change import Change, ItemRequest, look_up, seen
from tidings.intake.items.kinds import Kind
from tidings.model.collection import Field, Item
from tidings.model.errors import Invalid, Place
from tidings.model.event import Event
from tidings.rules.items.condition import Compare, Op
from tidings.rules.items.field import asked_field, is_bound
from tidings.rules.items.permit import Grant
from tidings.rules.items.search_words import words
from tidings.rules.reading import decimals
from tidings.rules.reading.jsontext import INTEGER_MAX, INTEGER_MIN
from tidings.store.base import Db, Row
from tidings.store.items import item_pages
from tidings.store.items.conditions import Where
from tidings.store.items.item_pages import CREATED, Order
from tidings.store.log.events import WithEvents
from tidings.web.habits.edits import conditions, etag
from tidings.web.habits.once import once
from tidings.web.habits.paging import NO_CURSOR, Page, counted
from tidings.web.habits.revisions import not_modified
from tidings.web.habits.shaping import sort_of
from tidings.web.items.beside import of_operations
from tidings.web.items.schemas import OWN_NAMES
from tidings.web.items.unless_redeclared import unless_redeclared
from tidings.web.operation import Answer, Request
from tidings.web.parts import Parts
from tidings.web.wire.bodies import slices

T = TypeVar("T")

LIGHT_OPERATIONS_MAX = 50
"""A batch of more operations waits for its turn in the writer."""
EXPANDED = "expanded"
Filters = dict[str, tuple[str, Op]]
"""From a parameter's name to its field and operator."""


class BatchBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Operations that are done all or not at all, in their order."""

    operations: list[BatchOperation]


class Handlers:
    """One caller's way into one collection. `expands`: the references that it may expand, and what it may see there."""

    def __init__(self, grant: Grant, kind: Kind, expands: dict[str, tuple[Grant, Kind]], filters: Filters) -> None:
        self.grant = grant
        self._kind = kind
        self._expands = expands
        self._filters = filters
        self._members = None if grant.whole else (*OWN_NAMES, *grant.read)
        self._path = f"/v1/items/{grant.collection.name}"
        self._nullable = {field.name: not field.required for field in grant.collection.fields}

    # --- reading ------------------------------------------------------------------------------------------------------

    async def page(self, parts: Parts, request: Request) -> Answer:
        """A page of items; for a question as well, whose parameters the menu has made sure of."""
        page = Page.of(request, list)
        order = self._order(request)
        after = None if page.after is None else self._position(order, page.after)
        expand: Sequence[str] = request.query.get("expand", ())

        table, rules, members = self._kind.table, self._kind.rules, self._chosen(request)

        def read(db: Db) -> tuple[list[Any], list[Row], int | None]:
            where = self.where(request)
            total = counted(table.count(db, where)) if request.query.get("count") else None
            rows = item_pages.page(db, table, where, order, after, page.limit + 1)
            if members is None and not expand:
                return [rules.shaped(row, table.unpack) for row in rows[: page.limit]], rows, total
            documents = [rules.document_of(row, table.unpack, members) for row in rows[: page.limit]]
            for name in expand:
                self._expand(db, [(row[2], table.value(row, name)) for row in rows[: page.limit]], documents, name)
            return documents, rows, total

        is_single = not expand and "count" not in request.query and item_pages.is_one_statement(order, after)
        documents, rows, total = await parts.readers.brief(
            self._steady(parts, read, expand), request.key.tenant, single=is_single
        )
        position = _written(item_pages.position(table, order, rows[page.limit - 1])) if len(rows) > page.limit else None
        return page.answer(documents, position, total)

    async def get(self, parts: Parts, request: Request) -> Answer:
        """One item."""
        expand: Sequence[str] = request.query.get("expand", ())
        tenant = request.query.get("tenant")

        def read(db: Db) -> tuple[Item, dict[str, Any]]:
            item = look_up(db, self._kind.table, self.grant, seen(self.grant), request.path["id"], tenant)
            document = self._kind.rules.document(item, self._chosen(request))
            for name in expand:
                self._expand(db, [(item.tenant, item.values[name])], [document], name)
            return item, document

        item, document = await parts.readers.brief(
            self._steady(parts, read, expand), request.key.tenant, single=not expand
        )
        tag = f"{item.revision}-{_mark(document[EXPANDED])}" if expand else item.revision
        if not_modified(request, tag):
            return Answer(304, None, [etag(tag)])
        return Answer(200, document, [etag(tag)])

    def _steady(self, parts: Parts, read: Callable[[Db], T], expand: Sequence[str]) -> Callable[[Db], T]:
        return unless_redeclared(parts, [self._kind, *(self._expands[name][1] for name in expand)], read)

    def where(self, request: Request) -> Where:
        """What the request's parameters ask for, of what the caller may see."""
        where = Where(self._kind.table.dialect)
        where.add(seen(self.grant))
        if "tenant" in request.query:
            where.add(Compare("tenant", "eq", request.query["tenant"]))
        for name, value in request.query.items():
            if name in self._filters:
                field, op = self._filters[name]
                where.add(Compare(field, op, tuple(value) if op in ("in", "nin") else value))
        if "q" in request.query:
            found = words([request.query["q"]]).split()
            if not found:
                raise Invalid.of_parameter("q", "no_word", "q must contain at least one word.")
            self._kind.table.search(where, found)
        return where

    def asks_created(self, request: Request) -> bool:
        """Whether a filter asks for when items were created."""
        return any(self._filters[name][0] == CREATED for name in request.query if name in self._filters)

    def _order(self, request: Request) -> list[Order]:
        by_time = self.asks_created(request)
        return [
            Order(name := given.removeprefix("-"), given.startswith("-"), self._nullable.get(name, False), by_time)
            for given in sort_of(request)
        ]

    def _position(self, order: Sequence[Order], after: Sequence[Any]) -> Sequence[Any]:
        """A position from a cursor, which may be anything that somebody made up. Raises Invalid."""
        fields = [asked_field(self.grant.collection, part.name) for part in order if not part.is_seq]
        has_place = len(after) == len(fields) + 1 and type(after[-1]) is int and 0 <= after[-1] < 1 << 62
        if not has_place or not all(_fits(field, value) for field, value in zip(fields, after, strict=False)):
            raise Invalid.of_parameter("cursor", "wrong_cursor", NO_CURSOR)
        return [
            decimals.read(value) if field is not None and field.type == "decimal" and value is not None else value
            for field, value in zip([*fields, None], after, strict=True)
        ]

    def _chosen(self, request: Request) -> Sequence[str] | None:
        """The members that an answer shows; None: all."""
        chosen: Sequence[str] | None = request.query.get("fields")
        return self._members if chosen is None else [name for name in chosen if name != EXPANDED]

    def _expand(
        self, db: Db, references: Sequence[tuple[str, str | None]], documents: list[dict[str, Any]], name: str
    ) -> None:
        """Add the target of each item's reference (its tenant, the id), if the caller may see it."""
        its, kind = self._expands[name]
        idents = list({ident for _, ident in references if ident is not None})
        targets: dict[tuple[str, str | None], Any] = {}
        for start in range(0, len(idents), 500):
            for target in kind.table.several(db, idents[start : start + 500], seen(its)):
                members = None if its.whole else (*OWN_NAMES, *its.read)
                targets[target.tenant, target.id] = kind.rules.document(target, members)
        for reference, document in zip(references, documents, strict=True):
            document.setdefault(EXPANDED, {})[name] = targets.get(reference)

    # --- changing -----------------------------------------------------------------------------------------------------

    async def create(self, parts: Parts, request: Request) -> Answer:
        """A new item."""
        ask = self._ask(request, request.value)

        def job(db: Db) -> WithEvents:
            change = parts.items.do(db, "create", ask)
            return self._told(change, 201)

        return await once(parts, request, job, checked=True)

    async def edit(self, parts: Parts, request: Request) -> Answer:
        """Some fields of an item (merge patch)."""
        ask = self._ask(request, request.value)
        return await once(parts, request, lambda db: self._told(parts.items.do(db, "edit", ask)), checked=True)

    async def put(self, parts: Parts, request: Request) -> Answer:
        """The item at the caller's id, created or replaced."""
        ask = self._ask(request, request.value)

        def job(db: Db) -> WithEvents:
            change = parts.items.do(db, "put", ask)
            return self._told(change, 201 if change.before is None else 200)

        return await once(parts, request, job, checked=True)

    async def delete(self, parts: Parts, request: Request) -> Answer:
        """Delete an item."""
        ask = self._ask(request, {})

        def job(db: Db) -> WithEvents:
            change = parts.items.do(db, "delete", ask)
            return WithEvents(Answer(204), _events(change))

        return await once(parts, request, job, checked=True)

    async def batch(self, parts: Parts, request: Request) -> Answer:
        """Many operations, all or none."""
        operations: list[BatchOperation] = []
        await slices.read(
            request,
            BatchBody,
            parts.work,
            lambda given, _, start: operations.extend(given.operations),
            of_operations(self._kind.rules, self.grant),
        )
        asked = parts.batches.check(self._ask(request, {}), operations)

        def job(db: Db) -> WithEvents:
            changes = parts.batches.carry_out(db, asked)
            results = [{"status": _status(change), "item": self._shown(change)} for change in changes]
            return WithEvents(Answer(200, {"results": results}), [event for each in changes for event in _events(each)])

        return await once(parts, request, job, heavy=len(operations) > LIGHT_OPERATIONS_MAX)

    def _ask(self, request: Request, data: Any) -> ItemRequest:
        if not isinstance(data, dict):
            raise Invalid("The body must be an object.", errors=[Place(pointer="", code="wrong_type", detail=_OBJECT)])
        return ItemRequest(
            grant=self.grant,
            key=request.key,
            request_id=request.request_id,
            tenant=request.query.get("tenant"),
            id=request.path.get("id"),
            data=data,
            conditions=conditions(request),
        )

    def _told(self, change: Change, status: int = 200) -> WithEvents:
        item = change.after
        assert item is not None
        headers = [etag(item.revision)]
        if status == 201:
            headers.append(("location", f"{self._path}/{item.id}"))
        return WithEvents(Answer(status, self._shown(change), headers), _events(change))

    def _shown(self, change: Change) -> Any:
        """The item after a change, as the caller may see it."""
        if change.after is None:
            return None
        if self._members is None and change.event is not None:
            # What the event tells is what the answer tells.
            return msgspec.Raw(change.event.data.encode())
        return self._kind.rules.document(change.after, self._members)


_OBJECT = 'Send an object with the item\'s fields, such as {"title": "..."}.'


def _mark(expanded: dict[str, Any]) -> str:
    """A mark of expanded items, which is another one once any of them changes, goes, or comes into sight."""
    versions = [[name, its and [its[part] for part in OWN_NAMES]] for name, its in sorted(expanded.items())]
    return hashlib.sha256(msgspec.json.encode(versions)).hexdigest()[:16]


def _status(change: Change) -> int:
    if change.after is None:
        return 204
    return 201 if change.before is None else 200


def _events(change: Change) -> tuple[Event, ...]:
    return () if change.event is None else (change.event,)


def _written(position: list[Any]) -> list[Any]:
    """A position as a cursor holds it: decimals as texts, without powers of ten."""
    return [decimals.plain(value) if isinstance(value, Decimal) else value for value in position]


def _fits(field: Field | None, value: Any) -> bool:
    """Whether a value of a cursor is one that the field's column can be compared with."""
    if value is None:
        return True
    kinds: dict[str, type] = {"integer": int, "datetime": int, "number": float, "boolean": bool}
    if field is None or type(value) is not kinds.get(field.type, str):
        return False
    if field.type == "decimal":
        return is_bound("decimal", value)
    if type(value) is str:
        return "\0" not in value
    return type(value) is not int or INTEGER_MIN <= value <= INTEGER_MAX
