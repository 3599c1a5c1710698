"""The rows of the static table for items: one for each shape of path, whatever the collection.

What such a row is for a caller is found in the caller's own menu (operations.py).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from tidings.intake.items.change import check_verb
from tidings.model.access import VERBS, Key
from tidings.model.errors import Forbidden, NotFound
from tidings.web.items.operations import ANY_KEY, ItemMenu
from tidings.web.operation import Answer, Operation, Request
from tidings.web.parts import Parts

TAG = "Items"
PATH = "/v1/items/{collection}"


def _per_key(verb: str) -> Callable[[Parts, Key, dict[str, str]], Operation]:
    def per_key(parts: Parts, key: Key, path: dict[str, str]) -> Operation:
        menu = _menu(parts, key, path)
        operation = menu.find(verb)
        if operation is None:
            if verb in VERBS:
                check_verb(menu.grant, verb)
            raise Forbidden(f"This key may not {verb} items of {path['collection']}.", code="verb_not_permitted")
        return operation

    return per_key


def _question_per_key(parts: Parts, key: Key, path: dict[str, str]) -> Operation:
    menu = _menu(parts, key, path)
    operation = menu.questions.get(path["question"])
    if operation is None:
        offer = ", ".join(menu.questions) or "none"
        raise NotFound(
            f"This key has no question {path['question'][:40]!r} in {path['collection']}. Its questions: {offer}."
        )
    return operation


def _menu(parts: Parts, key: Key, path: dict[str, str]) -> ItemMenu:
    collection = parts.catalog.now.collections.get(path["collection"])
    menu: ItemMenu | None = None if collection is None else parts.menus.of(parts, key, collection)
    if menu is None:
        raise NotFound(f"There is no collection {path['collection'][:40]}{_guess(parts, key, path['collection'])}.")
    return menu


def _guess(parts: Parts, key: Key, name: str) -> str:
    """A collection with a similar name, among those that this key may use."""
    collections = parts.catalog.now.collections
    for like in difflib.get_close_matches(name[:40].lower(), collections, n=3):
        if parts.menus.of(parts, key, collections[like]) is not None:
            return f"; there is {like}"
    return ""


async def _never(parts: Parts, request: Request) -> Answer:
    raise AssertionError("a template is never run itself")


def _row(name: str, method: str, path: str, summary: str, per_key: Any, **more: Any) -> Operation:
    return Operation(
        name=name,
        method=method,
        path=path,
        scope=ANY_KEY,
        summary=summary,
        handler=_never,
        tag=TAG,
        per_key=per_key,
        **more,
    )


TEMPLATES: tuple[Operation, ...] = (
    _row("list_items", "GET", PATH, "List items of a collection", _per_key("list")),
    _row("create_item", "POST", PATH, "Create an item", _per_key("create"), status=201),
    _row("batch_items", "POST", f"{PATH}:batch", "Change many items, all or none", _per_key("batch")),
    _row("import_items", "POST", f"{PATH}:import", "Import a file of items", _per_key("import")),
    _row("export_items", "GET", f"{PATH}:export", "Export items as a file", _per_key("export")),
    _row("ask_items", "GET", f"{PATH}:{{question}}", "Ask one of a collection's questions", _question_per_key),
    _row("get_item", "GET", f"{PATH}/{{id}}", "Read an item", _per_key("get")),
    _row("edit_item", "PATCH", f"{PATH}/{{id}}", "Change some fields of an item", _per_key("edit")),
    _row(
        "put_item",
        "PUT",
        f"{PATH}/{{id}}",
        "Create or replace an item with an id you choose",
        _per_key("put"),
        also=((201, "The item was created."),),
    ),
    _row("delete_item", "DELETE", f"{PATH}/{{id}}", "Delete an item", _per_key("delete"), status=204),
)
