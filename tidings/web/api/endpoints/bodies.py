"""Endpoints as requests write them, and pages of them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tidings.model.link import Body, Order
from tidings.views.endpoints import EndpointView


class BatchPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of `batch`; null puts a field back to its default."""

    max_events: int | msgspec.UnsetType | None = msgspec.UNSET
    max_ms: int | msgspec.UnsetType | None = msgspec.UNSET
    max_bytes: int | msgspec.UnsetType | None = msgspec.UNSET


class ClientCertificatePatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of `client_certificate`; a renewed certificate may keep its key. Where none is stored, both are needed."""

    certificate: str | msgspec.UnsetType = msgspec.UNSET
    key: str | msgspec.UnsetType = msgspec.UNSET


class EndpointPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A merge patch: what is left out stays, null puts a field back to its default."""

    url: str | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType | None = msgspec.UNSET
    events: tuple[str, ...] | msgspec.UnsetType | None = msgspec.UNSET
    filter: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    headers: dict[str, str | None] | msgspec.UnsetType | None = msgspec.UNSET
    rate: float | msgspec.UnsetType | None = msgspec.UNSET
    max_in_flight: int | msgspec.UnsetType | None = msgspec.UNSET
    order: Order | msgspec.UnsetType | None = msgspec.UNSET
    order_max_age_seconds: int | msgspec.UnsetType | None = msgspec.UNSET
    batch: BatchPatch | msgspec.UnsetType | None = msgspec.UNSET
    body: Body | msgspec.UnsetType | None = msgspec.UNSET
    fields: tuple[str, ...] | msgspec.UnsetType | None = msgspec.UNSET
    timeout_seconds: float | msgspec.UnsetType | None = msgspec.UNSET
    retry_delays_seconds: tuple[float, ...] | msgspec.UnsetType | None = msgspec.UNSET
    give_up_on: tuple[int | str, ...] | msgspec.UnsetType | None = msgspec.UNSET
    ca: str | msgspec.UnsetType | None = msgspec.UNSET
    client_certificate: ClientCertificatePatch | msgspec.UnsetType | None = msgspec.UNSET


class PauseBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why it is paused, in words, for whoever looks later."""

    reason: str | None = None


class ResumeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of all that waited meanwhile."""

    missed: Literal["send", "cancel"] = "send"


class RotateBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the secret before is used beside the new one (default 24 hours); a secret of the caller's own."""

    overlap_seconds: int | None = None
    secret: str | None = None


class EndpointList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of endpoints."""

    data: list[EndpointView]
    next_cursor: str | None
    count: int | msgspec.UnsetType = msgspec.UNSET
