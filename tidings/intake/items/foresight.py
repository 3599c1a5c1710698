"""What several operations on items will need from the store, read together before they run.

It is a guess: whatever was not foreseen is read separately when it is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tidings.intake.items.change import ItemRequest, reached, tenant_of
from tidings.intake.items.drafts import Draft, Drafts, Pair
from tidings.intake.items.kinds import Kind, Kinds
from tidings.model.access import Verb
from tidings.model.errors import TidingsError
from tidings.rules.items.item import ID, comparable
from tidings.rules.reading.jsontext import INTEGER_MAX, INTEGER_MIN
from tidings.store.base import Db
from tidings.store.catalog import Catalog

Named = tuple[str, Mapping[str, Any]]
"""A tenant, and the values given for one of its items."""


def foresee(
    db: Db, catalog: Catalog, kinds: Kinds, kind: Kind, drafts: Drafts, asks: Sequence[tuple[Verb, ItemRequest]]
) -> None:
    """Read what these operations in one collection will need."""
    draft = drafts.of(kind.table)
    named = [(verb, ask) for verb, ask in asks if ask.id is not None and ID.fullmatch(ask.id)]
    draft.load(db, [(ask.id, tenant) for verb, ask in named if (tenant := _tenant(verb, ask)) is not None])
    found = [ask.id or "" for verb, ask in named if _tenant(verb, ask) is None]
    if found:
        draft.load_found(db, found, reached(asks[0][1].grant))
    given = [(tenant, ask.data) for verb, ask in asks for tenant in _tenants(draft, verb, ask) if ask.data]
    values(db, kind, draft, given)
    references(db, catalog, kinds, kind, drafts, given)
    gone = [(ask.id, tenant) for verb, ask in named if verb == "delete" for tenant in _tenants(draft, verb, ask)]
    for other in catalog.now.collections.values() if gone else ():
        for field in other.fields:
            if field.to == kind.collection.name:
                drafts.of(kinds.of(other).table).load_referrers(db, field.name, kind.table, gone)


def values(db: Db, kind: Kind, draft: Draft, given: Iterable[Named]) -> None:
    """Read which items have the given unique values."""
    for name in kind.unique:
        field = kind.collection.field(name)
        assert field is not None
        pairs: list[Pair] = []
        for tenant, data in given:
            try:
                value = comparable(field, data.get(name))
            except ValueError:
                continue
            if value is not None and _fits(value):
                pairs.append((value, tenant))
        draft.load_values(db, name, pairs, whole=True)


def references(db: Db, catalog: Catalog, kinds: Kinds, kind: Kind, drafts: Drafts, given: Iterable[Named]) -> None:
    """Read the items that are referred to."""
    for name, to in kind.references:
        target = catalog.now.collections.get(to)
        idents = [(data.get(name), tenant) for tenant, data in given]
        pairs = [(ident, tenant) for ident, tenant in idents if type(ident) is str and ID.fullmatch(ident)]
        if target is not None and pairs:
            drafts.of(kinds.of(target).table).load(db, pairs)


def _tenant(verb: Verb, ask: ItemRequest) -> str | None:
    """The item's tenant, if it is known before the item is read."""
    if ask.tenant is not None or verb not in ("create", "put"):
        return ask.tenant
    try:
        return tenant_of(ask)
    except TidingsError:
        return None


def _tenants(draft: Draft, verb: Verb, ask: ItemRequest) -> list[str]:
    tenant = _tenant(verb, ask)
    return draft.tenants(ask.id or "") if tenant is None else [tenant]


def _fits(value: Any) -> bool:
    """Whether a column of its type can be compared with it."""
    if type(value) is str:
        return "\0" not in value
    return type(value) is not int or INTEGER_MIN <= value <= INTEGER_MAX
