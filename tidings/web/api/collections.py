"""The operations on collections: declare, read, change, drop; and a whole file of declarations at once."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from tidings.control.collections import Shown, Wanted
from tidings.control.declarations import DeclaredCollection
from tidings.control.declare.link_plans import WantedLinks
from tidings.model.collection import Collection
from tidings.model.errors import Invalid, Place
from tidings.views.collections import CollectionView, collection_view
from tidings.web.habits.edits import conditions, created, patch_of, shown, unless_known
from tidings.web.habits.given import agree, agreeing
from tidings.web.habits.once import run_once
from tidings.web.habits.paging import SortedPage, SortKey
from tidings.web.habits.revisions import if_match
from tidings.web.habits.rows import Noun
from tidings.web.operation import Answer, Operation, Parameter, Request
from tidings.web.parts import Parts

TAG = "Collections"


class CollectionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A collection's declaration. `was`: the collection's previous name, to rename it and keep its items."""

    description: str = ""
    was: str | None = None
    fields: dict[str, Any] = {}
    events: dict[str, Any] = {}
    questions: dict[str, Any] = {}


class NewCollection(CollectionBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A collection's declaration, with its name."""

    name: str


CollectionPatch = patch_of(
    CollectionBody,
    "CollectionPatch",
    'A merge patch for a declaration; for example, `{"fields": {"note": null}}` removes only the field `note`.',
)


class CollectionList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of collections, by name."""

    data: list[CollectionView]
    next_cursor: str | None
    count: int | msgspec.UnsetType = msgspec.UNSET


class PlanBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Declarations of collections, links and connections, by name. `prune`: also drop those that are not declared
    here.
    """

    collections: dict[str, Any]
    links: dict[str, Any] | None = None
    connections: dict[str, Any] | None = None
    prune: bool = False


class ApplyBody(PlanBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Declarations to apply. `plan`, `links_plan`: the names of earlier plans; apply only if these plans are still the
    same.
    """

    plan: str | None = None
    links_plan: str | None = None
    drop_values: bool = False


SORTS: dict[str, SortKey] = {"name": lambda each: each.name, "created": lambda each: each.created}
DROP_VALUES = Parameter(
    name="drop_values",
    schema={"type": "boolean"},
    help="Make the change even if values or items would be lost. Without this parameter, such a change is refused "
    "with 409 `would_lose`, and the error says how many values or items would be lost.",
)


async def list_collections(parts: Parts, request: Request) -> Answer:
    """Collections, by name by default."""
    page = SortedPage(request, parts.declarations.visible(request.caller), SORTS, lambda each: each.name)
    return page.answer([_view(parts, each) for each in page.shown])


async def create_collection(parts: Parts, request: Request) -> Answer:
    """Declare a collection."""
    document = {part: value for part, value in request.value.items() if part != "name"}

    def answer(declared: DeclaredCollection) -> Answer:
        return _declared(parts, declared)

    run = run_once(parts, request, answer)
    return await parts.declarations.create(request.caller, request.body.name, document, run)


async def get_collection(parts: Parts, request: Request) -> Answer:
    """Read one declaration."""
    collection = parts.declarations.find(request.caller, request.path["name"])
    return unless_known(request, _view(parts, collection), collection.revision)


async def put_collection(parts: Parts, request: Request) -> Answer:
    """Declare a collection, or replace its declaration."""
    name = request.path["name"]
    check = agreeing(request, partial(_view, parts))
    declared = await parts.declarations.put(
        request.caller, name, request.value, conditions(request), check, parts.writer.call, drop_values=_drops(request)
    )
    return _declared(parts, declared)


async def edit_collection(parts: Parts, request: Request) -> Answer:
    """Change parts of a declaration."""
    declared = await parts.declarations.edit(
        request.caller,
        request.path["name"],
        if_match(request),
        request.value,
        lambda before: agree(request, _view(parts, before)),
        parts.writer.call,
        drop_values=_drops(request),
    )
    return _declared(parts, declared)


async def delete_collection(parts: Parts, request: Request) -> Answer:
    """Drop a collection with its items."""
    name, expected = request.path["name"], if_match(request)
    await parts.declarations.delete(request.caller, name, expected, parts.writer.call, drop_values=_drops(request))
    return Answer(204)


async def plan_collections(parts: Parts, request: Request) -> Answer:
    """Show what these declarations would change; nothing is changed."""
    wanted, links = _wanted(request)
    return Answer(200, await parts.declarations.plan(request.caller, wanted, links))


async def apply_collections(parts: Parts, request: Request) -> Answer:
    """Apply these declarations, all or none."""
    body: ApplyBody = request.body
    wanted, links = _wanted(request)
    run = run_once(parts, request, lambda shown: Answer(200, shown))
    return await parts.declarations.apply(
        request.caller,
        wanted,
        run,
        plan_name=body.plan,
        drop_values=body.drop_values,
        links=links,
        links_plan=body.links_plan,
    )


def _wanted(request: Request) -> tuple[Wanted, WantedLinks | None]:
    links = _links(request)
    beside = links or WantedLinks()
    return Wanted(collections=request.value["collections"], prune=request.body.prune, beside=beside), links


def _links(request: Request) -> WantedLinks | None:
    links, connections = request.value.get("links"), request.value.get("connections")
    if links is None and connections is None:
        if getattr(request.body, "links_plan", None) is not None:
            detail = "`links_plan` names a plan of links, but the body has neither `links` nor `connections`."
            raise Invalid(detail, errors=[Place(pointer="/links_plan", code="incomplete", detail=detail)])
        return None
    return WantedLinks(links=links, connections=connections, prune=request.body.prune)


def _drops(request: Request) -> bool:
    return bool(request.query.get("drop_values", False))


def _declared(parts: Parts, declared: DeclaredCollection) -> Answer:
    collection = declared.collection
    view, path = _view(parts, collection), f"/v1/collections/{collection.name}"
    return created(view, collection.revision, path) if declared.is_new else shown(view, collection.revision)


def _view(parts: Parts, collection: Collection) -> CollectionView:
    return collection_view(collection, parts.indexes.state(collection.name))


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

NOUN = Noun(name="collection", path="/v1/collections/{name}", tag=TAG, view=CollectionView, whole_to_write=True)
OPERATIONS: tuple[Operation, ...] = (
    NOUN.lists(list_collections, CollectionList, SORTS, summary="List collections", at_sender=True),
    NOUN.creates(
        create_collection,
        at_sender=True,
        summary="Declare a collection",
        help=(
            "The call also adds the collection's event types to the catalogue: `NAME.created`, `NAME.updated`, "
            "`NAME.deleted`, and those that the collection declares."
        ),
        request=NewCollection,
        example={"name": "tasks", **EXAMPLE},
    ),
    NOUN.reads(get_collection, at_sender=True, summary="Read a collection's declaration"),
    NOUN.puts(
        put_collection,
        at_sender=True,
        summary="Declare a collection, or replace its declaration",
        help=(
            "Fields that the new declaration omits are dropped, along with their values. With `If-None-Match: *`, "
            "the call can only create a collection; with `If-Match`, it can only replace an existing one."
        ),
        request=CollectionBody,
        example=EXAMPLE,
        parameters=(DROP_VALUES,),
    ),
    NOUN.edits(
        edit_collection,
        at_sender=True,
        summary="Change a collection's declaration",
        help="The body is a merge patch (RFC 7396), which also applies to nested objects. To rename a field, "
        "declare it under its new name, with the old name in `was`, and set the old field to null.",
        request=CollectionPatch,
        example={"fields": {"urgent": {"type": "boolean"}}},
        parameters=(DROP_VALUES,),
    ),
    NOUN.deletes(
        delete_collection,
        at_sender=True,
        summary="Drop a collection with its items",
        help="The call is refused if another collection refers to this one. The collection's events are kept.",
        parameters=(DROP_VALUES,),
    ),
    NOUN.does_to_all(
        "plan",
        plan_collections,
        summary="See what declarations would change",
        help="Nothing is changed. In the response, `refusals` lists the reasons why the plan cannot be applied, and "
        "`loses` lists what would be lost.",
        request=PlanBody,
        response=Shown,
        large=True,
        example={"collections": {"tasks": EXAMPLE}},
    ),
    NOUN.does_to_all(
        "apply",
        apply_collections,
        at_sender=True,
        summary="Apply declarations, all or none",
        help="To apply exactly what an earlier plan showed, set `plan` to the name of that plan: the call is "
        "refused if anything has changed since then.",
        request=ApplyBody,
        response=Shown,
        large=True,
        idempotent_key=True,
        example={"collections": {"tasks": EXAMPLE}, "drop_values": False},
    ),
)
