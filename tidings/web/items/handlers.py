"""The operations on items, as one caller may use them in one collection: read, list, ask, create, edit, put, delete."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from tidings.intake.items.batches import BatchOperation
from tidings.intake.items.change import Change, ItemRequest
from tidings.intake.items.reading import EXPANDED, ItemList, ItemReading
from tidings.model.collection import OWN_FIELDS
from tidings.model.errors import Invalid, Place
from tidings.model.event import Event
from tidings.rules.items.condition import Compare, Op
from tidings.rules.reading import decimals
from tidings.store.base import Db
from tidings.store.jobs import Order
from tidings.store.log.events import WithEvents
from tidings.web.habits.edits import conditions, etag
from tidings.web.habits.once import once
from tidings.web.habits.paging import NO_CURSOR, Page, counted
from tidings.web.habits.revisions import not_modified
from tidings.web.habits.shaping import sort_of
from tidings.web.items.beside import of_operations
from tidings.web.operation import Answer, Request
from tidings.web.parts import Parts
from tidings.web.wire.bodies import slices

LIGHT_OPERATIONS_MAX = 50
"""A batch with more operations than this waits for its turn in the writer."""
Filters = dict[str, tuple[str, Op]]
"""The field and operator of each parameter, by its name."""


class BatchBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Operations to carry out in this order, all or none."""

    operations: list[BatchOperation]


class Handlers:
    """One caller's access to one collection. `question`: the question that its lists ask; empty for none."""

    def __init__(self, reading: ItemReading, filters: Filters, question: str = "") -> None:
        self.grant = reading.grant
        self._reading = reading
        self._rules = reading.kind.rules
        self._filters = filters
        self._question = question
        self._path = f"/v1/items/{self.grant.collection.name}"

    # --- reading ------------------------------------------------------------------------------------------------------

    async def page(self, parts: Parts, request: Request) -> Answer:
        """A page of items; of a question's as well."""
        page = Page.of(request, list)
        asked = self.asked(request, page.limit, sort_of(request))
        if page.after is not None:
            after = self._reading.position(asked, page.after)
            if after is None:
                raise Invalid.of_parameter("cursor", "wrong_cursor", NO_CURSOR)
            asked = msgspec.structs.replace(asked, after=after)
        job, is_single = self._reading.page(asked)
        found = await parts.readers.brief(job, request.key.tenant, single=is_single)
        total = counted(found.count) if asked.count else None
        return page.answer(found.documents, None if found.end is None else _written(found.end), total)

    async def get(self, parts: Parts, request: Request) -> Answer:
        """One item."""
        query = request.query
        expand: Sequence[str] = query.get("expand", ())
        job = self._reading.one(request.path["id"], query.get("tenant"), query.get("fields"), expand)
        item, document = await parts.readers.brief(job, request.key.tenant, single=not expand)
        tag = f"{item.revision}-{_mark(document[EXPANDED])}" if expand else item.revision
        if not_modified(request, tag):
            return Answer(304, None, [etag(tag)])
        return Answer(200, document, [etag(tag)])

    def asked(self, request: Request, limit: int, sort: Sequence[str]) -> ItemList:
        """The list that the request's parameters ask for."""
        query = request.query
        compares = []
        for name, value in query.items():
            if name in self._filters:
                field, op = self._filters[name]
                compares.append(Compare(field, op, tuple(value) if op in ("in", "nin") else value))
        return ItemList(
            limit=limit,
            question=self._question,
            compares=tuple(compares),
            words=query.get("q"),
            tenant=query.get("tenant"),
            sort=sort,
            fields=query.get("fields"),
            expand=query.get("expand", ()),
            count=query.get("count", False),
        )

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

        def job(db: Db) -> WithEvents:
            return self._told(parts.items.do(db, "edit", ask))

        return await once(parts, request, job, checked=True, place=self._place(ask))

    async def put(self, parts: Parts, request: Request) -> Answer:
        """The item at the caller's id, created or replaced."""
        ask = self._ask(request, request.value)

        def job(db: Db) -> WithEvents:
            change = parts.items.do(db, "put", ask)
            return self._told(change, 201 if change.before is None else 200)

        return await once(parts, request, job, checked=True, place=self._place(ask))

    async def delete(self, parts: Parts, request: Request) -> Answer:
        """Delete an item."""
        ask = self._ask(request, {})

        def job(db: Db) -> WithEvents:
            change = parts.items.do(db, "delete", ask)
            return WithEvents(Answer(204), _events(change))

        return await once(parts, request, job, checked=True, place=self._place(ask))

    async def batch(self, parts: Parts, request: Request) -> Answer:
        """Many operations, all or none."""
        operations: list[BatchOperation] = []
        await slices.read(
            request,
            BatchBody,
            parts.work,
            lambda given, _, start: operations.extend(given.operations),
            of_operations(self._rules, self.grant),
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

    def _place(self, ask: ItemRequest) -> Order:
        """What a change of one item locks."""
        return self.grant.collection.name, ask.id or ""

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
        if self._reading.members is None and change.event is not None:
            # The event and the response show the same.
            return msgspec.Raw(change.event.data.encode())
        return self._rules.document(change.after, self._reading.members)


_OBJECT = 'Send an object with the item\'s fields, such as {"title": "..."}.'


def _mark(expanded: dict[str, Any]) -> str:
    """A mark of expanded items, which changes whenever one of them changes, disappears or becomes visible."""
    versions = [[name, its and [its[part] for part in OWN_FIELDS]] for name, its in sorted(expanded.items())]
    return hashlib.sha256(msgspec.json.encode(versions)).hexdigest()[:16]


def _status(change: Change) -> int:
    if change.after is None:
        return 204
    return 201 if change.before is None else 200


def _events(change: Change) -> tuple[Event, ...]:
    return () if change.event is None else (change.event,)


def _written(position: Sequence[Any]) -> list[Any]:
    """A position as written into a cursor: decimals as texts, without powers of ten."""
    return [decimals.plain(value) if isinstance(value, Decimal) else value for value in position]
