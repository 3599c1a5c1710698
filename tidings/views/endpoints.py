"""Endpoints as answers and pages show them: with their health, without their secrets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tidings.control.endpoints.body import KEPT
from tidings.deliver.lane.view import LaneView
from tidings.model import moment
from tidings.model import outcome as outcomes
from tidings.model.calls.trial import Tried
from tidings.model.link import AnyLink, Batch, Body, Endpoint, Mode, Order, Secret, chosen
from tidings.rules.network import certificates
from tidings.rules.schemes import standard as sign
from tidings.views.times import time_text


class HealthView(msgspec.Struct, frozen=True, kw_only=True):
    """The health of an endpoint or link. `failing_since` is null if it is not failing. `next_probe`: it is failing, so
    nothing is sent before this time; null if it is not failing, or not enabled. `held_until`: the other side asked for
    a pause, so nothing is sent before this time; `held` explains why. `disables_at`: the first failure from this time
    on disables a failing endpoint, unless a delivery succeeds before.
    """

    failing_since: str | None = None
    fails: int = 0
    next_probe: str | None = None
    held_until: str | msgspec.UnsetType = msgspec.UNSET
    held: str | msgspec.UnsetType = msgspec.UNSET
    disables_at: str | msgspec.UnsetType = msgspec.UNSET


class CertificateView(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate as shown to callers. `fingerprint` is the SHA-256 of its DER form, in hex."""

    subject: str
    fingerprint: str
    expires: str


class EndpointView(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint. The values of `headers`, the signing secret and the client certificate's key are never shown."""

    id: str
    url: str
    description: str
    tenant: str | None
    events: tuple[str, ...]
    filter: dict[str, Any] | None
    headers: dict[str, str]
    rate: float | None
    max_in_flight: int
    order: Order
    order_max_age_seconds: int
    batch: Batch | None
    body: Body
    fields: tuple[str, ...] | None
    svix_headers: bool
    timeout_seconds: float
    retry_delays_seconds: tuple[float, ...] | None
    give_up_on: tuple[int | str, ...]
    ca: list[CertificateView] | None
    client_certificate: CertificateView | None
    state: Mode
    reason: str | None
    health: HealthView
    created: str
    updated: str
    revision: int
    waiting: int | msgspec.UnsetType = msgspec.UNSET


class OldSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A previous secret, which also signs until it expires."""

    secret: str
    expires: str | None


class SecretView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The signing secret. `public_key` (`whpk_...`) is present for ed25519 secrets."""

    secret: str
    previous: list[OldSecret]
    public_key: str | None = None


class TestView(msgspec.Struct, frozen=True, kw_only=True):
    """The test event, and its delivery if it already exists."""

    event_id: str
    delivery: str | None


class EndpointTrialView(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint that is not stored answered to a test event. `says` is a sentence; `answer` has the beginning
    of the response; `request_headers` are those that were sent, with the values of the endpoint's own headers masked.
    """

    works: bool
    outcome: str
    status: int | None
    duration_ms: int
    says: str
    answer: str
    request_headers: dict[str, str]


def trial_view(tried: Tried) -> EndpointTrialView:
    """The result of a trial."""
    return EndpointTrialView(
        works=tried.outcome is outcomes.OK,
        outcome=tried.outcome.name,
        status=tried.status,
        duration_ms=tried.duration_ms,
        says=tried.says,
        answer=tried.answer,
        request_headers=msgspec.json.decode(tried.headers),
    )


def endpoint_view(
    endpoint: Endpoint, lane: LaneView | None = None, waiting: int | msgspec.UnsetType = msgspec.UNSET
) -> EndpointView:
    """The answer form of an endpoint. `lane`: what the deliver stage holds of it."""
    ca, client = endpoint.what.sealed.ca, endpoint.what.sealed.client_certificate
    return EndpointView(
        **chosen(endpoint),
        id=endpoint.id,
        tenant=endpoint.tenant,
        headers=dict.fromkeys(endpoint.what.sealed.headers, KEPT),
        ca=None if ca is None else _certificates(ca),
        client_certificate=None if client is None else _certificates(client.certificate)[0],
        state=endpoint.mode,
        reason=endpoint.reason,
        health=health_view(lane, endpoint),
        created=moment.to_text(endpoint.created),
        updated=moment.to_text(endpoint.updated),
        revision=endpoint.revision,
        waiting=waiting,
    )


def health_view(lane: LaneView | None, link: AnyLink) -> HealthView:
    """The health of an endpoint or link. `lane`: None before anything was sent."""
    if lane is None:
        return HealthView()
    is_enabled = link.mode == "enabled"
    probe = lane.probe_at if lane.open and is_enabled else None
    if probe is not None and lane.held_until is not None:
        probe = max(probe, lane.held_until)
    view = HealthView(failing_since=time_text(lane.failing_since), fails=lane.fails, next_probe=time_text(probe))
    if lane.disables_at is not None and is_enabled and not link.name:
        view = msgspec.structs.replace(view, disables_at=moment.to_text(lane.disables_at))
    if lane.held_until is None:
        return view
    until = moment.to_text(lane.held_until)
    who = "The system that the link calls" if link.name else "The endpoint"
    why = f"{who} asked for a pause" if lane.held_status is None else f"{who} answered {lane.held_status}"
    held = f"{why}, so nothing is sent until {until}; no attempt is used up in the meantime."
    return msgspec.structs.replace(view, held_until=until, held=held)


def _certificates(text: str) -> list[CertificateView]:
    return [
        CertificateView(subject=each.subject, fingerprint=each.fingerprint, expires=each.expires)
        for each in certificates.summaries(text)
    ]


def secret_view(secrets: Sequence[Secret]) -> SecretView:
    """The secrets that sign now, newest first."""
    newest, *older = secrets
    previous = [OldSecret(secret=each.text, expires=time_text(each.expires)) for each in older]
    public = sign.public_key(newest.text) if newest.text.startswith(sign.SIGNING_KEY) else None
    return SecretView(secret=newest.text, previous=previous, public_key=public)
