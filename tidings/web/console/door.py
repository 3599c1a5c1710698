"""The console's door, `/console`: signing in and out, pages, actions, live fragments, and the files of all pages."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from time import perf_counter
from typing import Any
from urllib.parse import urlencode

import msgspec

from tidings.model.access import Key
from tidings.model.errors import NotFound, TidingsError, Unauthorized
from tidings.rules.network.origin import public_url
from tidings.web.callers.access import Access
from tidings.web.callers.arrivals import Arrivals
from tidings.web.callers.limits import Limits
from tidings.web.callers.shared_limits import SharedLimits
from tidings.web.console import kept
from tidings.web.console.pages.table import PAGES
from tidings.web.console.sessions import CODE_MARK, ConsoleSession, Sessions, set_cookie
from tidings.web.console.shown import Renderer
from tidings.web.console.visit import Done, PageRow, PageTable, PageVisit, View
from tidings.web.inside import Menu
from tidings.web.operation import Stream
from tidings.web.pages import assets
from tidings.web.pages.fields import POSTED_BYTES_MAX, read_fields, read_parameters
from tidings.web.pages.live import Live
from tidings.web.pages.policy import page_headers
from tidings.web.pages.senders import check_sender
from tidings.web.pages.sending import ALWAYS, PRIVATE, redirect, send, send_asset, send_page
from tidings.web.parts import Parts
from tidings.web.wire import problem
from tidings.web.wire.streaming import run_stream

log = logging.getLogger("tidings.web")

ROOT = "/console"
NAME = "console"
"""The name of the console's requests in the metrics."""
SIGN_IN, SIGN_OUT, LINK, LIVE, THEME = "/sign-in", "/sign-out", "/link", "/live", "/theme"


class At(msgspec.Struct, gc=False):
    """One request from the HTTP server."""

    scope: Any
    proto: Any
    headers: dict[str, str]
    path: str
    """The path below `/console`; empty for the first page."""
    request_id: str
    client: str
    session: ConsoleSession | None = None

    @property
    def is_partial(self) -> bool:
        """Whether htmx requests only what is inside the frame."""
        return "hx-request" in self.headers and "hx-history-restore-request" not in self.headers


class ConsoleDoor:
    """Takes everything at and below `/console`."""

    def __init__(self, parts: Parts, menu: Menu, access: Access, limits: Limits | SharedLimits) -> None:
        settings = parts.settings
        self._parts, self._menu, self._access, self._limits = parts, menu, access, limits
        self._arrivals = Arrivals(parts)
        self._public = public_url(settings.public_url)
        self._root = (self._public.prefix if self._public else "") + ROOT
        self._is_secure = self._public is not None and self._public.origin.startswith("https:")
        self._sessions = Sessions(parts.tickets.sealer("console"), parts.catalog, parts.clock)
        self._pages = PageTable(PAGES)
        self._shown = Renderer(self._root)
        self._live = Live()

    async def take(self, scope: Any, proto: Any) -> None:
        """Answer a request (RSGI 1.x)."""
        began = perf_counter()
        client = self._arrivals.caller(scope)
        path = scope.path[len(ROOT) :].rstrip("/")
        at = At(scope, proto, dict(scope.headers.items()), path, self._arrivals.next_id(began), client)
        is_refused, is_stream = False, path == LIVE
        try:
            self._arrivals.count(client)
            status = await self._take(at)
        except Exception as wrong:
            status, is_refused = await self._refuse(at, wrong), True
        self._arrivals.answered(NAME, status, None if is_stream else began)
        if is_refused:
            await self._parts.bodies.discard(proto, at.headers, status)

    async def _take(self, at: At) -> int:
        method, path = at.scope.method, at.path
        if path.startswith(f"/{assets.FOLDER}/") and method in ("GET", "HEAD"):
            return send_asset(at.proto, path[len(assets.FOLDER) + 2 :], at.headers)
        if path == LINK and method == "POST":
            return await self._make_link(at)
        at.session = self._sessions.find(at.headers.get("cookie", ""))
        if method in ("GET", "HEAD"):
            return await self._show(at)
        if method != "POST":
            raise NotFound("There is nothing here.")
        check_sender(at.headers, self._public)
        posted = await self._posted(at)
        if path == SIGN_IN:
            return await self._sign_in(at, posted)
        if path == THEME:
            return redirect(at.proto, self._back(posted), [self._shown.theme_cookie(posted, self._is_secure)])
        session = self._signed_in(at)
        if path == SIGN_OUT:
            self._sessions.end(session)
            return redirect(at.proto, self._root + SIGN_IN, [set_cookie("", self._root, is_secure=self._is_secure)])
        return await self._act(at, session, posted)

    # --- signing in --------------------------------------------------------------------------------------------------

    async def _sign_in(self, at: At, posted: dict[str, str]) -> int:
        text = posted.get("key", "").strip()
        try:
            key = await self._key(at, text)
        except TidingsError as wrong:
            page = self._shown.sign_in(at.headers, posted.get("to", ""), wrong.detail)
            headers = [*page_headers(), *problem.headers(wrong)]
            return await send_page(at.proto, wrong.status, page, headers, at.headers.get("accept-encoding", ""))
        cookie = set_cookie(self._sessions.begin(key), self._root, is_secure=self._is_secure)
        return redirect(at.proto, self._back(posted), [cookie])

    async def _key(self, at: At, text: str) -> Key:
        """The key that was pasted, or that a one-time code stands for. Wrong guesses count as at the API."""
        if not text:
            raise Unauthorized("Paste a key, such as the one that the server printed when it first started.")
        if not text.startswith(CODE_MARK):
            return await self._access.latest_key(f"Bearer {text}", at.client, self._parts.clock.now())
        try:
            return self._sessions.use(text)
        except Unauthorized as wrong:
            raise self._access.failed(at.client, self._parts.clock.now(), wrong) from None

    async def _make_link(self, at: At) -> int:
        """A link that signs in the holder of a key once, for `tidings console`."""
        key = await self._access.latest_key(at.headers.get("authorization"), at.client, self._parts.clock.now())
        base = self._public.whole if self._public else ""
        body = {"url": f"{base}{ROOT}{SIGN_IN}#{self._sessions.code(key)}"}
        return await send(at.proto, 201, msgspec.json.encode(body), [("content-type", "application/json")])

    def _signed_in(self, at: At) -> ConsoleSession:
        if at.session is None:
            raise Unauthorized("The session has ended. Sign in again.")
        return at.session

    def _back(self, posted: dict[str, str]) -> str:
        """Where to go after a form: always a page of ours, whatever was posted."""
        wanted = posted.get("to", "")
        is_ours = wanted == self._root or wanted.startswith((f"{self._root}/", f"{self._root}?"))
        return wanted if is_ours and wanted.isascii() and wanted.isprintable() else self._root

    # --- pages and actions -------------------------------------------------------------------------------------------

    async def _show(self, at: At) -> int:
        accepted = at.headers.get("accept-encoding", "")
        if at.path == SIGN_IN:
            page = self._shown.sign_in(at.headers, "", "")
            return await send_page(at.proto, 200, page, page_headers(), accepted)
        if at.session is None:
            return await self._ask_to_sign_in(at)
        if at.path == LIVE:
            return await self._follow(at, at.session)
        row, names = self._found(at.path, is_action=False)
        await self._count(at.session.key)
        view: Done | View = await row.run(self._visit(at, at.session, names, read_parameters(at.scope.query_string)))
        if isinstance(view, Done):
            return redirect(at.proto, self._root + view.to)
        return await self._send_view(at, row, view, 200)

    async def _act(self, at: At, session: ConsoleSession, posted: dict[str, str]) -> int:
        row, names = self._found(at.path, is_action=True)
        await self._count(session.key)
        if (asked := posted.pop("ask", "")) and not at.is_partial:
            return await self._send_view(at, row, kept.question(asked, at.path, posted), 200)
        visit = self._visit(at, session, names, read_parameters(at.scope.query_string), posted)
        try:
            done: Done | View = await row.run(visit)
        except TidingsError as wrong:
            status = await self._keep_form(at, session, posted, wrong)
            if status is None:
                raise
            return status
        if isinstance(done, View):
            return await self._send_view(at, row, done, 200)
        if done.notice:
            self._sessions.notice(session, done.notice)
        return redirect(at.proto, self._root + done.to)

    async def _keep_form(
        self, at: At, session: ConsoleSession, posted: dict[str, str], wrong: TidingsError
    ) -> int | None:
        """Show the form again on its page, as it was filled in. None if no page has it, or if that would not help."""
        if wrong.status not in kept.KEPT:
            return None
        for path in kept.places(at.path):
            found = self._pages.find(path, is_action=False)
            if found is None:
                continue
            row, names = found
            with contextlib.suppress(TidingsError):
                view = await row.run(self._visit(at, session, names, {}))
                shown = kept.refilled(view, at.path, posted, wrong) if isinstance(view, View) else None
                if shown is not None:
                    headers = [*problem.headers(wrong), ("hx-push-url", self._root + path)]
                    return await self._send_view(at, row, shown, wrong.status, headers)
        return None

    async def _send_view(
        self, at: At, row: PageRow, view: View, status: int, more: Sequence[tuple[str, str]] = ()
    ) -> int:
        assert at.session is not None
        notice = self._sessions.take_notice(at.session)
        page = self._shown.view(at.headers, at.session.key, self._here(at), row, view, notice, is_partial=at.is_partial)
        # A page that shows a secret is not compressed: how well it compresses would reveal something about the secret.
        accepted = "" if row.is_action else at.headers.get("accept-encoding", "")
        return await send_page(at.proto, status, page, [*page_headers(), *more], accepted)

    async def _count(self, key: Key) -> None:
        """Count a page as one call of its key, however many operations it takes. Raises LimitReached."""
        if key.limits or key.shared_limits:
            await self._limits.take(key)

    def _visit(
        self,
        at: At,
        session: ConsoleSession,
        names: dict[str, str],
        query: dict[str, str],
        posted: dict[str, str] | None = None,
    ) -> PageVisit:
        return PageVisit(self._parts, self._menu, session.key, names, query, posted or {}, at.request_id)

    def _found(self, path: str, *, is_action: bool) -> tuple[PageRow, dict[str, str]]:
        found = self._pages.find(path, is_action=is_action)
        if found is None:
            raise NotFound("There is no such page in the console.")
        return found

    async def _follow(self, at: At, session: ConsoleSession) -> int:
        """The live fragments of the page that the query names."""
        given = read_parameters(at.scope.query_string)
        path, _, query = given.get("page", "").partition("?")
        row, names = self._found(path.rstrip("/"), is_action=False)
        if not row.live:
            raise NotFound("This page has no live updates.")
        visit, key = self._visit(at, session, names, read_parameters(query)), session.key

        async def draw() -> str:
            return self._shown.fragment(key, row, await row.run(visit))

        what = (key.tenant, key.scopes, key.permits, path, query)
        pieces = self._live.follow(what, draw, lambda: self._sessions.is_open(session))
        with self._parts.open_calls.one_more(key):
            await run_stream(at.scope, at.proto, Stream(pieces), [*ALWAYS, PRIVATE], self._parts.feed)
        return 200

    async def _ask_to_sign_in(self, at: At) -> int:
        """The sign-in page. A link from another site carries no cookie, so the browser is sent here once more."""
        if at.path == LIVE or at.is_partial:
            raise Unauthorized("The session has ended. Sign in again.")
        accepted = at.headers.get("accept-encoding", "")
        if at.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            return await send_page(
                at.proto, 200, self._shown.again(at.headers, self._here(at)), page_headers(), accepted
            )
        page = self._shown.sign_in(at.headers, self._here(at), "")
        return await send_page(at.proto, 401, page, page_headers(), accepted)

    def _here(self, at: At) -> str:
        """The URL of the request, without parameters that concern only its transport."""
        text = at.scope.query_string
        return self._root + at.path + (f"?{text}" if text else "")

    async def _posted(self, at: At) -> dict[str, str]:
        tenant = at.session.key.tenant if at.session else None
        raw = await self._parts.bodies.read(at.proto, at.headers, POSTED_BYTES_MAX, tenant)
        return dict(read_fields(raw, at.headers.get("content-type", "")))

    async def _refuse(self, at: At, wrong: Exception) -> int:
        if not isinstance(wrong, TidingsError):
            log.error("%s the console failed", at.request_id, exc_info=wrong, extra={"request_id": at.request_id})
            wrong = problem.Internal(at.request_id)
        headers = [*page_headers(), *problem.headers(wrong), ("request-id", at.request_id)]
        if wrong.status == 401 and "hx-request" in at.headers:
            headers.append(("hx-redirect", f"{self._root}{SIGN_IN}?{urlencode({'to': self._root})}"))
        page = self._shown.problem(
            at.headers, at.session.key if at.session else None, self._here(at), wrong, is_partial=at.is_partial
        )
        return await send_page(at.proto, wrong.status, page, headers, at.headers.get("accept-encoding", ""))
