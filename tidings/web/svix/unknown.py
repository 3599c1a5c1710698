"""Members of bodies that Svix has and this door does not, or that nobody has: refused, unless they are null."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.model.errors import Invalid, Place
from tidings.rules.reading.refused import escaped
from tidings.web.svix.shapes import ApplicationIn

PLACES_MAX = 20
NAME_CHARS_MAX = 100
INNER: dict[str, Any] = {"application": ApplicationIn}
"""Members that are themselves bodies."""


def said(what: str, name: str) -> str:
    """Why a parameter or field is refused."""
    return f"Tidings does not support the {what} {name[:NAME_CHARS_MAX]} here. Leave it out."


def refuse(value: Any, kind: Any) -> None:
    """Raise Invalid with the place of each unknown member. `value`: a body that was read as this kind."""
    if wrong := _unknown(value, kind, ""):
        raise Invalid("The body has unknown fields.", errors=wrong[:PLACES_MAX])


def _unknown(value: dict[str, Any], kind: Any, at: str) -> list[Place]:
    known = {field.encode_name for field in msgspec.structs.fields(kind)}
    wrong: list[Place] = []
    for name, each in value.items():
        pointer = f"{at}/{escaped(name)}"
        if each is None:
            continue
        if name not in known:
            wrong.append(Place(pointer=pointer, code="unknown_field", detail=said("field", name)))
        elif name in INNER:
            wrong += _unknown(each, INNER[name], pointer)
    return wrong
