"""Links and connections as answers and pages show them, and what a trial of one shows."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.control.link_trials import LinkTrial
from tidings.control.timers.runs import KeptFor
from tidings.model import moment
from tidings.model import outcome as outcomes
from tidings.model.calls.connection import Connection
from tidings.model.calls.trial import Observed, Reached
from tidings.model.link import AnyLink, CallLink
from tidings.rules.declare import connections
from tidings.rules.declare.links import plain
from tidings.rules.declare.pacing import ORDERS
from tidings.store.links.timers import TimerRow
from tidings.views.endpoints import HealthView
from tidings.views.times import time_text


class LinkView(msgspec.Struct, frozen=True, kw_only=True):
    """A link: its declaration, its state with the reason, and its health. `waiting`: the number of waiting deliveries.

    `next_due`: when its timer is due next; null while it is paused. `last_due`: when its last run was due. `last_run`:
    the event of that run, or of a later run by hand. All three are null if it acts on events.
    """

    id: str
    name: str
    description: str
    tenant: str | None
    when: dict[str, Any]
    filter: dict[str, Any] | None
    only_if: str | None = msgspec.field(name="if")
    once: str | None
    split: str | None
    item: dict[str, Any] | None
    call: dict[str, Any] | None
    mail: dict[str, Any] | None
    emit: dict[str, Any] | None
    keep: dict[str, Any] | None
    order: str
    order_max_age_seconds: int
    rate: float | None
    max_in_flight: int
    retry_delays_seconds: list[float] | None
    state: str
    reason: str | None
    health: HealthView
    waiting: int | msgspec.UnsetType = msgspec.UNSET
    next_due: str | msgspec.UnsetType | None = msgspec.UNSET
    last_due: str | msgspec.UnsetType | None = msgspec.UNSET
    last_run: str | msgspec.UnsetType | None = msgspec.UNSET
    revision: int
    created: str
    updated: str


class KeptView(msgspec.Struct, frozen=True, kw_only=True):
    """The values that the links of one connection have kept from responses for a subject; their templates see them as
    `mine`.
    """

    link: str
    tenant: str | None
    subject: str
    values: msgspec.Raw
    updated: str


class LinkSecretView(msgspec.Struct, frozen=True, kw_only=True):
    """The secret with which a link signs its requests."""

    link: str
    secret: str


class EditView(msgspec.Struct, frozen=True, kw_only=True):
    """The edit of an item that a link makes for an event, with the event's values filled in."""

    collection: str
    edit: str
    id: str
    tenant: str | None
    data: msgspec.Raw | None


class CallView(msgspec.Struct, frozen=True, kw_only=True):
    """The request that a link makes for an event. Credentials in `headers` are masked; `body` is null if there is
    none.
    """

    method: str
    url: str
    headers: dict[str, str]
    body: str | None


class MailView(msgspec.Struct, frozen=True, kw_only=True):
    """The mail that a link sends for an event."""

    to: list[str]
    subject: str
    text: str | None
    html: str | None


class ChangeShown(msgspec.Struct, frozen=True, kw_only=True):
    """The event that an edit would emit."""

    type: str
    data: msgspec.Raw
    previous: msgspec.Raw | None
    changed: msgspec.Raw | None


class ObservedView(msgspec.Struct, frozen=True, kw_only=True):
    """One page as a link with `emit` reads it. `first`: the first five records; `changes`: the first five differences.

    `has_more`: there are further pages, which were not read.
    """

    records: int
    first: list[Any]
    created: int
    updated: int
    deleted: int
    changes: list[ChangeOfRecord]
    has_more: bool


class ChangeOfRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A difference: `created`, `updated` or `deleted`, and the key of the record."""

    change: str
    key: str


class LinkTestView(msgspec.Struct, frozen=True, kw_only=True):
    """What a link would do with an event. Nothing was changed. `wants`: whether it would get such an event; `reason`
    says why not. `edit`: the exact edit; null if its templates cannot be filled in. `call`, `mail`: the same for a link
    that calls or mails. `outcome` and `says`: the result that it would have now, as far as that is known. `change`: the
    event that it would emit, if any. `observed`: for a link with `emit`, the page that was read, and what differs; the
    mirror and the cursor are unchanged. `elements`: for a link with `split`, the elements that would get deliveries;
    the other members are about the first.
    """

    link: str
    wants: bool
    reason: str | None
    edit: EditView | None
    call: CallView | None
    mail: MailView | None
    outcome: str | None
    says: str | None
    change: ChangeShown | None
    observed: ObservedView | None
    elements: list[msgspec.Raw] | None


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


def link_view(
    link: AnyLink, health: HealthView | None = None, waiting: int | msgspec.UnsetType = msgspec.UNSET
) -> LinkView:
    """A link. `health`: None before anything was sent."""
    declared, pacing = plain(link), link.pacing
    delays = pacing.retry_delays_seconds
    return LinkView(
        id=link.id,
        name=link.name,
        description=link.description,
        tenant=link.tenant,
        when=declared["when"],
        filter=link.filter,
        only_if=link.what.only_if,
        once=link.what.once_by,
        split=link.what.split_by,
        item=declared.get("item"),
        call=declared.get("call"),
        mail=declared.get("mail"),
        emit=declared.get("emit"),
        keep=declared.get("keep"),
        order=declared.get("order", ORDERS[0]),
        order_max_age_seconds=pacing.order_max_age_seconds,
        rate=pacing.rate,
        max_in_flight=pacing.max_in_flight,
        retry_delays_seconds=None if delays is None else list(delays),
        state=link.mode,
        reason=link.reason,
        health=health or HealthView(),
        waiting=waiting,
        revision=link.revision,
        created=moment.to_text(link.created),
        updated=moment.to_text(link.updated),
    )


def kept_view(kept: KeptFor) -> KeptView:
    """What is kept for a subject."""
    row = kept.row
    return KeptView(
        link=kept.link,
        tenant=row.tenant or None,
        subject=row.subject,
        values=msgspec.Raw(row.values.encode()),
        updated=moment.to_text(row.updated),
    )


def link_secret_view(link: CallLink) -> LinkSecretView:
    """The secret of a link whose secret was made here."""
    return LinkSecretView(link=link.name, secret=link.what.sealed.sign[0])


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
        call=_call(trial),
        mail=None if trial.mail is None else msgspec.convert(msgspec.to_builtins(trial.mail), MailView),
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
        observed=_observed(trial.observed),
        elements=None if trial.elements is None else [msgspec.Raw(each.encode()) for each in trial.elements],
    )


def _observed(found: Observed | None) -> ObservedView | None:
    if found is None or found.outcome is not outcomes.OK:
        return None
    return ObservedView(
        records=found.records,
        first=list(found.first),
        created=found.created,
        updated=found.updated,
        deleted=found.deleted,
        changes=[ChangeOfRecord(change=change, key=key) for change, key in found.changes],
        has_more=found.has_more,
    )


def _call(trial: LinkTrial) -> CallView | None:
    call = trial.call
    if trial.observed is not None and trial.observed.shown is not None:
        return CallView(**msgspec.json.decode(trial.observed.shown), body=None)
    if call is None:
        return None
    body = call.body.decode("utf-8", "replace") if call.body else None
    return CallView(method=call.method, url=call.url, headers=trial.call_headers or {}, body=body)


def _raw(text: str | None) -> msgspec.Raw | None:
    return None if text is None else msgspec.Raw(text.encode())


class ConnectionView(msgspec.Struct, frozen=True, kw_only=True):
    """A connection as it was declared, with `***` for each secret. `links`: the names of the links that use it."""

    id: str
    name: str
    base: str | None
    smtp: str | None
    sender: str | None = msgspec.field(name="from")
    description: str
    auth: dict[str, Any] | None
    headers: dict[str, str]
    rate: float | None
    max_in_flight: int | None
    timeout_seconds: float
    private: list[str]
    ca: str | None
    client_certificate: dict[str, str] | None
    links: list[str]
    revision: int
    created: str
    updated: str


class ConnectionTestView(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection reaches. Nothing was changed there.

    `reached`: whether the other system answered, with `status`. `accepted`: whether the credentials were accepted; null
    if that is unknown, such as without a `path` that requires them. `says`: the result as a sentence.
    """

    connection: str
    reached: bool
    accepted: bool | None
    outcome: str
    status: int | None
    duration_ms: int
    says: str


def connection_test_view(name: str, found: Reached) -> ConnectionTestView:
    """The result of a trial."""
    return ConnectionTestView(
        connection=name,
        reached=found.is_reached,
        accepted=found.is_accepted,
        outcome=found.outcome.name,
        status=found.status,
        duration_ms=found.duration_ms,
        says=found.says,
    )


def connection_view(connection: Connection, users: list[str]) -> ConnectionView:
    """A connection. `users`: the links that use it."""
    return ConnectionView(
        id=connection.id,
        name=connection.name,
        **connections.plain(connection),
        links=users,
        revision=connection.revision,
        created=moment.to_text(connection.created),
        updated=moment.to_text(connection.updated),
    )
