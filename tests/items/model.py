"""What items should do, as a dict: the model that the state machine holds the server against."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from typing import Any

from tidings.rules.items.search_words import words

Place = tuple[str, str, str]
"""A collection, a tenant (empty: none) and an id."""
Fields = dict[str, Any]

DEFAULTS: dict[str, Fields] = {"people": {}, "things": {"done": False, "priority": "low"}}
FIELDS = {
    "people": ("email", "name"),
    "things": ("title", "done", "due", "at", "price", "pieces", "priority", "owner", "place", "lines"),
}
REQUIRED = {"people": "email", "things": "title"}
UNIQUE = {"people": "email", "things": "pieces"}


class Refused(Exception):
    """What is asked is refused, with this status."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(str(status))


class Model:
    """Items by their place, in the order of their creation, and the event of each change."""

    def __init__(self) -> None:
        self.items: dict[Place, Fields] = {}
        self.told: list[dict[str, Any]] = []
        self.in_batch = False

    def apply(self, kind: str, caller: str, tenant: str | None, op: dict[str, Any]) -> tuple[int, Place]:
        """One operation by a tenant, or by the operator, who names one, nobody (empty) or does not say (None).

        Raises Refused and changes nothing.
        """
        verb, ident, revision = op["op"], op.get("id"), op.get("revision")
        if verb in ("create", "put"):
            place = (kind, tenant or "", str(ident))
            before = self.items.get(place)
            if before is None:
                _refuse(verb == "put" and revision is not None, 412)
            else:
                _refuse(verb == "create", 409)
                _refuse(op.get("unless") == "*", 412)
                _refuse(revision not in (None, before["revision"]), 412)
            data = DEFAULTS[kind] | op["data"]
        else:
            place = self.place(kind, tenant, str(ident))
            before = self.items[place]
            _refuse(revision not in (None, before["revision"]), 412)
            if verb == "delete":
                return self._delete(place, caller)
            data = {name: merged(before.get(name), op["data"][name]) for name in op["data"]}
            data = {name: before[name] for name in FIELDS[kind]} | data
        return self._write(place, caller, before, data)

    def place(self, kind: str, tenant: str | None, ident: str) -> Place:
        """Where the item is that a caller means. Raises Refused."""
        found = [at for at in self.items if at[0] == kind and at[2] == ident and tenant in (None, at[1])]
        _refuse(not found, 404)
        _refuse(len(found) > 1, 409)
        return found[0]

    def _write(self, place: Place, caller: str, before: Fields | None, data: Fields) -> tuple[int, Place]:
        kind, tenant, _ = place
        _refuse(bool(data.keys() - set(FIELDS[kind])) or "wrong" in data.values(), 422)
        after = {name: data.get(name) for name in FIELDS[kind]}
        _refuse(after[REQUIRED[kind]] is None, 422)
        changed = [name for name in after if before is None or after[name] != before[name]]
        if before is not None and not changed:
            return 200, place
        for name in changed:
            its = after[name]
            taken = any(
                item[name] == its for at, item in self.items.items() if at[:2] == (kind, tenant) and at != place
            )
            _refuse(name == UNIQUE[kind] and its is not None and taken and not self.in_batch, 409)
        owner = after.get("owner") if "owner" in changed else None
        _refuse(owner is not None and ("people", tenant, str(owner)) not in self.items, 422)
        self.items[place] = {**after, "revision": 1 if before is None else before["revision"] + 1}
        own = kind == "things" and after["done"] is True and (before is None or before["done"] is not True)
        self._tell(place, caller, "completed" if own else "created" if before is None else "updated", before, changed)
        return (201 if before is None else 200), place

    def end_batch(self, kind: str) -> None:
        """Unique values may move within a batch, and are each there once at its end. Raises Refused."""
        self.in_batch = False
        held = [(at[1], item[UNIQUE[kind]]) for at, item in self.items.items() if at[0] == kind]
        held = [each for each in held if each[1] is not None]
        _refuse(len(set(held)) < len(held), 409)

    def _delete(self, place: Place, caller: str) -> tuple[int, Place]:
        kind, tenant, ident = place
        refers = any(at[:2] == ("things", tenant) and item["owner"] == ident for at, item in self.items.items())
        _refuse(kind == "people" and refers, 409)
        self._tell(place, caller, "deleted", None, [])
        del self.items[place]
        return 204, place

    def _tell(self, place: Place, caller: str, ending: str, before: Fields | None, changed: list[str]) -> None:
        told: Fields = {"collection": place[0], "type": ending, "tenant": place[1] or None, "subject": place[2]}
        told |= {"data": dict(self.items[place]), "actor": caller, "previous": None, "changed": None}
        if before is not None:
            told |= {"previous": dict(before), "changed": changed}
        self.told.append(copy.deepcopy(told))

    def listed(self, kind: str, tenant: str | None, asked: list[tuple[str, str, Any]], sort: list[str]) -> list[Place]:
        """What a list should show, in its order. `asked`: field, operator and value."""
        found = [place for place in self.items if place[0] == kind and tenant in (None, place[1])]
        found = [place for place in found if all(fits(self.items[place], *each) for each in asked)]
        if sort[-1].startswith("-"):
            found.reverse()
        for part in reversed(sort):
            name = part.removeprefix("-")
            if name == "created":
                order = [place for place in self.items if place in found]
                found = order[::-1] if part.startswith("-") else order
            else:
                found.sort(
                    key=lambda at: (self.items[at][name] is not None, self.items[at][name]),
                    reverse=part.startswith("-"),
                )
        return found

    def snapshot(self) -> Model:
        """A copy that may be thrown away."""
        return copy.deepcopy(self)


def merged(before: Any, patch: Any) -> Any:
    """A merge patch, as RFC 7396 writes it."""
    if not isinstance(patch, dict):
        return patch
    found = dict(before) if isinstance(before, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value)
    return found


_ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "starts_with": lambda value, asked: bool(value.startswith(asked)),
    "contains": lambda value, asked: asked in value,
}


def fits(item: Fields, name: str, op: str, asked: Any) -> bool:
    """Whether an item fits one filter: null equals only itself, and is neither greater nor less than anything."""
    if op == "q":
        have = words([item[name]]).split()
        return all(any(word.startswith(each) for word in have) for each in words([asked]).split())
    value = item[name]
    if op in _ORDERED:
        return value is not None and _ORDERED[op](value, asked)
    checks: dict[str, Callable[[], bool]] = {
        "eq": lambda: value == asked,
        "ne": lambda: value != asked,
        "in": lambda: value in asked,
        "nin": lambda: value not in asked,
        "exists": lambda: (value is not None) is asked,
    }
    return checks[op]()


def _refuse(wrong: bool, status: int) -> None:
    if wrong:
        raise Refused(status)
