"""Items: every change of one, checked and written inside a write job, with the one event that describes it.

Nothing here commits: each function works on the connection of a write job, so that an item, its event, and everything
else that the job does are stored together or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tidings.intake.items.drafts import Draft, Drafts
from tidings.intake.items.given import named
from tidings.intake.items.kinds import Kind, Kinds, changed_fields
from tidings.intake.items.moving import Moving
from tidings.model.access import READING, Key, Verb
from tidings.model.collection import Collection, Item
from tidings.model.errors import Conflict, Forbidden, Invalid, NotFound, Place, Unavailable
from tidings.model.event import Event
from tidings.model.ids import new_id
from tidings.model.moment import Clock
from tidings.rules.items import change
from tidings.rules.items.condition import Condition, Either, fixed, holds
from tidings.rules.items.item import ID, ID_RULE, opened
from tidings.rules.items.permit import Grant
from tidings.rules.merge_patch import merged
from tidings.rules.revisions import ANY, Conditions, check_revision
from tidings.store.base import Db
from tidings.store.catalog import Catalog
from tidings.store.items.items import ItemTable, Lock

RETRY_AFTER_SECONDS = 1.0
_ROW = "This key may not make this change: its row rule must match the item both before and after the change."
Values = dict[str, Any]


class Changing(Unavailable):
    """The collection's declaration has changed since the request was checked. Nothing was done."""


class ItemRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One operation on an item, as a caller asks for it.

    `pointer` and `id_pointer`: where `data` and `id` are in the request's body (None: the id is in its path). `tenant`:
    whose item, for keys without a tenant; empty for none; None if not given. `drafts`: the changes of several requests,
    written together by the code that made the drafts. `moving`: unique values may move between the items of several
    requests, which share it and the drafts. `line`: of a file.
    """

    grant: Grant
    key: Key
    request_id: str | None = None
    tenant: str | None = None
    id: str | None = None
    data: Values = {}
    conditions: Conditions = ANY
    pointer: str = ""
    id_pointer: str | None = None
    drafts: Drafts | None = None
    moving: Moving | None = None
    line: int | None = None

    def about_id(self, code: str, detail: str) -> list[Place]:
        """The error at the place of its id."""
        if self.id_pointer is None:
            return [Place(parameter="id", code=code, detail=detail)]
        return [Place(pointer=self.id_pointer, code=code, detail=detail)]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an operation. Without an `event`, nothing was changed."""

    before: Item | None
    after: Item | None
    event: Event | None


class ItemChanges:
    """Changes items. Its methods are called in write jobs."""

    def __init__(self, catalog: Catalog, kinds: Kinds, clock: Clock) -> None:
        self._catalog = catalog
        self._kinds = kinds
        self._clock = clock

    def create(self, db: Db, ask: ItemRequest) -> Change:
        """Create an item. Raises Invalid, Forbidden, or Conflict if its id or a unique value is taken."""
        kind = self._kind(ask.grant)
        tenant = tenant_of(ask)
        if ask.id is not None:
            _check_id(ask)
            if _table(kind, ask).of_tenant(db, ask.id, tenant) is not None:
                detail = f"An item {ask.id} already exists."
                raise Conflict(detail, code="id_taken", errors=ask.about_id("id_taken", detail))
        return self._create(db, kind, ask, tenant)

    def edit(self, db: Db, ask: ItemRequest) -> Change:
        """Merge `data` into an item (RFC 7396). Raises NotFound, Stale, Invalid, Forbidden or Conflict."""
        kind = self._kind(ask.grant)
        before = self._found(db, kind, ask, "change")
        data, unknown = named(kind, ask, before)
        plain = kind.rules.plain(before)
        given = merged(plain, data)
        values = _stored(kind, given, ask, unknown)
        _check_row(ask, before)
        return self._replace(db, kind, ask, before, values, changed_fields(kind, before.values, values, plain, given))

    def put(self, db: Db, ask: ItemRequest) -> Change:
        """Create or replace the item at the caller's id. Raises as `create` and `edit` do."""
        kind = self._kind(ask.grant)
        _check_id(ask)
        tenant = tenant_of(ask)
        before = _whole(kind, ask, _table(kind, ask).of_tenant(db, ask.id or "", tenant, "change"))
        if before is None:
            ask.conditions.check("item", ask.id or "", None)
            return self._create(db, kind, ask, tenant)
        if not holds(reached(ask.grant), before.row):
            raise _absent(ask.grant, ask.id)
        ask.conditions.check("item", before.id, before.revision)
        data, unknown = named(kind, ask, before)
        kept = kind.rules.plain(before, [name for name in before.values if name not in ask.grant.write])
        given = {**kind.rules.defaults, **kept, **data}
        values = _stored(kind, given, ask, unknown, fixed(ask.grant.writes))
        _check_row(ask, before)
        return self._replace(db, kind, ask, before, values, changed_fields(kind, before.values, values, {}, given))

    def delete(self, db: Db, ask: ItemRequest) -> Change:
        """Delete an item. Raises NotFound, Stale, Forbidden, or Conflict if other items refer to it."""
        kind = self._kind(ask.grant)
        before = self._found(db, kind, ask, "delete")
        _check_row(ask, before)
        self._check_unreferenced(db, kind, ask, before)
        _table(kind, ask).delete(db, before.seq)
        if ask.moving is not None:
            ask.moving.gone(_draft(kind, ask), before.seq)
        event = self._event(kind, ask, None, before, type=change.deleted_type(kind.collection.name))
        return Change(before=before, after=None, event=event)

    def do(self, db: Db, verb: Verb, ask: ItemRequest) -> Change:
        """Run one of the four, by its verb. Raises Forbidden if the key may not do this, and what that one raises."""
        check_verb(ask.grant, verb)
        return {"create": self.create, "edit": self.edit, "put": self.put, "delete": self.delete}[verb](db, ask)

    def current(self, grant: Grant) -> Kind:
        """The grant's collection, ready for use. Raises Unavailable if its declaration has changed since."""
        return self._kind(grant)

    # --- steps --------------------------------------------------------------------------------------------------------

    def _kind(self, grant: Grant) -> Kind:
        return self._current(grant.collection)

    def _current(self, collection: Collection) -> Kind:
        if not self._catalog.is_current(collection):
            raise Changing(
                f"The collection {collection.name} is being changed, so nothing was done. Try again.",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        return self._kinds.of(collection)

    def _found(self, db: Db, kind: Kind, ask: ItemRequest, lock: Lock) -> Item:
        found = look_up(db, _table(kind, ask), ask.grant, reached(ask.grant), ask.id or "", ask.tenant, lock)
        check_revision(ask.conditions.expected, found.revision)
        return _whole(kind, ask, found) or found

    def _create(self, db: Db, kind: Kind, ask: ItemRequest, tenant: str) -> Change:
        data, unknown = named(kind, ask, None, tenant)
        values = _stored(kind, {**kind.rules.defaults, **data}, ask, unknown, fixed(ask.grant.writes))
        now = self._clock.now()
        after = Item(
            seq=0, id=ask.id or new_id("itm", now), tenant=tenant, revision=1, created=now, updated=now, values=values
        )
        self._check_after(db, kind, ask, None, after)
        after = msgspec.structs.replace(after, seq=_table(kind, ask).insert(db, after))
        return Change(before=None, after=after, event=self._event(kind, ask, None, after))

    def _replace(
        self, db: Db, kind: Kind, ask: ItemRequest, before: Item, values: Values, changed: list[str]
    ) -> Change:
        if not changed:
            return Change(before=before, after=before, event=None)
        after = msgspec.structs.replace(
            before, values=values, revision=before.revision + 1, updated=max(self._clock.now(), before.updated)
        )
        self._check_after(db, kind, ask, before, after)
        written = after if ask.moving is None else ask.moving.written(_draft(kind, ask), before, after)
        _table(kind, ask).update(db, written)
        return Change(before=before, after=after, event=self._event(kind, ask, before, after, changed=changed))

    def _check_after(self, db: Db, kind: Kind, ask: ItemRequest, before: Item | None, after: Item) -> None:
        """Check what only the store knows about an item before it is written, and whether the caller may write it."""
        _check_row(ask, after)
        for name in kind.unique:
            if _is_new(before, after, name):
                self._check_unique(db, kind, ask, after, name)
        for name, to in kind.references:
            if _is_new(before, after, name):
                self._check_reference(db, ask, after, name, to)

    def _check_unique(self, db: Db, kind: Kind, ask: ItemRequest, after: Item, name: str) -> None:
        holder = _table(kind, ask).holder(db, name, after.values[name], after.tenant, after.seq)
        if holder is None:
            return
        detail = f"Another item already has this {name}."
        places = [Place(pointer=f"{ask.pointer}/{name}", code="unique_taken", detail=detail, line=ask.line)]
        if ask.moving is None:
            raise Conflict(detail, code="unique_taken", errors=places)
        ask.moving.take(db, _draft(kind, ask), holder, name, after, places)

    def _check_reference(self, db: Db, ask: ItemRequest, after: Item, name: str, to: str) -> None:
        ident = after.values[name]
        if to == ask.grant.collection.name and ident == after.id:
            return
        target = self._catalog.now.collections.get(to)
        found = (
            None if target is None else _table(self._current(target), ask).of_tenant(db, ident, after.tenant, "share")
        )
        if found is not None and target is not None:
            its = self._kinds.grant(ask.key, target)
            # A caller that sees only some items must not find out about the others this way.
            if its is None or holds(seen(its), found.row):
                return
        detail = f"There is no item {ident} in {to}."
        raise Invalid(
            "The item is not valid.",
            errors=[Place(pointer=f"{ask.pointer}/{name}", code="no_such_item", detail=detail)],
        )

    def _check_unreferenced(self, db: Db, kind: Kind, ask: ItemRequest, item: Item) -> None:
        name = kind.collection.name
        for other in self._catalog.now.collections.values():
            for field in other.fields:
                if field.to != name:
                    continue
                but = item.seq if other.name == name else 0
                if _table(self._current(other), ask).taken(db, field.name, item.id, item.tenant, but):
                    its = self._kinds.grant(ask.key, other)
                    # A caller that may not read the field learns neither of it nor of its collection.
                    is_known = its is not None and field.name in its.read
                    who = f"Items of {other.name} refer" if is_known else "Other items refer"
                    how = f" with their {field.name}" if is_known else ""
                    detail = f"{who} to {item.id}{how}; change or delete them first."
                    raise Conflict(detail, code="referenced", errors=ask.about_id("referenced", detail))

    def _event(
        self,
        kind: Kind,
        ask: ItemRequest,
        before: Item | None,
        item: Item,
        *,
        changed: list[str] | None = None,
        type: str | None = None,
    ) -> Event:
        """The event of a change; `type` only if it is known without the collection's own conditions."""
        document = kind.rules.document(item)
        previous = None if before is None else kind.rules.document(before)
        if type is None:
            plain, was = document, previous
            if kind.collection.events:
                plain = {name: opened(value) for name, value in document.items()}
                was = None if previous is None else {name: opened(value) for name, value in previous.items()}
            type = kind.changes.type(was, plain, changed or [])
        now = self._clock.now()
        return Event(
            id=new_id("evt", now),
            type=type,
            time=now,
            tenant=item.tenant or None,
            subject=item.id,
            data=_text(document),
            previous=None if previous is None else _text(previous),
            changed=None if changed is None else _text(changed),
            actor=ask.key.id,
            request_id=ask.request_id,
            collection=kind.collection.name,
        )


def _is_new(before: Item | None, after: Item, name: str) -> bool:
    """Whether a field has a value that it did not have before."""
    value = after.values[name]
    return value is not None and (before is None or before.values[name] != value)


def seen(grant: Grant) -> Condition:
    """What an item must match to exist for a caller: the condition for reading or, if it reads nothing, changing."""
    return grant.reads if any(verb in READING for verb in grant.verbs) or grant.questions else grant.writes


def reached(grant: Grant) -> Condition:
    """What an item must match to exist for a caller that changes it: the condition for seeing or for writing."""
    may_see = seen(grant)
    return may_see if may_see == grant.writes else Either((may_see, grant.writes))


def look_up(
    db: Db,
    table: ItemTable | Draft,
    grant: Grant,
    condition: Condition,
    ident: str,
    tenant: str | None,
    lock: Lock = "",
) -> Item:
    """The item with this id that matches; `tenant`: exactly this tenant's (empty: no tenant's), if given.

    Raises NotFound, or Conflict if several tenants have one and the caller must say whose.
    """
    if tenant is not None:
        its = table.of_tenant(db, ident, tenant, lock)
        found = [its] if its is not None and holds(condition, its.row) else []
    else:
        found = table.find(db, ident, condition, grant.tenant, lock)
    if not found:
        raise _absent(grant, ident)
    if len(found) > 1:
        # Even if one of them has no tenant: after it is deleted, repeating the request would hit another tenant's item.
        detail = f"Several tenants have an item {ident[:64]}. Choose one with `tenant` (empty for no tenant)."
        place = Place(parameter="tenant", code="ambiguous_id", detail=detail)
        raise Conflict(detail, code="ambiguous_id", errors=[place])
    return found[0]


def check_verb(grant: Grant, verb: Verb) -> None:
    """Raise Forbidden if the key may not do this in the collection."""
    if verb not in grant.verbs:
        have = ", ".join(sorted(grant.verbs)) or "only ask its questions"
        raise Forbidden(
            f"This key may not {verb} items of {grant.collection.name}. It may: {have}.", code="verb_not_permitted"
        )


def tenant_of(ask: ItemRequest) -> str:
    """The tenant of an item that is created or put: the key's, the one in its row rule, or the one asked for.

    Raises Forbidden if these differ.
    """
    tenant = str(fixed(ask.grant.writes).get("tenant", ask.grant.tenant or ask.tenant or ""))
    if ask.tenant is not None and ask.tenant != tenant:
        raise Forbidden(_ROW, code="row_not_permitted")
    return tenant


def _check_id(ask: ItemRequest) -> None:
    if not ID.fullmatch(ask.id or ""):
        raise Invalid(ID_RULE, errors=ask.about_id("id", ID_RULE))


def _check_row(ask: ItemRequest, item: Item) -> None:
    if not holds(ask.grant.writes, item.row):
        raise Forbidden(_ROW, code="row_not_permitted")


def _whole(kind: Kind, ask: ItemRequest, item: Item | None) -> Item | None:
    return item if item is None or ask.moving is None else ask.moving.whole(_draft(kind, ask), item)


def _table(kind: Kind, ask: ItemRequest) -> ItemTable | Draft:
    return kind.table if ask.drafts is None else ask.drafts.of(kind.table)


def _draft(kind: Kind, ask: ItemRequest) -> Draft:
    assert ask.drafts is not None, "values move in drafts only"
    return ask.drafts.of(kind.table)


def _stored(
    kind: Kind, given: Mapping[str, Any], ask: ItemRequest, wrong: list[Place], filled: Mapping[str, Any] | None = None
) -> Values:
    """The values to store. `wrong`: places found so far. `filled`: values fixed by the row rule, as stored.

    Raises Invalid with every wrong place.
    """
    own = {name: value for name, value in (filled or {}).items() if name in kind.rules.names and name not in ask.data}
    plain = {**given, **{name: kind.rules.as_json(name, value) for name, value in own.items()}} if own else given
    values = kind.rules.stored(plain, ask.pointer, wrong)
    if wrong:
        raise Invalid("The item is not valid.", errors=[_shown(place, kind, ask) for place in wrong])
    return values


def _shown(place: Place, kind: Kind, ask: ItemRequest) -> Place:
    """Hide the name and value of a field that the caller can neither read nor write."""
    name = (place.pointer or "").removeprefix(ask.pointer).split("/")[1]
    is_hidden = name in kind.rules.names and name not in (*ask.grant.read, *ask.grant.write, *ask.data)
    if not is_hidden:
        return place
    detail = "The item needs a different value in a field that this key may neither read nor write."
    return Place(pointer=ask.pointer, code=place.code, detail=detail)


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _absent(grant: Grant, ident: str | None) -> NotFound:
    return NotFound(f"There is no item {(ident or '')[:64]} in {grant.collection.name}.")
