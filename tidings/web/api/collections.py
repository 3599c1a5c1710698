"""The operations on collections: declare, look at, change, drop; and a whole file of declarations at once.

What would lose values or items is refused (409 `would_lose`), unless the caller says that it is meant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tidings.control.collections import Shown, Wanted
from tidings.control.revisions import check_revision
from tidings.model import moment
from tidings.model.collection import Collection
from tidings.model.errors import Conflict, NotFound, Stale
from tidings.rules.declare.declaration import plain
from tidings.rules.merge_patch import merged
from tidings.store.base import Db
from tidings.web.habits.edits import etag
from tidings.web.habits.given import agree
from tidings.web.habits.once import once
from tidings.web.habits.paging import PAGING, SortedPage, SortKey
from tidings.web.habits.revisions import IF_MATCH, IF_NONE_MATCH, if_match, not_modified
from tidings.web.operation import Answer, Operation, Parameter, Request
from tidings.web.parts import Parts

TAG = "Collections"
WRITE = "collections:write"
WHOLE = "Collections"


class CollectionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A declaration. `was`: the name that the collection had before, so that it is renamed and keeps its items."""

    description: str = ""
    was: str | None = None
    fields: dict[str, Any] = {}
    events: dict[str, Any] = {}
    questions: dict[str, Any] = {}


class NewCollection(CollectionBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A declaration with its name."""

    name: str


class CollectionPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A merge patch of a declaration: `{"fields": {"note": null}}` takes away that field, and no other."""

    description: str | msgspec.UnsetType | None = msgspec.UNSET
    was: str | msgspec.UnsetType | None = msgspec.UNSET
    fields: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    events: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    questions: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET


class CollectionView(msgspec.Struct, frozen=True, kw_only=True):
    """A collection: its declaration, and whether all of its indexes are made."""

    name: str
    description: str
    fields: dict[str, Any]
    events: dict[str, Any]
    questions: dict[str, Any]
    indexes: str
    revision: int
    created: str
    updated: str


class CollectionList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of collections, by name."""

    data: list[CollectionView]
    next_cursor: str | None
    count: int | msgspec.UnsetType = msgspec.UNSET


class PlanBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Declarations by name. `prune`: drop the collections that are not among them."""

    collections: dict[str, Any]
    prune: bool = False


class ApplyBody(PlanBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Declarations to carry out. `plan`: only if the plan is still the one that was shown under this name."""

    plan: str | None = None
    drop_values: bool = False


SORTS: dict[str, SortKey] = {"name": lambda each: each.name, "created": lambda each: each.created}
DROP_VALUES = Parameter(
    name="drop_values",
    schema={"type": "boolean"},
    help="Go ahead even if values or items are lost; otherwise the response is 409 `would_lose`, and says how many.",
)


async def list_collections(parts: Parts, request: Request) -> Answer:
    """Collections, by name by default."""
    page = SortedPage(request, parts.catalog.now.collections.values(), SORTS, lambda each: each.name)
    return page.answer([_view(parts, each) for each in page.shown])


async def create_collection(parts: Parts, request: Request) -> Answer:
    """Declare a collection."""
    request.caller.need(WRITE, WHOLE)
    name: str = request.body.name
    document = {part: value for part, value in request.value.items() if part != "name"}

    def job(db: Db) -> Answer:
        if parts.catalog.collection(db, name) is not None:
            raise Conflict(f"A collection {name[:100]} already exists. Change it with PATCH or PUT.")
        return _written(parts, db, name, Wanted(collections={name: document}, single=name), drop_values=False)

    async with parts.indexes.resting():
        return await once(parts, request, job)


async def get_collection(parts: Parts, request: Request) -> Answer:
    """Read one declaration."""
    collection = parts.catalog.now.collections.get(request.path["name"])
    if collection is None:
        raise _absent(request.path["name"])
    if not_modified(request, collection.revision):
        return Answer(304, None, [etag(collection.revision)])
    return Answer(200, _view(parts, collection), [etag(collection.revision)])


async def put_collection(parts: Parts, request: Request) -> Answer:
    """Declare a collection, or replace its declaration."""
    request.caller.need(WRITE, WHOLE)
    name = request.path["name"]
    wish = Wanted(collections={name: request.value}, single=name)

    def job(db: Db) -> Answer:
        before = parts.catalog.collection(db, name)
        if before is not None and not_modified(request, before.revision):
            raise Stale(f"A collection {name} exists, but If-None-Match requires none, or a different one.")
        if before is not None:
            check_revision(if_match(request), before.revision)
        elif "if-match" in request.headers:
            raise Stale(f"There is no collection {name[:100]}, but If-Match requires one.")
        agree(request, None if before is None else _view(parts, before), name=name)
        return _written(parts, db, name, wish, drop_values=request.query.get("drop_values", False))

    return await _with_indexes_at_rest(parts, job)


async def edit_collection(parts: Parts, request: Request) -> Answer:
    """Change parts of a declaration."""
    request.caller.need(WRITE, WHOLE)
    name = request.path["name"]

    def job(db: Db) -> Answer:
        before = _at(parts, request, db)
        agree(request, _view(parts, before))
        document = merged(plain(before), request.value)
        wish = Wanted(collections={name: document}, single=name)
        return _written(parts, db, name, wish, drop_values=request.query.get("drop_values", False))

    return await _with_indexes_at_rest(parts, job)


async def delete_collection(parts: Parts, request: Request) -> Answer:
    """Drop a collection with its items."""
    request.caller.need(WRITE, WHOLE)
    name = request.path["name"]

    def job(db: Db) -> Answer:
        _at(parts, request, db)
        parts.collections.apply(db, Wanted(drop=(name,)), drop_values=request.query.get("drop_values", False))
        return Answer(204)

    return await _with_indexes_at_rest(parts, job)


async def plan_collections(parts: Parts, request: Request) -> Answer:
    """Say what these declarations would change; nothing is changed."""
    request.caller.need(WRITE, WHOLE)
    wish = Wanted(collections=request.value["collections"], prune=request.body.prune)
    shown: Shown = await parts.readers.call(lambda db: parts.collections.look(db, wish), request.key.tenant)
    return Answer(200, shown)


async def apply_collections(parts: Parts, request: Request) -> Answer:
    """Carry these declarations out, all or none."""
    request.caller.need(WRITE, WHOLE)
    body: ApplyBody = request.body
    wish = Wanted(collections=request.value["collections"], prune=body.prune)

    def job(db: Db) -> Answer:
        shown = parts.collections.apply(db, wish, plan_name=body.plan, drop_values=body.drop_values)
        return Answer(200, shown)

    async with parts.indexes.resting():
        return await once(parts, request, job)


async def _with_indexes_at_rest(parts: Parts, job: Callable[[Db], Answer]) -> Answer:
    """What the writer's job answers; none of the indexes is being made meanwhile."""
    async with parts.indexes.resting():
        answer: Answer = await parts.writer.call(job)
        return answer


def _written(parts: Parts, db: Db, name: str, wish: Wanted, *, drop_values: bool) -> Answer:
    """Carry out one declaration; the collection as it is now."""
    before = parts.catalog.collection(db, name)
    parts.collections.apply(db, wish, drop_values=drop_values)
    after = parts.catalog.collection(db, name)
    assert after is not None
    if before is not None:
        return Answer(200, _view(parts, after), [etag(after.revision)])
    return Answer(201, _view(parts, after), [("location", f"/v1/collections/{name}"), etag(after.revision)])


def _at(parts: Parts, request: Request, db: Db) -> Collection:
    """The collection of the path as the present transaction sees it. Raises NotFound or Stale."""
    collection = parts.catalog.collection(db, request.path["name"])
    if collection is None:
        raise _absent(request.path["name"])
    check_revision(if_match(request), collection.revision)
    return collection


def _absent(name: str) -> NotFound:
    return NotFound(f"There is no collection {name[:100]}.")


def _view(parts: Parts, collection: Collection) -> CollectionView:
    declared = plain(collection)
    return CollectionView(
        name=collection.name,
        description=collection.description,
        fields=declared["fields"],
        events=declared.get("events", {}),
        questions=declared.get("questions", {}),
        indexes=parts.indexes.state(collection.name),
        revision=collection.revision,
        created=moment.to_text(collection.created),
        updated=moment.to_text(collection.updated),
    )


EXAMPLE: dict[str, Any] = {
    "description": "Things to do.",
    "fields": {
        "kind": {"type": "enum", "values": ["chore", "errand"]},
        "done": {"type": "boolean", "default": False, "filterable": True},
        "due": {"type": "date", "filterable": True, "sortable": True},
    },
    "events": {"completed": {"when": "done becomes true"}},
    "questions": {"by_days": {"parameters": ["due__gte", "due__lt"]}},
}

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="list_collections",
        method="GET",
        path="/v1/collections",
        scope="collections:read",
        summary="List collections",
        handler=list_collections,
        tag=TAG,
        response=CollectionList,
        sorts=("name", "-name", "created", "-created"),
        sorts_max=2,
        parameters=PAGING,
    ),
    Operation(
        name="create_collection",
        method="POST",
        path="/v1/collections",
        scope=WRITE,
        summary="Declare a collection",
        help="Its events `NAME.created`, `.updated`, `.deleted` and its own are in the catalogue from then on.",
        handler=create_collection,
        tag=TAG,
        request=NewCollection,
        response=CollectionView,
        status=201,
        idempotent_key=True,
        example={"name": "tasks", **EXAMPLE},
    ),
    Operation(
        name="get_collection",
        method="GET",
        path="/v1/collections/{name}",
        scope="collections:read",
        summary="Read a collection's declaration",
        handler=get_collection,
        tag=TAG,
        response=CollectionView,
        parameters=(IF_NONE_MATCH,),
    ),
    Operation(
        name="put_collection",
        method="PUT",
        path="/v1/collections/{name}",
        scope=WRITE,
        summary="Declare a collection, or replace its declaration",
        help=(
            "Fields missing from the declaration are dropped with their values. `If-None-Match: *` only "
            "creates, `If-Match` only replaces."
        ),
        also=((201, "It was created."),),
        handler=put_collection,
        tag=TAG,
        request=CollectionBody,
        response=CollectionView,
        parameters=(IF_MATCH, IF_NONE_MATCH, DROP_VALUES),
        example=EXAMPLE,
    ),
    Operation(
        name="edit_collection",
        method="PATCH",
        path="/v1/collections/{name}",
        scope=WRITE,
        summary="Change a collection's declaration",
        help="The patch applies at all levels (RFC 7396). To rename a field, use `was`, and null for its old name.",
        handler=edit_collection,
        tag=TAG,
        request=CollectionPatch,
        merge_patch=True,
        response=CollectionView,
        parameters=(IF_MATCH, DROP_VALUES),
        example={"fields": {"urgent": {"type": "boolean"}}},
    ),
    Operation(
        name="delete_collection",
        method="DELETE",
        path="/v1/collections/{name}",
        scope=WRITE,
        summary="Drop a collection with its items",
        help="Refused if another collection refers to it. Its events stay.",
        handler=delete_collection,
        tag=TAG,
        status=204,
        parameters=(IF_MATCH, DROP_VALUES),
    ),
    Operation(
        name="plan_collections",
        method="POST",
        path="/v1/collections:plan",
        scope=WRITE,
        summary="See what declarations would change",
        help="Changes nothing. `refusals` say why the plan could not be carried out, `loses` what would be lost.",
        handler=plan_collections,
        tag=TAG,
        request=PlanBody,
        response=Shown,
        large=True,
        example={"collections": {"tasks": EXAMPLE}},
    ),
    Operation(
        name="apply_collections",
        method="POST",
        path="/v1/collections:apply",
        scope=WRITE,
        summary="Apply declarations, all or none",
        help="With `plan`, the name of a plan shown earlier, it is refused if anything has changed since.",
        handler=apply_collections,
        tag=TAG,
        request=ApplyBody,
        response=Shown,
        large=True,
        idempotent_key=True,
        example={"collections": {"tasks": EXAMPLE}, "drop_values": False},
    ),
)
