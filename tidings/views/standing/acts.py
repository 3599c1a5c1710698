"""Acts as callers see them: what was before and after, as the API shows things, and so without secrets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import msgspec

from tidings.model import moment
from tidings.model.link import AnyLink, Endpoint
from tidings.store.callers.acts import Changed, StoredAct
from tidings.views.collections import collection_view
from tidings.views.endpoints import endpoint_view
from tidings.views.event_types import event_type_view
from tidings.views.forms.form import form_view
from tidings.views.hooks import hook_view
from tidings.views.keys import key_view
from tidings.views.links import connection_view, link_view
from tidings.views.tenants import tenant_view

VALUE_CHARS_MAX = 2_000
_NOT_SHOWN = frozenset(("revision", "updated", "health", "waiting", "indexes"))
"""Members that are not shown as changed, because they change with every act, or on their own."""


class ActChange(msgspec.Struct, frozen=True, kw_only=True):
    """A thing that was changed. `before` and `after` have the members that differ; null means that it did not exist
    then.
    """

    kind: str
    name: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class ActView(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what: a key called an operation. `changes` lists up to 50 of the `changes_total` changed things."""

    id: str
    created: str
    key_id: str
    operation: str
    path: str
    request_id: str
    changes: list[ActChange]
    changes_total: int


def act_view(act: StoredAct) -> ActView:
    """An act."""
    return ActView(
        id=act.id,
        created=moment.to_text(act.time),
        key_id=act.key,
        operation=act.operation,
        path=act.path,
        request_id=act.request_id,
        changes=msgspec.json.decode(act.changes, type=list[ActChange]),
        changes_total=act.changes_total,
    )


def act_change(changed: Changed) -> ActChange:
    """What was before and after, as far as it differs."""
    before, after = _shown(changed.kind, changed.before), _shown(changed.kind, changed.after)
    thing = changed.before if changed.after is None else changed.after
    kind, name = changed.kind, changed.name
    if kind == "link" and thing is not None:
        kind, name = ("link", thing.name) if thing.name else ("endpoint", thing.id)
    if before is not None and after is not None:
        differ = [member for member in after if before.get(member) != after[member]]
        before, after = {each: before.get(each) for each in differ}, {each: after[each] for each in differ}
    return ActChange(kind=kind, name=name, before=_cut(before), after=_cut(after))


def _link(link: AnyLink) -> Any:
    return link_view(link) if link.name else endpoint_view(cast("Endpoint", link))


_VIEWS: dict[str, Callable[[Any], Any]] = {
    "link": _link,
    "key": key_view,
    "event_type": event_type_view,
    "tenant": tenant_view,
    "hook": lambda hook: hook_view(hook, ""),
    "form": lambda form: form_view(form, ""),
    "collection": lambda collection: collection_view(collection, ""),
    "connection": lambda connection: connection_view(connection, []),
}


def _shown(kind: str, thing: Any) -> dict[str, Any] | None:
    view = _VIEWS.get(kind)
    if thing is None or view is None:
        return None
    members: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(view(thing)))
    return {name: value for name, value in members.items() if name not in _NOT_SHOWN}


def _cut(members: dict[str, Any] | None) -> dict[str, Any] | None:
    if members is None:
        return None
    return {name: _short(value) for name, value in members.items()}


def _short(value: Any) -> Any:
    size = len(msgspec.json.encode(value))
    return value if size <= VALUE_CHARS_MAX else f"({size:,} bytes)"
