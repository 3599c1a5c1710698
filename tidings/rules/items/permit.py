"""What a key may do in one collection: a grant, worked out once from its scopes and its permit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from tidings.model.access import READING, VERBS, Key, Permit, Verb
from tidings.model.collection import Collection, Field, Question
from tidings.model.errors import Place
from tidings.rules.items import condition, item
from tidings.rules.items.condition import ALWAYS, Compare, Condition
from tidings.rules.items.field import OWN_TIMES
from tidings.rules.reading.refused import Refused

READ_SCOPE, WRITE_SCOPE = "items:read", "items:write"
WORDS = "q"
"""The search parameter; a permit's `filter` lists it like a field."""
PERMITS_MAX = 100


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What one key may do in one collection. All names are names of declared fields, in order.

    `filter` and `sort` also name the item's own times.
    """

    key: str
    tenant: str
    """The key's tenant; empty if it has none, and therefore sees every tenant's items."""
    collection: Collection
    verbs: frozenset[Verb]
    read: tuple[str, ...]
    write: tuple[str, ...]
    filter: tuple[str, ...]
    sort: tuple[str, ...]
    words: bool
    """Whether the key may search with `q`."""
    questions: tuple[Question, ...]
    reads: Condition
    """The condition that an item must match to be seen."""
    writes: Condition
    """The condition that an item must match, before and after, to be changed."""

    @property
    def whole(self) -> bool:
        """Whether it sees every field."""
        return len(self.read) == len(self.collection.fields)


def grant(key: Key, collection: Collection) -> Grant | None:
    """The grant of a key in a collection; None if nothing is permitted, not even to know that it exists."""
    permit = next((each for each in key.permits if each.collection == collection.name), None)
    reads_all, writes_all = key.has_scope(READ_SCOPE), key.has_scope(WRITE_SCOPE)
    verbs: set[Verb] = set(permit.verbs) if permit else set()
    verbs |= {verb for verb in VERBS if (reads_all if verb in READING else writes_all)}
    questions = tuple(
        question for question in collection.questions if reads_all or (permit and question.name in permit.questions)
    )
    if not verbs and not questions:
        return None
    own = Permit(collection=collection.name) if permit is None else permit
    names = [field.name for field in collection.fields]
    read = _those(names, None if reads_all else own.read)
    try:
        rows = _rows(own, key, collection)
    except Refused:
        # The collection was changed, and the rule names a dropped field: nothing matches, rather than everything.
        rows = condition.NEVER
    default = _own_tenant(key)
    may_filter, may_sort = (None, None) if reads_all else (own.filter, own.sort)
    searchable = [field.name for field in collection.fields if field.searchable]
    return Grant(
        key=key.id,
        tenant=key.tenant or "",
        collection=collection,
        verbs=frozenset(verbs),
        read=read,
        write=_those(names, None if writes_all else own.write),
        # Unreadable fields may be filtered by only if the permit says so: a filter reveals a value bit by bit.
        filter=(
            *_marked(collection, read if may_filter is None else may_filter, "filterable"),
            *_own_times(may_filter),
        ),
        # Sorting by an unreadable field would reveal it, and a page's cursor contains its value.
        sort=(
            *_marked(collection, read if may_sort is None else set(may_sort) & set(read), "sortable"),
            *_own_times(may_sort),
        ),
        words=bool(searchable) and (set(searchable) <= set(read) if may_filter is None else WORDS in may_filter),
        questions=questions,
        reads=default if reads_all else rows,
        writes=default if writes_all else rows,
    )


def check_permits(
    permits: tuple[Permit, ...], maker: Key, tenant: str | None, known: dict[str, Collection]
) -> list[Place]:
    """Every wrong place of a new key's permits. `maker`: the key that makes it, which can grant no more than it has."""
    wrong: list[Place] = []
    if len(permits) > PERMITS_MAX:
        wrong.append(_place("", f"A key may have at most {PERMITS_MAX} permits."))
    seen: set[str] = set()
    for index, permit in enumerate(permits[:PERMITS_MAX]):
        at = f"/{index}"
        collection = known.get(permit.collection)
        its = None if collection is None else grant(maker, collection)
        if collection is None or its is None:
            wrong.append(_place(f"{at}/collection", f"There is no collection {permit.collection[:50]!r}."))
            continue
        if permit.collection in seen:
            wrong.append(
                _place(f"{at}/collection", (f"There are two permits for {permit.collection}; combine them into one."))
            )
        seen.add(permit.collection)
        wrong += [_place(f"{at}/{name}", detail) for name, detail in _beyond(permit, its, maker)]
        wrong += _wrong_rows(
            permit, maker, Key(id="key_new", hash="", name="", scopes=(), tenant=tenant), collection, at
        )
    return wrong


def _wrong_rows(permit: Permit, maker: Key, child: Key, collection: Collection, at: str) -> list[Place]:
    try:
        _rows(permit, child, collection)
    except Refused as refused:
        return [refused.under(f"{at}/rows").place]
    try:
        _rows(narrowed(permit, maker), child, collection)
    except Refused:
        detail = (
            "Your own key's row rule applies as well, but it no longer fits the collection, or the two rules "
            "together are too large."
        )
        return [_place(f"{at}/rows", detail)]
    return []


def narrowed(permit: Permit, maker: Key) -> Permit:
    """A permit as a maker can grant it: within the maker's own permit, and with its row rule too."""
    own = next((each for each in maker.permits if each.collection == permit.collection), None)
    if own is None or _unlimited(maker, permit):
        return permit
    mine, theirs = _as_of(own.rows, maker), permit.rows
    if mine is not None and maker.tenant is not None and (maker.has_scope(READ_SCOPE) or maker.has_scope(WRITE_SCOPE)):
        # A scope is limited to the maker's tenant, even if its permit goes further.
        mine = {"$and": [mine, {"tenant": maker.tenant}]}
    if mine is None:
        rows = theirs
    else:
        rows = mine if theirs is None else {"$and": [mine, theirs]}
    inherited = {
        name: getattr(own, name) if getattr(permit, name) is None else getattr(permit, name)
        for name in ("read", "write", "filter", "sort")
    }
    return msgspec.structs.replace(permit, rows=rows, **inherited)


def _unlimited(maker: Key, permit: Permit) -> bool:
    """Whether a scope of the maker lets it do everything that the permit covers."""
    return maker.has_scope(READ_SCOPE) and (maker.has_scope(WRITE_SCOPE) or set(permit.verbs) <= set(READING))


def _as_of(rows: Any, maker: Key) -> Any:
    """The maker's own row rule with its own key and tenant written out: they must not become those of the new key."""
    if isinstance(rows, dict):
        return {name: _as_of(value, maker) for name, value in rows.items()}
    if isinstance(rows, list):
        return [_as_of(value, maker) for value in rows]
    return _own_words(maker).get(rows, rows) if isinstance(rows, str) else rows


def _beyond(permit: Permit, its: Grant, maker: Key) -> list[tuple[str, str]]:
    """The places where a permit names something that does not exist, or that its maker may not do."""
    found: list[tuple[str, str]] = []
    if not permit.verbs and not permit.questions:
        found.append(("verbs", f"Give at least one verb ({', '.join(VERBS)}) or question."))
    found += [
        ("verbs", f"Your key may not {verb} items of {permit.collection}, so it cannot grant that verb.")
        for verb in permit.verbs
        if verb not in its.verbs
    ]
    offers: dict[str, tuple[str, ...]] = {
        "read": its.read,
        "write": its.write,
        "filter": (*its.filter, WORDS) if its.words else its.filter,
        "sort": tuple(name for name in its.sort if permit.read is None or name in permit.read or name in OWN_TIMES),
        "questions": tuple(question.name for question in its.questions),
    }
    for name in ("verbs", *offers):
        given = getattr(permit, name) or ()
        if len(set(given)) < len(given):
            found.append((name, "List each one only once."))
    for name, offer in offers.items():
        for index, given in enumerate(getattr(permit, name) or ()):
            if given not in offer:
                have = ", ".join(offer) or "none"
                found.append((f"{name}/{index}", f"{given[:50]!r} is not allowed here; allowed: {have}."))
    if permit.rows is not None and maker.tenant is not None and not _keeps_tenant(permit, maker):
        found.append(("rows", 'A key with a tenant can grant only rows of its own tenant: add {"tenant": "$tenant"}.'))
    return found


def _keeps_tenant(permit: Permit, maker: Key) -> bool:
    """Whether the maker's own rule, which also applies, or the given one is limited to the maker's tenant."""
    own = next((each for each in maker.permits if each.collection == permit.collection), None)
    if own is not None and own.rows is not None and not _unlimited(maker, permit):
        return True
    return isinstance(permit.rows, dict) and permit.rows.get("tenant") in ("$tenant", maker.tenant)


def _own_words(key: Key) -> dict[str, str]:
    return {"$tenant": key.tenant or "", "$key": key.id}


def _own_tenant(key: Key) -> Condition:
    return ALWAYS if key.tenant is None else Compare("tenant", "eq", key.tenant)


def _rows(permit: Permit, key: Key, collection: Collection) -> Condition:
    """A permit's row rule for one key. Raises Refused."""
    if permit.rows is None:
        return _own_tenant(key)
    own = _own_words(key)

    def convert(name: str, value: Any, at: str) -> Any:
        if isinstance(value, str):
            value = own.get(value, value)
        if name == "tenant":
            if value is not None and not isinstance(value, str):
                raise Refused(at, "rows", "tenant must be a string, or null for items without a tenant.")
            return value or ""
        if name == "id":
            field: Field | None = Field(name="id", type="string")
        else:
            field = collection.field(name)
        if field is None:
            known = ", ".join(["id", "tenant", *(each.name for each in collection.fields)])
            raise Refused(at, "rows", f"There is no field {name[:50]!r} in {collection.name}. Its fields are: {known}.")
        try:
            return item.comparable(field, value)
        except ValueError as wrong:
            raise Refused(at, "rows", f"{name} must be {wrong}.") from None

    return condition.read_pattern(permit.rows, convert)


def _those(names: list[str], chosen: Iterable[str] | None) -> tuple[str, ...]:
    if chosen is None:
        return tuple(names)
    wanted = set(chosen)
    return tuple(name for name in names if name in wanted)


def _marked(collection: Collection, names: Iterable[str], mark: str) -> tuple[str, ...]:
    wanted = set(names)
    return tuple(field.name for field in collection.fields if field.name in wanted and getattr(field, mark))


def _own_times(named: Iterable[str] | None) -> tuple[str, ...]:
    """The item times that may be filtered by: all of them, since every key sees them, unless the permit lists names."""
    return tuple(OWN_TIMES) if named is None else tuple(name for name in OWN_TIMES if name in set(named))


def _place(pointer: str, detail: str) -> Place:
    return Place(pointer=pointer, code="permit", detail=detail)
