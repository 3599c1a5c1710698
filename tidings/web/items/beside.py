"""The other errors of an item with a number that cannot be read exactly, so that one response names them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tidings.model.collection import OWN_FIELDS
from tidings.model.errors import Place
from tidings.rules.items.condition import fixed
from tidings.rules.items.item import ItemRules
from tidings.rules.items.permit import Grant


def places_of(rules: ItemRules, grant: Grant, *, is_new: bool) -> Callable[[Any, frozenset[str]], list[Place]]:
    """A function that takes an item as sent and the fields already known to be wrong, and returns the other wrong
    places.

    It says nothing about fields that the caller cannot write. `is_new`: missing fields count too.
    """
    filled = {*rules.defaults, *fixed(grant.writes)}

    def places(data: Any, told: frozenset[str]) -> list[Place]:
        if not isinstance(data, dict):
            return []
        known = {*grant.write, *grant.read, *OWN_FIELDS}
        wrong = [rules.unknown(name, "", grant.write) for name in data if name not in known]
        found: list[Place] = []
        given = {name: value for name, value in data.items() if name in grant.write and name not in told}
        rules.stored(given, "", found)
        for place in found:
            name = (place.pointer or "/").split("/")[1]
            if place.code != "missing" or (is_new and name in grant.write and name not in filled and name not in told):
                wrong.append(place)
        return wrong

    return places


def of_operations(rules: ItemRules, grant: Grant) -> Callable[[Any, frozenset[str]], list[Place]]:
    """A function like that of `places_of`, for the operations of a batch.

    `told` are pointers, such as /operations/0/data/price.
    """
    new, edited = places_of(rules, grant, is_new=True), places_of(rules, grant, is_new=False)

    def places(value: Any, told: frozenset[str]) -> list[Place]:
        operations = value.get("operations") if isinstance(value, dict) else None
        found: list[Place] = []
        for index, each in enumerate(operations if isinstance(operations, list) else ()):
            if not isinstance(each, dict):
                continue
            at = f"/operations/{index}/data"
            names = frozenset(pointer[len(at) + 1 :].split("/")[0] for pointer in told if pointer.startswith(f"{at}/"))
            judge = new if each.get("op") in ("create", "put") else edited
            found += [
                msgspec.structs.replace(place, pointer=f"{at}{place.pointer or ''}")
                for place in judge(each.get("data"), names)
            ]
        return found

    return places
