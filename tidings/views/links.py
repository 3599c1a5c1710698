"""Links as answers and pages show them, and what a trial of one shows."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.control.link_trials import LinkTrial
from tidings.model import moment
from tidings.model.link import ItemLink
from tidings.rules.declare.links import plain
from tidings.store.links.timers import TimerRow
from tidings.views.times import time_text


class LinkView(msgspec.Struct, frozen=True, kw_only=True):
    """A link: its declaration, and its state with the reason. `waiting`: how many deliveries wait for it.

    `next_due`: when its timer is due next, null while it is paused; `last_due`: when its last run was due. `last_run`:
    the event of that run, or of a later one by hand. All three are null if it acts on events.
    """

    id: str
    name: str
    description: str
    tenant: str | None
    when: dict[str, Any]
    filter: dict[str, Any] | None
    item: dict[str, Any]
    order: str
    order_max_age_seconds: int
    rate: float | None
    max_in_flight: int
    retry_delays_seconds: list[float] | None
    state: str
    reason: str | None
    waiting: int | msgspec.UnsetType = msgspec.UNSET
    next_due: str | msgspec.UnsetType | None = msgspec.UNSET
    last_due: str | msgspec.UnsetType | None = msgspec.UNSET
    last_run: str | msgspec.UnsetType | None = msgspec.UNSET
    revision: int
    created: str
    updated: str


class EditView(msgspec.Struct, frozen=True, kw_only=True):
    """The edit of an item that a link makes of an event, with the event's values filled in."""

    collection: str
    edit: str
    id: str
    tenant: str | None
    data: msgspec.Raw | None


class ChangeShown(msgspec.Struct, frozen=True, kw_only=True):
    """The event that an edit would emit."""

    type: str
    data: msgspec.Raw
    previous: msgspec.Raw | None
    changed: msgspec.Raw | None


class LinkTestView(msgspec.Struct, frozen=True, kw_only=True):
    """What a link would do with an event. Nothing was changed.

    `wants`: whether it would get such an event, and `reason` why not. `edit`: the exact edit; null if its templates
    cannot be filled. `outcome` and `says`: what would come of it now. `change`: the event it would emit, if any.
    """

    link: str
    wants: bool
    reason: str | None
    edit: EditView | None
    outcome: str | None
    says: str | None
    change: ChangeShown | None


def with_timer(view: LinkView, timer: TimerRow | None) -> LinkView:
    """The view, with when the link is due."""
    if timer is None:
        return msgspec.structs.replace(view, next_due=None, last_due=None, last_run=None)
    return msgspec.structs.replace(
        view,
        next_due=time_text(timer.look and timer.due),
        last_due=time_text(timer.last),
        last_run=timer.run,
    )


def link_view(link: ItemLink, waiting: int | msgspec.UnsetType = msgspec.UNSET) -> LinkView:
    """A link."""
    declared, pacing = plain(link), link.pacing
    delays = pacing.retry_delays_seconds
    return LinkView(
        id=link.id,
        name=link.name,
        description=link.description,
        tenant=link.tenant,
        when=declared["when"],
        filter=link.filter,
        item=declared["item"],
        order=pacing.order if link.what.order_by is None else link.what.order_by,
        order_max_age_seconds=pacing.order_max_age_seconds,
        rate=pacing.rate,
        max_in_flight=pacing.max_in_flight,
        retry_delays_seconds=None if delays is None else list(delays),
        state=link.mode,
        reason=link.reason,
        waiting=waiting,
        revision=link.revision,
        created=moment.to_text(link.created),
        updated=moment.to_text(link.updated),
    )


def link_test_view(trial: LinkTrial) -> LinkTestView:
    """What a trial found."""
    edit, change = trial.edit, trial.change
    return LinkTestView(
        link=trial.link.name,
        wants=trial.reason is None,
        reason=trial.reason,
        edit=None
        if edit is None
        else EditView(
            collection=edit.collection,
            edit=edit.word,
            id=edit.item,
            tenant=edit.tenant or None,
            data=None if edit.word == "delete" else msgspec.Raw(edit.values),
        ),
        outcome=None if trial.outcome is None else trial.outcome.name,
        says=trial.sentence,
        change=None
        if change is None
        else ChangeShown(
            type=change.type,
            data=msgspec.Raw(change.data.encode()),
            previous=_raw(change.previous),
            changed=_raw(change.changed),
        ),
    )


def _raw(text: str | None) -> msgspec.Raw | None:
    return None if text is None else msgspec.Raw(text.encode())
