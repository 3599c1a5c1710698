"""Read-only members of a thing: sent back unchanged, they are accepted."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.model import moment
from tidings.model.errors import Place
from tidings.rules.filter_checks import same


def agrees(present: Any, given: Any) -> bool:
    """Whether a given value (plain JSON) equals the present one; a time may be written differently."""
    if same(present, given):
        return True
    if type(present) is not str or type(given) is not str:
        return False
    try:
        return moment.from_text(present) == moment.from_text(given)
    except ValueError:
        return False


def differs(name: str, pointer: str, present: Any = msgspec.UNSET) -> Place:
    """The place of a member that differs; UNSET means that it has no value before the thing is stored."""
    shown = "not set before it is stored"
    if present is not msgspec.UNSET:
        shown = msgspec.json.encode(present).decode()
    detail = f"{name} is {shown}, and cannot be changed here. Leave it out, or send it unchanged."
    return Place(pointer=f"{pointer}/{name}", code="own_field", detail=detail)
