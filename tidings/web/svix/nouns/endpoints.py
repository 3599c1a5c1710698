"""Endpoints: kept as ours, with only the payload as the body, and `svix-*` headers next to `webhook-*`."""

from __future__ import annotations

from typing import Any

import msgspec

from tidings.control.svix.endpoints import EndpointNotes
from tidings.model.link import Endpoint, Secret
from tidings.rules.reading.refused import Refused, escaped
from tidings.web.habits.once import run_once
from tidings.web.operation import Answer, Operation, Request
from tidings.web.parts import Parts
from tidings.web.svix.nouns.endpoint_forms import (
    find,
    new_endpoint,
    notes,
    patch_of,
    secret_of,
    shown,
    whole,
)
from tidings.web.svix.paging import listed
from tidings.web.svix.rows import ORDER, PAGING, application, of_first_version, row, uid_of_path
from tidings.web.svix.shapes import (
    EndpointHeadersIn,
    EndpointHeadersOut,
    EndpointHeadersPatchIn,
    EndpointIn,
    EndpointOut,
    EndpointPatch,
    EndpointSecretOut,
    EndpointSecretRotateIn,
    EndpointUpdate,
    ListResponse,
)

TAG = "Endpoint"
READ, WRITE = "endpoints:read", "endpoints:write"
ALL, ONE = "/app/{app_id}/endpoint", "/app/{app_id}/endpoint/{endpoint_id}"


def _created(endpoint: Endpoint) -> Answer:
    return Answer(201, shown(endpoint))


async def list_endpoints(parts: Parts, request: Request) -> Answer:
    """List an application's endpoints."""
    tenant = application(parts, request)
    found = parts.endpoints.visible(request.caller, tenant.id)
    key = f"endpoints of {tenant.id}"
    return listed(request, key, found, lambda each: [each.created, each.num], shown, newest_first=True)


async def create(parts: Parts, request: Request) -> Answer:
    """Create an endpoint."""
    given: EndpointIn = request.body
    new = new_endpoint(application(parts, request).id, given)
    return await parts.svix.endpoints.create(request.caller, new, notes(given), run_once(parts, request, _created))


async def get(parts: Parts, request: Request) -> Answer:
    """Get an endpoint by its id or uid."""
    return Answer(200, shown(find(parts, request)))


async def patch(parts: Parts, request: Request) -> Answer:
    """Change part of an endpoint."""
    return await _edited(parts, request, request.body)


async def put(parts: Parts, request: Request) -> Answer:
    """Create an endpoint, or replace it."""
    given: EndpointUpdate = request.body
    tenant, ident = application(parts, request).id, request.path["endpoint_id"]
    if not parts.svix.endpoints.known(request.caller, tenant, ident):
        fresh = EndpointIn(**msgspec.structs.asdict(given) | {"uid": uid_of_path(given.uid, ident)})
        made = new_endpoint(tenant, fresh)
        return _created(await parts.svix.endpoints.create(request.caller, made, notes(fresh), parts.writer.call))
    changed = whole(given)
    changed.disabled = bool(given.disabled)
    return await _edited(parts, request, changed)


async def delete(parts: Parts, request: Request) -> Answer:
    """Delete an endpoint."""
    endpoint = find(parts, request, WRITE)
    await parts.endpoints.delete(request.caller, endpoint.id, None, parts.writer.call)
    return Answer(204)


async def get_secret(parts: Parts, request: Request) -> Answer:
    """Get an endpoint's signing secret."""
    endpoint = find(parts, request, WRITE)
    return Answer(200, EndpointSecretOut(key=parts.endpoints.secrets(request.caller, endpoint.id)[0].text))


async def rotate_secret(parts: Parts, request: Request) -> Answer:
    """Rotate an endpoint's signing secret; the old one keeps signing until its grace period ends."""
    given: EndpointSecretRotateIn = request.body
    endpoint = find(parts, request, WRITE)

    def done(secrets: list[Secret]) -> Answer:
        # The SDK's first version has no response; the second one reads the new secret from it.
        return Answer(204) if of_first_version(request) else Answer(200, EndpointSecretOut(key=secrets[0].text))

    run = run_once(parts, request, done)
    key, grace = secret_of(given.key, "/key"), given.grace_period_seconds
    return await parts.endpoints.rotate(request.caller, endpoint.id, key, grace, None, run)


async def get_headers(parts: Parts, request: Request) -> Answer:
    """Get the names of an endpoint's headers."""
    endpoint = find(parts, request)
    return Answer(200, EndpointHeadersOut(headers={}, sensitive=sorted(endpoint.what.sealed.headers)))


async def put_headers(parts: Parts, request: Request) -> Answer:
    """Replace an endpoint's headers."""
    given: EndpointHeadersIn = request.body
    endpoint = find(parts, request, WRITE)
    dropped: dict[str, Any] = dict.fromkeys(endpoint.what.sealed.headers)
    return await _with_headers(parts, request, endpoint, dropped | given.headers)


async def patch_headers(parts: Parts, request: Request) -> Answer:
    """Change some of an endpoint's headers."""
    given: EndpointHeadersPatchIn = request.body
    endpoint, dropped = find(parts, request, WRITE), {name.lower() for name in given.delete_headers or ()}
    for name in given.headers:
        if name.lower() in dropped:
            raise Refused(f"/headers/{escaped(name)}", "wrong_value", f"{name} is also in deleteHeaders.")
    removed: dict[str, Any] = {name: None for name in endpoint.what.sealed.headers if name.lower() in dropped}
    return await _with_headers(parts, request, endpoint, removed | given.headers)


async def _with_headers(parts: Parts, request: Request, endpoint: Endpoint, headers: dict[str, Any]) -> Answer:
    # Names are alike whatever their case: a new spelling replaces the stored one.
    low = {name.lower() for name, value in headers.items() if value is not None}
    stored = endpoint.what.sealed.headers
    replaced = {name: None for name in stored if name.lower() in low and name not in headers}
    patch = {"headers": replaced | headers}
    await parts.svix.endpoints.edit(request.caller, endpoint, patch, EndpointNotes(), parts.writer.call)
    return Answer(204)


async def _edited(parts: Parts, request: Request, given: EndpointPatch) -> Answer:
    endpoint = find(parts, request, WRITE)
    if given.disabled is False and endpoint.mode != "enabled":
        # As at Svix, messages from the meantime are not delivered now; `recover` and `resend` do that.
        await parts.endpoints.resume(request.caller, endpoint.id, "cancel", None, parts.writer.call)
    if given.secret and (secret := secret_of(given.secret, "/secret")) is not None:
        now = [each.text for each in parts.endpoints.secrets(request.caller, endpoint.id)]
        if secret != now[0]:
            await parts.endpoints.rotate(request.caller, endpoint.id, secret, 0, None, parts.writer.call)
    changed = await parts.svix.endpoints.edit(
        request.caller, endpoint, patch_of(given, endpoint), notes(given), parts.writer.call
    )
    return Answer(200, shown(changed))


OPERATIONS: tuple[Operation, ...] = (
    row(
        "v1.endpoint.list",
        "GET",
        ALL,
        READ,
        list_endpoints,
        tag=TAG,
        response=ListResponse[EndpointOut],
        parameters=(*PAGING, ORDER),
    ),
    row(
        "v1.endpoint.create", "POST", ALL, WRITE, create, tag=TAG, request=EndpointIn, response=EndpointOut, status=201
    ),
    row("v1.endpoint.get", "GET", ONE, READ, get, tag=TAG, response=EndpointOut),
    row(
        "v1.endpoint.update",
        "PUT",
        ONE,
        WRITE,
        put,
        tag=TAG,
        at_sender=True,
        request=EndpointUpdate,
        response=EndpointOut,
    ),
    row(
        "v1.endpoint.patch",
        "PATCH",
        ONE,
        WRITE,
        patch,
        tag=TAG,
        at_sender=True,
        request=EndpointPatch,
        response=EndpointOut,
    ),
    row("v1.endpoint.delete", "DELETE", ONE, WRITE, delete, tag=TAG, at_sender=True, status=204),
    row("v1.endpoint.get-secret", "GET", f"{ONE}/secret", WRITE, get_secret, tag=TAG, response=EndpointSecretOut),
    row(
        "v1.endpoint.rotate-secret",
        "POST",
        f"{ONE}/secret/rotate",
        WRITE,
        rotate_secret,
        tag=TAG,
        at_sender=True,
        request=EndpointSecretRotateIn,
        response=EndpointSecretOut,
        secret=True,
    ),
    row("v1.endpoint.get-headers", "GET", f"{ONE}/headers", READ, get_headers, tag=TAG, response=EndpointHeadersOut),
    row(
        "v1.endpoint.update-headers",
        "PUT",
        f"{ONE}/headers",
        WRITE,
        put_headers,
        tag=TAG,
        at_sender=True,
        request=EndpointHeadersIn,
        status=204,
    ),
    row(
        "v1.endpoint.patch-headers",
        "PATCH",
        f"{ONE}/headers",
        WRITE,
        patch_headers,
        tag=TAG,
        at_sender=True,
        request=EndpointHeadersPatchIn,
        status=204,
    ),
)
