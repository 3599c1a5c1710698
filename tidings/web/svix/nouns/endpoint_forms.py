"""Endpoints between Svix's words and ours."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from tidings.control.endpoints.body import NewEndpoint
from tidings.control.svix.endpoints import EndpointNotes
from tidings.control.svix.notes import notes_of
from tidings.model import moment
from tidings.model.link import Endpoint
from tidings.rules.reading.refused import Refused
from tidings.rules.schemes.standard import SECRET, SIGNING_KEY
from tidings.web.operation import Request
from tidings.web.parts import Parts
from tidings.web.svix import channels
from tidings.web.svix.rows import application
from tidings.web.svix.shapes import EndpointIn, EndpointOut, EndpointPatch, EndpointUpdate

EVERY = ("*",)
TYPES, RATES = ("eventTypes", "filterTypes"), ("throttleRate", "rateLimit")
"""The name of a member, and its name in older versions."""


def fields_of(endpoint: Endpoint) -> dict[str, Any]:
    """The members that every form of an endpoint has."""
    own = notes_of(endpoint)
    kinds = UNSET if endpoint.events == EVERY else list(endpoint.events)
    rate = UNSET if endpoint.pacing.rate is None else max(1, round(endpoint.pacing.rate))
    _, wanted = channels.split(endpoint.filter)
    return {
        "id": endpoint.id,
        "uid": own.get("uid") or UNSET,
        "url": endpoint.what.url,
        "description": endpoint.description,
        "channels": UNSET if wanted is None else wanted,
        "filter_types": kinds,
        "event_types": kinds,
        "disabled": endpoint.mode != "enabled",
        "rate_limit": rate,
        "throttle_rate": rate,
        "version": endpoint.revision,
        "created_at": moment.to_text(endpoint.created),
        "updated_at": moment.to_text(endpoint.updated),
    }


def shown(endpoint: Endpoint) -> EndpointOut:
    """An endpoint."""
    return EndpointOut(**fields_of(endpoint), metadata=notes_of(endpoint).get("metadata", {}))


def find(parts: Parts, request: Request, scope: str = "endpoints:read") -> Endpoint:
    """The endpoint of the path, by id or uid, for a caller with this scope. Raises NotFound."""
    tenant = application(parts, request).id
    return parts.svix.endpoints.find(request.caller, tenant, request.path["endpoint_id"], scope)


def secret_of(text: str | None, pointer: str) -> str | None:
    """A signing secret as it is stored: Svix's may lack their prefix."""
    if text is None:
        return None
    if not text:
        raise Refused(pointer, "secret", "A secret is whsec_ followed by 24 to 64 bytes in base64.")
    return text if text.startswith((SECRET, SIGNING_KEY)) else SECRET + text


def new_endpoint(tenant: str, given: EndpointIn) -> NewEndpoint:
    """The endpoint to make. Its webhooks' body is only the payload. Raises Refused."""
    return NewEndpoint(
        tenant=tenant,
        url=given.url,
        description=given.description or "",
        events=_events(_one(TYPES, given.event_types, given.filter_types) or None),
        filter=channels.filter_of(given.channels),
        headers=given.headers or {},
        rate=_one(RATES, given.throttle_rate, given.rate_limit) or None,
        body="bare",
        svix_headers=True,
        secret=secret_of(given.secret, "/secret"),
    )


def patch_of(given: EndpointPatch, endpoint: Endpoint) -> dict[str, Any]:
    """Our merge patch for the members that are given."""
    texts = {"url": given.url, "description": given.description}
    patch: dict[str, Any] = {name: value for name, value in texts.items() if value is not UNSET}
    kinds = _one(TYPES, given.event_types, given.filter_types)
    if kinds is not UNSET:
        patch["events"] = _events(kinds)
    rate = _one(RATES, given.throttle_rate, given.rate_limit)
    if rate is not UNSET:
        patch["rate"] = rate
    if given.channels is not UNSET:
        own, _ = channels.split(endpoint.filter)
        patch["filter"] = channels.filter_of(given.channels, own)
    return patch


def whole(given: EndpointUpdate) -> EndpointPatch:
    """A patch of everything, which replaces an endpoint."""
    return EndpointPatch(
        url=given.url,
        description=given.description or "",
        channels=given.channels,
        event_types=_one(TYPES, given.event_types, given.filter_types),
        throttle_rate=_one(RATES, given.throttle_rate, given.rate_limit),
        metadata=given.metadata or {},
        uid=given.uid,
    )


def notes(given: EndpointIn | EndpointPatch) -> EndpointNotes:
    """The values that our own endpoints have no members for."""
    uid, former_id, disabled = given.uid, given.former_id, given.disabled is True
    metadata = given.metadata if isinstance(given, EndpointPatch) else given.metadata or {}
    return EndpointNotes(uid=uid, metadata=metadata, former_id=former_id, disabled=disabled)


def _one(names: tuple[str, str], value: Any, older: Any) -> Any:
    """A member that older versions call by another name. Raises Refused if both are given and differ."""
    if value and older and value != older:
        detail = (
            f"{names[0]} and {names[1]} are two names for the same value, but their values differ. Send only one of "
            f"them."
        )
        raise Refused(f"/{names[1]}", "wrong_value", detail)
    return older if value in (None, UNSET) and older is not UNSET else value


def _events(kinds: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(kinds)) if kinds else EVERY
