"""Endpoints as requests write them, and pages of them."""

from __future__ import annotations

from typing import Literal

import msgspec

from tidings.control.endpoints.body import EndpointBody
from tidings.model.link import Batch, ClientCertificate
from tidings.views.endpoints import EndpointView
from tidings.web.habits.edits import patch_of

BatchPatch = patch_of(Batch, "BatchPatch", "The members of `batch` to change; null resets a member to its default.")
ClientCertificatePatch = patch_of(
    ClientCertificate,
    "ClientCertificatePatch",
    "The members of `client_certificate` to change. If a renewed certificate has the same key as before, send only "
    "the certificate; if no key is stored yet, send both the certificate and its key.",
)
EndpointPatch = patch_of(
    EndpointBody,
    "EndpointPatch",
    "A merge patch: omitted members keep their values, and null resets a member to its default.",
    {"headers": dict[str, str | None], "batch": BatchPatch | None, "client_certificate": ClientCertificatePatch | None},
)


class PauseBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why the endpoint is paused, for people who check later."""

    reason: str | None = None


class ResumeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do with the deliveries that are waiting."""

    missed: Literal["send", "cancel"] = "send"


class RotateBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how long the previous secret also signs (24 hours by default), and optionally the new secret."""

    overlap_seconds: int | None = None
    secret: str | None = None


class EndpointList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of endpoints."""

    data: list[EndpointView]
    next_cursor: str | None
    count: int | msgspec.UnsetType = msgspec.UNSET
