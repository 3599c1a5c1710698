"""The portal's door, `/portal/...`.

A page comes in two steps. A browser that opens a URL gets the frame: it contains nothing of the tenant's, so it
needs no key, and its policy names the sites that may frame it. The frame's script exchanges the token in the URL's
fragment for a session, once, and then requests the content of the frame, with the session as `Authorization`. There is
no cookie, so there is nothing that another site could make a browser send.
"""

from __future__ import annotations

import logging
from time import perf_counter
from typing import Any

import msgspec

from tidings.control.portal.links import PortalSession
from tidings.model import moment
from tidings.model.access import Key
from tidings.model.errors import BadMedia, Malformed, NotAllowed, NotFound, TidingsError, Unauthorized
from tidings.model.portal.link import PortalLink
from tidings.rules.network.origin import public_url
from tidings.web.callers.access import Access
from tidings.web.callers.arrivals import Arrivals
from tidings.web.callers.limits import Limits
from tidings.web.callers.shared_limits import SharedLimits
from tidings.web.inside import Menu
from tidings.web.pages.assets import FOLDER
from tidings.web.pages.fields import POSTED_BYTES_MAX, read_fields, read_parameters
from tidings.web.pages.policy import page_headers
from tidings.web.pages.sending import send, send_asset, send_page
from tidings.web.parts import Parts
from tidings.web.portal.frame import Frame
from tidings.web.portal.pages.table import PAGES
from tidings.web.portal.visits import Next, PortalPage, PortalPages, PortalView, PortalVisit
from tidings.web.wire import problem

log = logging.getLogger("tidings.web")

ROOT = "/portal"
NAME = "portal"
"""The name of the portal's requests in the metrics."""
TOKEN_BYTES_MAX = 1_000
JSON = "application/json"
SESSION, THEME, LOGO = f"/{FOLDER}/session", f"/{FOLDER}/theme.css", f"/{FOLDER}/logo"
LOGO_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""A logo that is opened on its own cannot run anything."""
SESSION_ENDED = "This session has ended. Ask for a new link where you got the last one."


class Opening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Exchanges a link for a session."""

    token: str


class PortalDoor:
    """Takes everything below `/portal`."""

    def __init__(self, parts: Parts, menu: Menu, access: Access, limits: Limits | SharedLimits) -> None:
        settings = parts.settings
        self._parts, self._menu, self._access, self._limits = parts, menu, access, limits
        self._arrivals = Arrivals(parts)
        public = public_url(settings.public_url)
        self._root = (public.prefix if public else "") + ROOT
        self._pages, self._frame = PortalPages(PAGES), Frame(self._root)

    async def take(self, scope: Any, proto: Any) -> None:
        """Answer a request (RSGI 1.x)."""
        began = perf_counter()
        ident, slash, rest = scope.path[len(ROOT) + 1 :].partition("/")
        at = _At(
            scope,
            proto,
            dict(scope.headers.items()),
            ident,
            f"{slash}{rest}".rstrip("/"),
            self._arrivals.next_id(began),
        )
        at.client = self._arrivals.caller(scope)
        is_refused = False
        try:
            self._arrivals.count(at.client)
            status = await self._take(at)
        except Exception as wrong:
            status, is_refused = await self._refuse(at, wrong), True
        self._arrivals.answered(NAME, status, began)
        if is_refused:
            await self._parts.bodies.discard(proto, at.headers, status)

    async def _take(self, at: _At) -> int:
        method = "GET" if at.scope.method == "HEAD" else at.scope.method
        if at.ident == FOLDER and method == "GET":
            return send_asset(at.proto, at.path[1:], at.headers)
        if method not in ("GET", "POST"):
            raise NotAllowed("Pages are read with GET and changed with POST.", headers=[("allow", "GET, HEAD, POST")])
        at.link = await self._parts.portal.shown(at.ident)
        if at.path == SESSION and method == "POST":
            return await self._open(at, at.link)
        if at.path == THEME:
            sheet = self._frame.sheet(at.link).encode()
            return await send(at.proto, 200, sheet, [("content-type", "text/css; charset=utf-8")])
        if at.path == LOGO:
            return await self._logo(at)
        if method == "GET" and not at.is_partial:
            page = self._frame.whole(at.link)
            return await send_page(at.proto, 200, page, self._headers(at), at.headers.get("accept-encoding", ""))
        return await self._inside(at, at.link)

    async def _open(self, at: _At, link: PortalLink) -> int:
        """Exchange the link's token for a session."""
        raw = await self._parts.bodies.read(at.proto, at.headers, TOKEN_BYTES_MAX, None)
        if at.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
            raise BadMedia(f"Send the token as {JSON}.")
        try:
            given = msgspec.json.decode(raw, type=Opening)
        except msgspec.DecodeError:
            raise Malformed('Send {"token": "..."}.') from None
        try:
            opened: PortalSession = await self._parts.portal.open(link.id, given.token, self._parts.writer.call)
        except Unauthorized as wrong:
            raise self._access.failed(at.client, self._parts.clock.now(), wrong) from None
        assert opened.key.expires is not None
        told = {"session": opened.text, "expires": moment.to_text(opened.key.expires)}
        return await send(at.proto, 201, msgspec.json.encode(told), [("content-type", JSON)])

    async def _logo(self, at: _At) -> int:
        logo = await self._parts.portal.logo(at.ident)
        headers = [("content-type", logo.media), ("content-security-policy", LOGO_POLICY)]
        return await send(at.proto, 200, logo.content, headers)

    # --- inside the frame --------------------------------------------------------------------------------------------

    async def _inside(self, at: _At, link: PortalLink) -> int:
        """A page or an action, for a session of this link."""
        key = await self._session(at, link)
        if key.limits or key.shared_limits:
            await self._limits.take(key)
        is_action = at.scope.method == "POST"
        row, names = self._found(at.path, is_action=is_action)
        posted = await self._posted(at, key) if is_action else {}
        visit = self._visit(at, link, key, names, posted)
        done, notice, headers = await row.run(visit), "", self._headers(at)
        if isinstance(done, Next):
            path, _, query = done.path.partition("?")
            row, names = self._found(path, is_action=False)
            visit, notice = self._visit(at, link, key, names, {}, query), done.notice
            headers.append(("portal-location", f"{visit.root}{done.path}"))
            done = await row.run(visit)
            assert isinstance(done, PortalView)
        page = self._frame.inside(visit, done, notice)
        # A page that may contain a secret is not compressed: how well it compresses would reveal something about the
        # secret.
        accepted = "" if is_action else at.headers.get("accept-encoding", "")
        return await send_page(at.proto, done.status, page, headers, accepted)

    async def _session(self, at: _At, link: PortalLink) -> Key:
        """The key of the request, which must be that of the link's session. Raises Unauthorized or LimitReached."""
        try:
            key = await self._access.latest_key(at.headers.get("authorization"), at.client, self._parts.clock.now())
        except Unauthorized:
            raise Unauthorized(SESSION_ENDED, code="portal_session_ended") from None
        if key.id != link.session:
            raise Unauthorized(SESSION_ENDED, code="portal_session_ended")
        return key

    def _found(self, path: str, *, is_action: bool) -> tuple[PortalPage, dict[str, str]]:
        found = self._pages.find(path, is_action=is_action)
        if found is None:
            raise NotFound("There is no such page.")
        return found

    def _visit(
        self,
        at: _At,
        link: PortalLink,
        key: Key,
        names: dict[str, str],
        posted: dict[str, list[str]],
        query: str | None = None,
    ) -> PortalVisit:
        given = read_parameters(at.scope.query_string if query is None else query)
        root = f"{self._root}/{link.id}"
        return PortalVisit(self._parts, self._menu, key, link, root, names, given, posted, at.request_id)

    async def _posted(self, at: _At, key: Key) -> dict[str, list[str]]:
        raw = await self._parts.bodies.read(at.proto, at.headers, POSTED_BYTES_MAX, key.tenant)
        fields: dict[str, list[str]] = {}
        for name, value in read_fields(raw, at.headers.get("content-type", "")):
            fields.setdefault(name, []).append(value)
        return fields

    # --- refusing ----------------------------------------------------------------------------------------------------

    async def _refuse(self, at: _At, wrong: Exception) -> int:
        if not isinstance(wrong, TidingsError):
            log.error("%s the portal failed", at.request_id, exc_info=wrong, extra={"request_id": at.request_id})
            wrong = problem.Internal(at.request_id)
        headers = [*self._headers(at), *problem.headers(wrong)]
        if at.path == SESSION:
            body = msgspec.json.encode(problem.problem(wrong, at.request_id))
            return await send(at.proto, wrong.status, body, [*headers, ("content-type", problem.MEDIA)])
        if at.is_partial and at.link is not None:
            page = self._frame.problem(at.link, wrong)
        else:
            page = self._frame.nothing(wrong)
        return await send_page(at.proto, wrong.status, page, headers)

    def _headers(self, at: _At) -> list[tuple[str, str]]:
        """The headers of a page; only pages of the link's own origins may frame it."""
        origins = at.link.options.frame_origins if at.link is not None else ()
        return [*page_headers(origins), ("vary", "HX-Request"), ("request-id", at.request_id)]


class _At(msgspec.Struct, gc=False):
    """One request from the HTTP server."""

    scope: Any
    proto: Any
    headers: dict[str, str]
    ident: str
    """The link's public id."""
    path: str
    """The path below the link's id; empty for the first page."""
    request_id: str
    client: str = ""
    link: PortalLink | None = None

    @property
    def is_partial(self) -> bool:
        """Whether the frame requests its content."""
        return "hx-request" in self.headers
