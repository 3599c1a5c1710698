"""The menu of items: each key has its own operations for each collection, with only what that key may request.

The static table has one row for each shape of a path (templates.py); what such a row is for a caller is made here, from
the caller's grant, once for each state of the catalogue.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.intake.items.batches import BATCH_MAX
from tidings.intake.items.reading import ItemReading
from tidings.model.access import VERBS, Key, Verb
from tidings.model.collection import Collection, Question
from tidings.model.errors import Conflict, NotFound, Stale
from tidings.rules.items.permit import Grant
from tidings.store.items.item_pages import CREATED
from tidings.web.habits.paging import PAGING
from tidings.web.habits.revisions import IF_MATCH, IF_NONE_MATCH, IF_NONE_MATCH_OF_PUT
from tidings.web.habits.shaping import COUNT
from tidings.web.items.beside import places_of
from tidings.web.items.file_operations import FORMAT, export_of, import_of
from tidings.web.items.files import Transfer
from tidings.web.items.handlers import Handlers
from tidings.web.items.parameters import (
    FOUND_WITH_TENANT,
    IN_BATCH_TENANT,
    MADE_FOR_TENANT,
    OF_TENANT,
    SEARCH,
    filters_of,
    filters_of_question,
    several,
    ticked,
)
from tidings.web.items.schemas import ID, OWN_NAMES, ItemSchemas
from tidings.web.operation import BodySchema, Listing, NextOperation, Operation, Parameter
from tidings.web.parts import Parts

ANY_KEY = "items"
"""Stands in for a scope: these operations were made for a key that may use them."""
OPERATION_WEIGHT = 10_000
SORTS_MAX = 4
EXPANDS_MAX = 10
_ID = Parameter(
    name="id", schema=ID, help="The item's id.", where="path", required=True, example="itm_01m7xv663afar931yg06gzrrhs"
)


class ItemMenu:
    """The operations of one key in one collection."""

    def __init__(self, parts: Parts, key: Key, grant: Grant) -> None:
        self._key = key
        self.grant = grant
        self._name = grant.collection.name
        self._path = f"/v1/items/{self._name}"
        self._reading = ItemReading.of(parts.catalog, parts.kinds, key, grant)
        self._expands = self._reading.expands
        self._schemas = ItemSchemas(grant, {name: its for name, (its, _) in self._expands.items()})
        filters, self._filter_parameters = filters_of(grant.collection, grant.filter)
        self._door = Handlers(self._reading, filters)
        found = [self._of_verb(verb) for verb in VERBS if verb in grant.verbs]
        if any(verb in grant.verbs for verb in ("create", "put", "edit", "delete")):
            found.append(self._batch())
        found += self._transfers()
        self.questions = {question.name: self._ask(question) for question in grant.questions}
        self.operations: tuple[Operation, ...] = (*found, *self.questions.values())
        self._by_name = {operation.name: operation for operation in self.operations}

    def find(self, name: str) -> Operation | None:
        """An operation by the end of its name, such as `list`."""
        return self._by_name.get(f"{self._name}.{name}")

    def _of_verb(self, verb: Verb) -> Operation:
        return {
            "list": self._list,
            "get": self._get,
            "create": self._create,
            "edit": self._edit,
            "put": self._put,
            "delete": self._delete,
        }[verb]()

    def _operation(self, name: str, **more: Any) -> Operation:
        schemas = (
            self._schemas.item,
            self._schemas.new,
            self._schemas.patch,
            *self._schemas.steps,
            *self._schemas.expanded,
        )
        about = self.grant.collection.description or f"Items of {self._name}."
        return Operation(
            name=f"{self._name}.{name}", scope=ANY_KEY, tag=self._name, tag_help=about, components=schemas, **more
        )

    def _list(self) -> Operation:
        words = (SEARCH,) if self.grant.words else ()
        return self._operation(
            "list",
            method="GET",
            path=self._path,
            summary=f"List {self._name}",
            help=f"The response is a page of {self._name}, newest first by default.",
            handler=self._door.page,
            response=self._schemas.page,
            parameters=(*self._filter_parameters, *words, *self._tenant(OF_TENANT), *self._shaping(), COUNT, *PAGING),
            sorts=self._sorts(),
            sorts_max=SORTS_MAX,
            is_list=True,
        )

    def _ask(self, question: Question) -> Operation:
        filters, parameters = filters_of_question(self.grant.collection, question)
        *others, last = [parameter.name for parameter in parameters]
        named = f"{', '.join(others)} and {last}" if others else last
        return self._operation(
            f"ask.{question.name}",
            method="GET",
            path=f"{self._path}:{question.name}",
            summary=f"Query {self._name} by {named}",
            help=question.description or "All parameters are required. The response is a page, newest first.",
            handler=Handlers(self._reading, filters, question.name).page,
            response=self._schemas.page,
            parameters=(*parameters, *self._tenant(OF_TENANT), *self._shaping(), *PAGING),
            sorts=self._sorts(),
            sorts_max=SORTS_MAX,
            is_list=True,
        )

    def _get(self) -> Operation:
        return self._operation(
            "get",
            method="GET",
            path=f"{self._path}/{{id}}",
            summary=f"Read an item of {self._name}",
            help="The item's revision is the `ETag`.",
            handler=self._door.get,
            response=self._schemas.item,
            path_parameters=(_ID,),
            refuses=() if self.grant.tenant else (Conflict,),
            parameters=(*self._tenant(FOUND_WITH_TENANT), *self._shaping(sorted=False), IF_NONE_MATCH),
            links=self._links(("edit", "delete")),
        )

    def _checked(self, form: BodySchema, *, is_new: bool) -> BodySchema:
        """A body whose errors are all reported together, even if one of them is a number that cannot be read
        exactly.
        """
        return msgspec.structs.replace(form, places=places_of(self._reading.kind.rules, self.grant, is_new=is_new))

    def _create(self) -> Operation:
        return self._operation(
            "create",
            method="POST",
            path=self._path,
            summary=f"Create an item in {self._name}",
            help="The response is 201 once the item and its event are on disk.",
            handler=self._door.create,
            idempotent_key=True,
            request=self._checked(self._schemas.new, is_new=True),
            response=self._schemas.item,
            status=201,
            example=self._schemas.new.example,
            parameters=self._tenant(MADE_FOR_TENANT),
            links=self._links(("get", "edit", "put", "delete")),
        )

    def _edit(self) -> Operation:
        return self._operation(
            "edit",
            method="PATCH",
            path=f"{self._path}/{{id}}",
            summary=f"Change some fields of an item of {self._name}",
            help="The body is a merge patch (RFC 7396): omitted fields keep their values, and null removes a value.",
            handler=self._door.edit,
            idempotent_key=True,
            request=self._checked(self._schemas.patch, is_new=False),
            merge_patch=True,
            response=self._schemas.item,
            example=self._schemas.patch.example,
            path_parameters=(_ID,),
            parameters=(*self._tenant(FOUND_WITH_TENANT), IF_MATCH),
            links=self._links(("get", "delete")),
        )

    def _put(self) -> Operation:
        return self._operation(
            "put",
            method="PUT",
            path=f"{self._path}/{{id}}",
            summary=f"Create or replace an item of {self._name} with an id you choose",
            help="With `If-None-Match: *`, the call can only create an item; with `If-Match`, it can only replace "
            "an existing one.",
            handler=self._door.put,
            idempotent_key=True,
            request=self._checked(self._schemas.new, is_new=True),
            response=self._schemas.item,
            also=((201, "The item was created."),),
            example=self._schemas.new.example,
            path_parameters=(_ID,),
            parameters=(*self._tenant(MADE_FOR_TENANT), IF_MATCH, IF_NONE_MATCH_OF_PUT),
            links=self._links(("get", "delete")),
        )

    def _delete(self) -> Operation:
        return self._operation(
            "delete",
            method="DELETE",
            path=f"{self._path}/{{id}}",
            summary=f"Delete an item of {self._name}",
            help="The call is refused with 409 while other items refer to this item.",
            handler=self._door.delete,
            idempotent_key=True,
            status=204,
            path_parameters=(_ID,),
            parameters=(*self._tenant(FOUND_WITH_TENANT), IF_MATCH),
        )

    def _batch(self) -> Operation:
        return self._operation(
            "batch",
            method="POST",
            path=f"{self._path}:batch",
            summary=f"Change many {self._name}, all or none",
            help=(
                "A batch has up to 1,000 operations, which are carried out in the given order in one transaction. If "
                "one operation is refused, none of them takes effect."
            ),
            handler=self._door.batch,
            idempotent_key=True,
            request=self._schemas.batch,
            response=self._schemas.results,
            example=self._schemas.batch.example,
            large=True,
            listing=Listing("operations", BATCH_MAX, OPERATION_WEIGHT, "too_many"),
            refuses=(NotFound, Stale),
            parameters=self._tenant(IN_BATCH_TENANT),
        )

    def _transfers(self) -> list[Operation]:
        """Import and export, as far as the key's verbs go."""
        # An export has a parameter of this name itself; a field so called is filtered by `format__in`.
        filters, parameters = filters_of(self.grant.collection, self.grant.filter)
        filters.pop(FORMAT.name, None)
        transfer = Transfer(self._reading, Handlers(self._reading, filters).asked)
        words = (SEARCH,) if self.grant.words else ()
        found = []
        if "create" in self.grant.verbs:
            found.append(
                self._operation("import", **import_of(self.grant, self._path, transfer, self._tenant(MADE_FOR_TENANT)))
            )
        if "list" in self.grant.verbs:
            asked = [each for each in (*parameters, *words, *self._tenant(OF_TENANT)) if each.name != FORMAT.name]
            found.append(self._operation("export", **export_of(self.grant, self._path, transfer, asked)))
        return found

    def _links(self, verbs: tuple[Verb, ...]) -> tuple[NextOperation, ...]:
        found = []
        for verb in verbs:
            if verb in self.grant.verbs:
                name = f"{self._name}.{verb}"
                found.append(NextOperation(verb, name, {"id": "$response.body#/id"}, f"{verb.capitalize()} this item."))
        return tuple(found)

    def _tenant(self, parameter: Parameter) -> tuple[Parameter, ...]:
        return () if self.grant.tenant else (parameter,)

    def _sorts(self) -> tuple[str, ...]:
        names = ("-created", "created")
        others = [name for name in self.grant.sort if name != CREATED]
        return (*names, *(f"{sign}{name}" for name in others for sign in ("", "-")))

    def _shaping(self, *, sorted: bool = True) -> tuple[Parameter, ...]:
        members = [*OWN_NAMES, *self.grant.read]
        found = [several("fields", members, f"Return only these fields: {ticked(members)}.", len(members))]
        if self._expands:
            help = f"Also return, under `expanded`, the items that these references point to: {ticked(self._expands)}."
            found.append(several("expand", list(self._expands), help, EXPANDS_MAX))
        if sorted:
            help = "The fields to sort by, separated by commas; `-` reverses the order. Default: `-created`."
            found.append(several("sort", list(self._sorts()), help, SORTS_MAX))
        return tuple(found)


def make(parts: Parts, key: Key, collection: Collection) -> ItemMenu | None:
    """What a key may do in a collection; None if nothing."""
    grant = parts.kinds.grant(key, collection)
    return None if grant is None else ItemMenu(parts, key, grant)
