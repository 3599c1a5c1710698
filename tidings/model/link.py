"""Links: arrows from events to calls. An endpoint is the link that a customer registers."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tidings.model.moment import Micros

Mode = Literal["enabled", "paused", "disabled"]
Order = Literal["none", "subject", "all"]
Body = Literal["standard", "cloudevents", "thin", "bare"]

ALL_TENANTS = "*"


class Batch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several events in one POST: at most `max_events` and `max_bytes` of body, sent after `max_ms` at the latest.

    An event whose own body is longer than `max_bytes` travels alone.
    """

    max_events: int = 100
    max_ms: int = 1000
    max_bytes: int = 1024 * 1024


class Options(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an endpoint's owner may choose. Stored as one JSON text."""

    url: str
    description: str = ""
    events: tuple[str, ...] = ("*",)
    filter: dict[str, Any] | None = None
    rate: float | None = None
    max_in_flight: int = 64
    order: Order = "none"
    order_max_age_seconds: int = 3600
    batch: Batch | None = None
    body: Body = "standard"
    fields: tuple[str, ...] | None = None
    timeout_seconds: float = 15.0
    retry_delays_seconds: tuple[float, ...] | None = None
    give_up_on: tuple[int | str, ...] = ()
    """Statuses, or "3xx", "4xx", "5xx", after which a delivery is dead at once."""


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """A signing secret: `whsec_...` or `whsk_...`; `expires` is set once a newer one has replaced it."""

    text: str
    created: Micros
    expires: Micros | None = None


class ClientCertificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What we show an endpoint that wants to know who calls, as PEM: a certificate (and its chain), and its key."""

    certificate: str
    key: str


class Sealed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is encrypted at rest: the secrets, newest first, the values of extra headers, and what TLS needs.

    `ca`: the only certificate authorities to trust for this endpoint, as PEM.
    """

    secrets: tuple[Secret, ...]
    headers: dict[str, str] = {}
    ca: str | None = None
    client_certificate: ClientCertificate | None = None


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One registered URL with its options, secrets and present mode."""

    num: int
    """Its number in the store; deliveries name it."""
    id: str
    tenant: str | None
    options: Options
    sealed: Sealed
    mode: Mode = "enabled"
    reason: str | None = None
    """Why it is paused or disabled, in words."""
    revision: int = 1
    created: Micros = 0
    updated: Micros = 0
    deleted: Micros | None = None
    after: int = 0
    """The last event before it was made: it gets later ones only, however late they are routed."""


_ONLY_CHOOSING = (
    *("description", "events", "filter", "rate", "max_in_flight", "order", "order_max_age_seconds"),
    *("retry_delays_seconds", "give_up_on"),
)
"""Options that say what is sent when, and nothing of the requests themselves."""


def changes_requests(before: Endpoint, after: Endpoint) -> bool:
    """Whether an edit changes what is sent, or how: its URL, headers, secrets, body ... So what failed may succeed."""
    return before.sealed != after.sealed or any(
        getattr(before.options, name) != getattr(after.options, name)
        for name in Options.__struct_fields__
        if name not in _ONLY_CHOOSING
    )


class LinkState(msgspec.Struct, frozen=True, kw_only=True):
    """What the deliver stage remembers of a link. `cursor`: it reads its own backlog from there; None: it follows."""

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
