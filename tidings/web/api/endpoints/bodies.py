"""Endpoints as requests write them, and pages of them."""

from __future__ import annotations

from typing import Literal

import msgspec

from tidings.control.endpoints.body import EndpointBody
from tidings.model.link import Batch, ClientCertificate
from tidings.views.endpoints import EndpointView
from tidings.web.habits.edits import patch_of

BatchPatch = patch_of(Batch, "BatchPatch", "Part of `batch`; null resets a member to its default.")
ClientCertificatePatch = patch_of(
    ClientCertificate,
    "ClientCertificatePatch",
    "Part of `client_certificate`. A renewed certificate may keep its key; if no certificate is stored yet, "
    "give both it and its key.",
)
EndpointPatch = patch_of(
    EndpointBody,
    "EndpointPatch",
    "A merge patch: omitted members keep their values, and null resets a member to its default.",
    {"headers": dict[str, str | None], "batch": BatchPatch | None, "client_certificate": ClientCertificatePatch | None},
)


class PauseBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why it is paused, in words, for anyone who checks later."""

    reason: str | None = None


class ResumeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do with the deliveries that waited in the meantime."""

    missed: Literal["send", "cancel"] = "send"


class RotateBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the previous secret also signs (24 hours by default), and optionally your own new secret."""

    overlap_seconds: int | None = None
    secret: str | None = None


class EndpointList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of endpoints."""

    data: list[EndpointView]
    next_cursor: str | None
    count: int | msgspec.UnsetType = msgspec.UNSET
