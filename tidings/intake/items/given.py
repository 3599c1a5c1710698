"""Members that a caller sends besides the fields that it may write: it may send back unchanged what it was shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from tidings.intake.items.kinds import Kind
from tidings.model.collection import OWN_FIELDS, Item
from tidings.model.errors import Forbidden, Place, Stale
from tidings.rules.items.item import opened
from tidings.rules.own_members import agrees, differs

if TYPE_CHECKING:
    from tidings.intake.items.change import ItemRequest

Values = dict[str, Any]


def named(kind: Kind, ask: ItemRequest, before: Item | None, tenant: str = "") -> tuple[Values, list[Place]]:
    """The given values of fields that the caller may write, and the places of everything else that is wrong.

    Read-only members, the item's own included, may be sent back unchanged (`before`; None: the item is new, and only
    its id and tenant are known). Raises Forbidden for another value of a read-only field, Stale for another revision.
    """
    grant = ask.grant
    others = sorted(ask.data.keys() - set(grant.write))
    if not others:
        return ask.data, []
    present: Values = {"id": ask.id, "tenant": tenant or None} if before is None else kind.rules.document(before)
    wrong: list[Place] = []
    for name in others:
        given = ask.data[name]
        is_own = name in OWN_FIELDS and (before is not None or ask.id is not None)
        if name in OWN_FIELDS and not is_own and name not in grant.write:
            wrong.append(_not_yet(name, ask))
        elif not is_own and name not in grant.read:
            wrong.append(kind.rules.unknown(name, ask.pointer, grant.write))
        elif name in present and (is_own or before is not None) and agrees(opened(present[name]), given):
            continue
        elif is_own:
            wrong.append(_own_differs(name, before, present, ask))
        else:
            detail = f"This key may read {name}, but not write it."
            place = Place(pointer=f"{ask.pointer}/{name}", code="field_not_permitted", detail=detail)
            raise Forbidden(detail, code="field_not_permitted", errors=[place])
    return {name: value for name, value in ask.data.items() if name not in others}, wrong


def _not_yet(name: str, ask: ItemRequest) -> Place:
    """The place of one of the item's own members, given for an item that gets its id here."""
    detail = f"{name} cannot be set by callers. Leave it out."
    if name == "id":
        where = (
            "send PUT to the collection's URL followed by a slash and the id"
            if ask.id_pointer is None
            else "give id next to data"
        )
        detail = f"The id is generated here. To choose it yourself, {where}."
    elif name == "tenant" and ask.key.tenant is None:
        detail = "The tenant is not a field. Pass it as a query parameter: ?tenant=NAME."
    return Place(pointer=f"{ask.pointer}/{name}", code="unknown_field", detail=detail)


def _own_differs(name: str, before: Item | None, present: Values, ask: ItemRequest) -> Place:
    """The place of one of the item's own members that differs. Raises Stale for a revision."""
    if before is not None and name == "revision" and type(ask.data[name]) is int:
        detail = (
            f"The body has revision {ask.data[name]}, but the item is at revision {before.revision}. Read it again."
        )
        raise Stale.at(f"{ask.pointer}/{name}", "stale", detail)
    return differs(name, ask.pointer, present.get(name, msgspec.UNSET))
