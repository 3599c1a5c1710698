"""Links: arrows from events to actions. An endpoint is the link that a customer registers.

What every link has is in `Link` and its `pacing`; what only one kind needs is in its `what`.
"""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

import msgspec

from tidings.model.moment import Micros

Mode = Literal["enabled", "paused", "disabled"]
Order = Literal["none", "subject", "all"]
Body = Literal["standard", "cloudevents", "thin", "bare"]

ALL_TENANTS = "*"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DUE = "timer.due"
"""The type of the event that is created when a timer is due. Only the timer's link gets it."""
Missed = Literal["once", "skip"]


class Batch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several events in one POST: at most `max_events` and `max_bytes` of body, sent after `max_ms` at the latest.

    An event whose own body is longer than `max_bytes` is sent alone.
    """

    max_events: int = 100
    max_ms: int = 1000
    max_bytes: int = 1024 * 1024


class Pacing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How fast, in which order and how often a link's deliveries are sent, whatever kind of link it is."""

    rate: float | None = None
    """Requests per second."""
    max_in_flight: int = 64
    order: Order = "none"
    order_max_age_seconds: int = 3600
    batch: Batch | None = None
    timeout_seconds: float = 15.0
    retry_delays_seconds: tuple[float, ...] | None = None
    give_up_on: tuple[int | str, ...] = ()
    """HTTP statuses, or the classes "3xx", "4xx" and "5xx", after which a delivery is dead at once."""


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """A signing secret: `whsec_...` or `whsk_...`; `expires` is set when a newer one replaces it."""

    text: str
    created: Micros
    expires: Micros | None = None


class ClientCertificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The client certificate that we present to an endpoint, as PEM: a certificate (with its chain) and its key."""

    certificate: str
    key: str


class Sealed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The parts encrypted at rest: the secrets, newest first, the values of extra headers, and what TLS needs.

    `ca`: the only certificate authorities trusted for this endpoint, as PEM.
    """

    secrets: tuple[Secret, ...]
    headers: dict[str, str] = {}
    ca: str | None = None
    client_certificate: ClientCertificate | None = None


class Webhook(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What links of the kind `endpoint` need: where webhooks go, and what is in them."""

    url: str
    body: Body = "standard"
    fields: tuple[str, ...] | None = None
    svix_headers: bool = False
    """Whether `svix-id` etc. are sent in addition to `webhook-id` etc., for receivers that use Svix's libraries."""
    sealed: Sealed


class NoSecrets(msgspec.Struct, frozen=True):
    """For links without any part that is encrypted."""


EditWord = Literal["create", "put", "patch", "delete"]
EDIT_WORDS: tuple[EditWord, ...] = ("create", "put", "patch", "delete")


class EditItem(msgspec.Struct, frozen=True, kw_only=True):
    """What links of the kind `item` need: which edit of which item, with templates (rules/template.py).

    `item`: the template of the item's id; None for a new item, whose id is derived from the link and the event.
    `values`: its fields, by name, or one template that becomes all of them.
    """

    collection: str
    edit: EditWord
    item: str | None = None
    values: Any = None
    order_by: str | None = None
    """The template of the line to which an event belongs; None if its subject is the line."""
    replaces: bool = False
    """Whether a newer event replaces a waiting one of the same subject."""
    split_by: str | None = None
    """The template of a list. Each element of the list gets its own delivery."""
    only_if: str | None = None
    """An expression over the event. The link acts only if it is true."""
    once_by: str | None = None
    """The template of a key. The link succeeds at most once for each key, and events with the same key form a line."""
    sealed: NoSecrets = NoSecrets()


class CursorRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a poll knows how far it has read: by the largest value of a field, by the response, or by the clock."""

    kind: Literal["record", "body", "header", "clock"]
    path: tuple[str, ...] = ()
    """The path of the field, in the record or in the body; or the name of the header."""
    since: str | int | None = None
    """Where reading begins: `now`, a value, or None for the first record."""
    overlap_seconds: int | None = None
    """By how much each read overlaps the previous one; None means the default for times, and no overlap for numbers."""
    is_ordered: bool = False
    """Whether records come in the order of the field, so that the cursor can move with each page."""


class EmitRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which events a link emits about the records that it reads."""

    type: str
    each: tuple[str, ...] = ()
    """The path of the records in a response."""
    key: str = ""
    """The path of a record's key, or a template for the key."""
    data: Any = None
    """A template for the part of a record that is kept; None to keep the whole record."""
    is_all: bool = False
    """If true, each record that is read becomes an event, except for repeats; else each difference from the mirror."""
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    deleted: str | None = None
    """A template that is true if a record is a tombstone."""
    cursor: CursorRule | None = None
    sweep_seconds: int | None = None
    """How often the link makes a full read, after which missing records count as deleted; 0 means each time."""
    sweep_most: float = 0.5
    """The maximum fraction of the mirror that may be missing in a full read; otherwise the read is refused."""


Verb = Literal["get", "post", "put", "patch", "delete", "head"]
VERBS: tuple[Verb, ...] = ("get", "post", "put", "patch", "delete", "head")
BodyForm = Literal["json", "form", "xml", "text"]
BODY_FORMS: tuple[BodyForm, ...] = ("json", "form", "xml", "text")
InDoubt = Literal["retry", "park"]
"""What to do about a call that was sent but got no response: repeat it, or leave the decision to a person."""
IN_DOUBTS: tuple[InDoubt, ...] = ("retry", "park")


class SignRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How requests of a link are signed."""

    scheme: str | dict[str, Any]
    """The name of a signature scheme, or the declaration of the operator's own scheme (rules/schemes/form.py)."""
    settings: dict[str, str] = {}
    """The settings that the scheme requires in addition to secrets."""
    is_made: bool = False
    """Whether the secret was generated here instead of being declared."""


class CallSecrets(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The parts of a call that are encrypted at rest."""

    sign: tuple[str, ...] = ()
    """The secrets with which requests are signed."""


class CallApi(msgspec.Struct, frozen=True, kw_only=True):
    """What links of the kind `call` need: one HTTP request, with templates (rules/calls/request.py).

    `path` follows the base of the connection `via`; without a connection it is a whole URL.
    """

    via: str | None = None
    verb: Verb
    path: str
    query: dict[str, Any] = {}
    headers: dict[str, str] = {}
    form: BodyForm | None = None
    """The kind of the request's body; None for no body."""
    content: Any = None
    """The template of the body: a structure for JSON and forms, text for the other kinds."""
    ok: str | None = None
    """An expression over the response that is true if the call succeeded; None for any 2xx."""
    in_doubt: InDoubt | None = None
    """None: the call is repeated if its method, or the link's own Idempotency-Key, makes that safe."""
    call_timeout_seconds: float | None = None
    """None for the connection's value."""
    pages: dict[str, Any] | None = None
    """How to request further pages (rules/mirror/pages.py)."""
    gone: tuple[int, ...] = ()
    """HTTP statuses that mean that the record no longer exists."""
    empty: tuple[int, ...] = ()
    """HTTP statuses that mean that there are no records; statuses below 300 only if there is no body."""
    emit: EmitRule | None = None
    """Which events the link emits about its responses."""
    sign: SignRule | None = None
    """How its requests are signed."""
    keep: dict[str, Any] | None = None
    """Templates of the values that are kept from a response, for the event's subject; by their names in `mine`."""
    order_by: str | None = None
    """The template of the line to which an event belongs; None if its subject is the line."""
    replaces: bool = False
    """Whether a newer event replaces a waiting one of the same subject."""
    split_by: str | None = None
    """The template of a list. Each element of the list gets its own delivery."""
    only_if: str | None = None
    """An expression over the event. The link acts only if it is true."""
    once_by: str | None = None
    """The template of a key. The link succeeds at most once for each key, and events with the same key form a line."""
    sealed: CallSecrets = CallSecrets()


class SendMail(msgspec.Struct, frozen=True, kw_only=True):
    """What links of the kind `mail` need: one message, with templates (rules/calls/mail.py)."""

    via: str
    to: str | list[str]
    """One address, or several; a template may yield a list."""
    subject: str
    text: str | None = None
    html: str | None = None
    in_doubt: InDoubt | None = None
    """What to do if it is unknown whether a mail was sent. None: a person has to decide."""
    order_by: str | None = None
    replaces: bool = False
    split_by: str | None = None
    only_if: str | None = None
    once_by: str | None = None
    """These five have the same meaning as for other links."""
    sealed: NoSecrets = NoSecrets()


KINDS: dict[str, type[msgspec.Struct]] = {"endpoint": Webhook, "item": EditItem, "call": CallApi, "mail": SendMail}
"""By the kind of a link, the type of its `what`. The field `sealed` is encrypted at rest."""
KIND_OF: dict[type[msgspec.Struct], str] = {what: kind for kind, what in KINDS.items()}


class Timer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of `every_seconds`, `at` and `cron`. Times of day and `cron` are those of the zone `tz`."""

    every_seconds: int | None = None
    at: tuple[str, ...] = ()
    """Times of day as `HH:MM`, in ascending order."""
    days: tuple[str, ...] = DAYS
    """The days of the week on which `at` applies, in order."""
    cron: str | None = None
    tz: str = "UTC"
    missed: Missed = "once"
    """What happens after times that passed while nothing could run: one run, or none."""


W = TypeVar("W")


class Link(msgspec.Struct, Generic[W], frozen=True, kw_only=True):
    """A link from events to one action, with its current mode."""

    num: int
    """The link's number in the store, by which deliveries refer to it."""
    id: str
    kind: str = "endpoint"
    """One of `KINDS`; it determines the type of `what`."""
    tenant: str | None
    name: str = ""
    """The name that the operator gave it; empty for endpoints."""
    description: str = ""
    events: tuple[str, ...] = ("*",)
    timer: Timer | None = None
    """When it is due, if it runs on a timer instead of acting on events."""
    filter: dict[str, Any] | None = None
    pacing: Pacing = Pacing()
    what: W
    mode: Mode = "enabled"
    reason: str | None = None
    """The reason why it is paused or disabled, as a sentence."""
    revision: int = 1
    created: Micros = 0
    updated: Micros = 0
    deleted: Micros | None = None
    after: int = 0
    """The number of the last event before it was created. It gets only later events, no matter when they are routed."""
    notes: str | None = None
    """The data that the door for another system's callers keeps with the link, as JSON."""


AnyLink = Link[Any]
Endpoint = Link[Webhook]
ItemLink = Link[EditItem]
CallLink = Link[CallApi]
MailLink = Link[SendMail]
LinkAction = EditItem | CallApi | SendMail
"""What an operator's link does."""


def chosen(endpoint: Endpoint) -> dict[str, Any]:
    """Everything that an endpoint's owner chose and that is not secret, by its names in the API."""
    pacing, what = endpoint.pacing, endpoint.what
    return {
        "url": what.url,
        "description": endpoint.description,
        "events": endpoint.events,
        "filter": endpoint.filter,
        **{name: getattr(pacing, name) for name in pacing.__struct_fields__},
        "body": what.body,
        "fields": what.fields,
        "svix_headers": what.svix_headers,
    }


def changes_requests(before: AnyLink, after: AnyLink) -> bool:
    """Whether an edit changes what is sent or how (URL, headers, body ...), so that what failed may succeed."""
    was, now = before.pacing, after.pacing
    return before.what != after.what or (was.batch, was.timeout_seconds) != (now.batch, now.timeout_seconds)


def changes_lines(before: AnyLink, after: AnyLink) -> bool:
    """Whether an edit changes which deliveries wait for which."""
    was, now = ((getattr(link.what, name, None) for name in ("order_by", "split_by")) for link in (before, after))
    return before.pacing.order != after.pacing.order or list(was) != list(now)


def replaces(link: AnyLink) -> bool:
    """Whether a newer event takes the place of one of its subject that waits."""
    return bool(getattr(link.what, "replaces", False))


def shared_lines(link: AnyLink) -> tuple[str, str, str | None] | None:
    """The name shared by links that keep their order together: those that act on the newest event, through the same
    connection or on the same collection. None if it shares its lines with no other.
    """
    if not replaces(link) or link.deleted is not None:
        return None
    if isinstance(link.what, EditItem):
        return "collection", link.what.collection, link.tenant
    via = getattr(link.what, "via", None)
    return None if via is None else ("connection", via, link.tenant)


def is_poll(link: AnyLink) -> bool:
    """Whether it asks another system at its own times for what differs."""
    return link.timer is not None and getattr(link.what, "emit", None) is not None


class LinkState(msgspec.Struct, frozen=True, kw_only=True):
    """What the deliver stage remembers about a link. `cursor`: where it reads its own backlog; None if it follows."""

    link: int
    cursor: int | None = None
    fails: int = 0
    failing_since: Micros | None = None
    last_failure: Micros | None = None
    open: bool = False
    probe_at: Micros | None = None
    probe_delay_seconds: float = 0.0
    succeeded_at: Micros | None = None
    new_fails: int = 0
    refusing: bool = False
    held_until: Micros | None = None
    held_status: int | None = None
    hold_delay_seconds: float = 0.0
    failed_to: Micros = 0
    older_until: Micros | None = None
    doubted: bool = False
    suspected: bool = False
