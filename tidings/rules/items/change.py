"""Changes of items: which fields differ, and the type of the one event that describes it.

A collection's own event has a condition: a pattern (rules/filter.py), or `when` in words:

    done becomes true              the field has this value, and had another before; also in a new item
    status becomes in transit      texts need no quotes, but may have them: "in transit"
    due becomes null               the field was emptied
    title changes                  the field has another value than before; never in a new item
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tidings.model import moment
from tidings.model.collection import Collection, Field, OwnEvent
from tidings.rules import filter
from tidings.rules.filter_checks import TooCostly, same
from tidings.rules.items.field import is_bound
from tidings.rules.reading import decimals, jsontext
from tidings.rules.reading.refused import Refused

CREATED, UPDATED, DELETED = "created", "updated", "deleted"
ENDINGS = (CREATED, UPDATED, DELETED)
"""The suffixes of the events that every collection has."""

_WHEN = re.compile(r"(?P<field>\S+)\s+(?:(?P<changes>changes)|becomes\s+(?P<value>\S.*))", re.DOTALL)
_QUOTED = re.compile(r"'(?:[^']|'')*'")
_TEXTS = ("string", "enum", "date", "datetime", "decimal", "reference")

STEPS_MAX = 5_000
"""The maximum number of steps of a filter on one change (half a millisecond), as one job makes a thousand changes."""

Document = dict[str, Any]
Fits = Callable[[Document | None, Document, Sequence[str]], bool]


class When(msgspec.Struct, frozen=True):
    """A parsed condition in words. `changes`: any other value will do; otherwise it must be `value`."""

    field: str
    changes: bool
    value: Any = None


class Changes:
    """A collection's own events, compiled once."""

    def __init__(self, collection: Collection) -> None:
        """Compile. Raises Refused if a condition is wrong; those of a checked declaration are right."""
        self._created = created_type(collection.name)
        self._updated = updated_type(collection.name)
        self._own = [(own_type(collection.name, event.name), _fits(event, collection)) for event in collection.events]

    def type(self, previous: Document | None, data: Document, changed: Sequence[str]) -> str:
        """The event type of a creation (`previous` is None) or an edit: the first of the collection's own types that
        matches, otherwise the standard one."""
        usual = self._created if previous is None else self._updated
        if self._own:
            document = {"type": usual, "subject": data.get("id"), "data": data, "changed": list(changed)}
            if previous is not None:
                document["previous"] = previous
            for name, fits in self._own:
                if fits(previous, document, changed):
                    return name
        return usual


def own_type(collection: str, event: str) -> str:
    """The type of one of the collection's own events."""
    return f"{collection}.{event}"


def created_type(name: str) -> str:
    """The type of the event of an item that was created, by its collection's name."""
    return own_type(name, CREATED)


def updated_type(name: str) -> str:
    """The type of the event of an item that was edited or replaced."""
    return own_type(name, UPDATED)


def deleted_type(name: str) -> str:
    """The type of the event of an item that was deleted."""
    return own_type(name, DELETED)


def read_when(text: str, collection: Collection, pointer: str = "") -> When:
    """Read a condition in words.

    Raises Refused if it is malformed, or names an unknown field or an impossible value.
    """
    match = _WHEN.fullmatch(text.strip())
    if match is None:
        detail = "Write `FIELD becomes VALUE`, such as `done becomes true`, or `FIELD changes`."
        raise Refused(pointer, "when", detail)
    field = collection.field(match["field"])
    if field is None:
        raise Refused(pointer, "when", f"There is no field {match['field']!r} in {collection.name}.")
    if match["changes"]:
        return When(field.name, changes=True)
    return When(field.name, changes=False, value=_value(match["value"], field, pointer))


def _value(text: str, field: Field, pointer: str) -> Any:
    if field.type in ("object", "array"):
        detail = f"{field.name} is of type {field.type}; it supports only `{field.name} changes`."
        raise Refused(pointer, "when", detail)
    if text == "null":
        if field.required:
            raise Refused(pointer, "when", f"{field.name} is required, so it never becomes null.")
        return None
    if field.type in _TEXTS:
        if _QUOTED.fullmatch(text):
            return _in_our_words(text[1:-1].replace("''", "'"), field)
        if not text.startswith('"'):
            return _in_our_words(text, field)
    try:
        return _in_our_words(jsontext.read_exact(text.encode()), field)
    except jsontext.NotExact as wrong:
        raise Refused(pointer, "when", wrong.detail) from None
    except jsontext.BadJson:
        detail = f"{text[:100]!r} is not a possible value of {field.name}, which is of type {field.type}."
        raise Refused(pointer, "when", detail) from None


def _in_our_words(value: Any, field: Field) -> Any:
    """Times and decimals in the form that items show, since they may be written in several ways."""
    if field.type == "decimal" and is_bound("decimal", value):
        return decimals.shown(decimals.read(value), decimals.scale(field))
    if field.type == "datetime" and is_bound("datetime", value):
        return moment.to_text(moment.from_text(value))
    return value


def _pattern(pattern: Any) -> Fits:
    """If the filter takes too many steps, the change gets its usual type."""
    wanted = filter.compile(pattern, STEPS_MAX)

    def fits(previous: Document | None, document: Document, changed: Sequence[str]) -> bool:
        try:
            return wanted(document)
        except TooCostly:
            return False

    return fits


def _fits(event: OwnEvent, collection: Collection) -> Fits:
    if event.when is None:
        return _pattern(event.filter)
    when = read_when(event.when, collection)
    if when.changes:
        return lambda previous, document, changed: previous is not None and when.field in changed

    def becomes(previous: Document | None, document: Document, changed: Sequence[str]) -> bool:
        before = None if previous is None else previous.get(when.field)
        return same(document["data"].get(when.field), when.value) and not same(before, when.value)

    return becomes
