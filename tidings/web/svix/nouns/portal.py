"""Access to the application portal: a portal link, and a token for this API; and whether the server responds."""

from __future__ import annotations

from tidings.control.portal.links import EXPIRES_SECONDS_MAX, MadeLink, NewPortalLink
from tidings.model.moment import SECOND
from tidings.model.portal.link import May
from tidings.rules.network.origin import ANY, public_url
from tidings.rules.reading.refused import Refused
from tidings.web.habits.once import run_once
from tidings.web.operation import Answer, Operation, Request
from tidings.web.parts import Parts
from tidings.web.svix.rows import application, application_or_new, row
from tidings.web.svix.shapes import ApplicationTokenExpireIn, AppPortalAccessIn, AppPortalAccessOut

TAG = "Authentication"
READS = frozenset({"ViewBase"})
CHANGES = READS | {"ViewEndpointSecret", "ManageEndpointSecret", "CreateAttempts", "ManageEndpoint"}
"""The capabilities of a read-only link, and of one that can change everything. There is nothing in between."""


async def access(parts: Parts, request: Request) -> Answer:
    """Get a link to the application's portal, and a token."""
    given: AppPortalAccessIn = request.body
    may = _may(given)
    if given.feature_flags:
        detail = "Tidings shows event types regardless of their feature flags; leave `featureFlags` out."
        raise Refused("/featureFlags", "not_permitted", detail)
    tenant = await application_or_new(parts, request, given.application)
    seconds = EXPIRES_SECONDS_MAX if given.expiry is None else given.expiry
    origins = [each for each in request.key.cors_origins if each != ANY and each.startswith(("http://", "https://"))]
    new = NewPortalLink(expires_in=seconds, may=may, frame_origins=tuple(origins[:16]))
    public = public_url(parts.settings.public_url)
    base = public.whole if public else f"http://{request.headers.get('host', '')}"

    def answer(made: MadeLink) -> Answer:
        token = parts.svix.tokens.make(request.key, tenant.id, may, parts.clock.now() + seconds * SECOND)
        return Answer(200, AppPortalAccessOut(url=f"{base}/portal/{made.link.id}#{made.token}", token=token))

    return await parts.portal.create(request.caller, tenant.id, new, run_once(parts, request, answer))


def _may(given: AppPortalAccessIn) -> May:
    """What the link permits. Raises Refused for capabilities that no link has."""
    if given.capabilities is None:
        return "read" if given.read_only else "change"
    asked = frozenset(given.capabilities) - {"ManageTransformations"}
    if asked not in (READS, CHANGES) or (given.read_only and asked != READS):
        detail = (
            f"Send the capabilities of a read-only link ({', '.join(sorted(READS))}), or of one that can change "
            f"everything ({', '.join(sorted(CHANGES))}); nothing in between is supported."
        )
        raise Refused("/capabilities", "not_permitted", detail)
    return "read" if asked == READS else "change"


async def expire_all(parts: Parts, request: Request) -> Answer:
    """Revoke all portal links and tokens of the application."""
    given: ApplicationTokenExpireIn = request.body
    if given.expiry:
        raise Refused("/expiry", "not_permitted", "Tidings revokes tokens at once; leave `expiry` out.")
    if given.session_ids:
        raise Refused(
            "/sessionIds",
            "not_permitted",
            "Tidings always revokes all tokens of an application; leave `sessionIds` out.",
        )
    tenant = application(parts, request)
    await parts.svix.applications.end_tokens(request.caller, tenant.id, parts.writer.call)
    await parts.portal.revoke_all(request.caller, tenant.id, parts.writer.call)
    return Answer(204)


async def health(parts: Parts, request: Request) -> Answer:
    """Check whether the server responds."""
    return Answer(204)


OPERATIONS: tuple[Operation, ...] = (
    *(
        row(
            f"v1.authentication.{name}",
            "POST",
            f"/auth/{name}/{{app_id}}",
            "keys:write",
            access,
            tag=TAG,
            request=AppPortalAccessIn,
            response=AppPortalAccessOut,
            secret=True,
        )
        # The second name is that of earlier versions.
        for name in ("app-portal-access", "dashboard-access")
    ),
    row(
        "v1.authentication.expire-all",
        "POST",
        "/auth/app/{app_id}/expire-all",
        "keys:write",
        expire_all,
        tag=TAG,
        request=ApplicationTokenExpireIn,
        status=204,
    ),
    row("v1.health.get", "GET", "/health", None, health, tag="Health", status=204),
)
