"""The operations on portal links. A link's token is shown once, when it is made; only its hash is stored."""

from __future__ import annotations

import msgspec

from tidings.control.portal.links import MadeLink, NewPortalLink
from tidings.rules.network.origin import public_url
from tidings.views.portal.links import CreatedPortalLink, PortalLinkView, RevokedLinks, created_link, link_view
from tidings.web.habits.once import run_once
from tidings.web.habits.paging import PAGING, Page, counted
from tidings.web.habits.shaping import sort_of
from tidings.web.operation import Answer, Operation, Request
from tidings.web.parts import Parts

TAG = "Portal"


class PortalLinkList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of portal links, newest first."""

    data: list[PortalLinkView]
    next_cursor: str | None
    count: int | msgspec.UnsetType = msgspec.UNSET


async def create_portal_link(parts: Parts, request: Request) -> Answer:
    """Make a link through which a tenant's people look after their own endpoints."""
    public = public_url(parts.settings.public_url)

    def answer(made: MadeLink) -> Answer:
        view = created_link(made, public.whole if public else "")
        return Answer(201, view, [("location", f"/v1/portal-links/{made.link.id}")])

    new = NewPortalLink() if request.body is None else request.body
    return await parts.portal.create(request.caller, request.path["id"], new, run_once(parts, request, answer))


async def list_portal_links(parts: Parts, request: Request) -> Answer:
    """A tenant's links, newest first by default."""
    page = Page.of(request, str)
    oldest_first, is_counted = not sort_of(request)[0].startswith("-"), bool(request.query.get("count"))
    tenant, limit = request.path["id"], page.limit + 1
    found = await parts.portal.page(
        request.caller, tenant, limit, page.after, oldest_first=oldest_first, counted=is_counted
    )
    shown, now = found.links[: page.limit], parts.clock.now()
    position = shown[-1].id if len(found.links) > len(shown) else None
    total = counted(found.total) if is_counted else None
    return page.answer([link_view(each, now) for each in shown], position, total)


async def get_portal_link(parts: Parts, request: Request) -> Answer:
    """Read one link."""
    return Answer(200, link_view(await parts.portal.find(request.caller, request.path["id"]), parts.clock.now()))


async def delete_portal_link(parts: Parts, request: Request) -> Answer:
    """End a link and its session."""
    await parts.portal.revoke(request.caller, request.path["id"], parts.writer.call)
    return Answer(204)


async def revoke_portal_links(parts: Parts, request: Request) -> Answer:
    """End every link of a tenant, with their sessions."""
    run = run_once(parts, request, _counted)
    return await parts.portal.revoke_all(request.caller, request.path["id"], run)


def _counted(count: int) -> Answer:
    return Answer(200, RevokedLinks(revoked=count))


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="list_portal_links",
        method="GET",
        path="/v1/tenants/{id}/portal-links",
        scope="keys:read",
        summary="List a tenant's portal links",
        handler=list_portal_links,
        tag=TAG,
        response=PortalLinkList,
        sorts=("-created", "created"),
        parameters=PAGING,
    ),
    Operation(
        name="create_portal_link",
        method="POST",
        path="/v1/tenants/{id}/portal-links",
        scope="keys:write",
        summary="Create a portal link, which lets a tenant's people manage their own endpoints",
        help=(
            "Open the `url` in a browser, or in a frame on a page from one of the `frame_origins`. The `url` can be "
            "opened only once, and is never shown again. A link grants only what your own key may do: with `may: "
            "read`, the key must be able to read endpoints, deliveries, events, event types and replays; with `may: "
            "change`, it must also be able to write endpoints, deliveries and replays."
        ),
        handler=create_portal_link,
        tag=TAG,
        request=NewPortalLink,
        request_optional=True,
        response=CreatedPortalLink,
        status=201,
        idempotent_key=True,
        secret=True,
        example={
            "expires_in": 3600,
            "may": "change",
            "frame_origins": ["https://app.example.com"],
            "theme": {"product": "Example Shop", "accent": "#0a7cff"},
        },
    ),
    Operation(
        name="revoke_portal_links",
        method="POST",
        path="/v1/tenants/{id}/portal-links:revoke-all",
        scope="keys:write",
        summary="Revoke all portal links of a tenant, and end their sessions",
        help="Your key needs the same scopes as for creating a link with `may: change`.",
        handler=revoke_portal_links,
        tag=TAG,
        response=RevokedLinks,
        idempotent_key=True,
    ),
    Operation(
        name="get_portal_link",
        method="GET",
        path="/v1/portal-links/{id}",
        scope="keys:read",
        summary="Read a portal link",
        handler=get_portal_link,
        tag=TAG,
        response=PortalLinkView,
    ),
    Operation(
        name="delete_portal_link",
        method="DELETE",
        path="/v1/portal-links/{id}",
        scope="keys:write",
        summary="Revoke a portal link, and end its session",
        help=(
            "The link's pages stop working from the next request on. The link's entry is kept for a week. Your key "
            "needs the scopes that the link grants."
        ),
        handler=delete_portal_link,
        tag=TAG,
        status=204,
    ),
)
