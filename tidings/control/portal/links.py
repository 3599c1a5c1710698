"""Portal links: make them for a tenant's people, open each once, and end them.

Opening a link starts a session: an ordinary key of the tenant, with the scopes that the link grants and for a day at
most. So whatever keeps tenants apart keeps sessions apart too.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from tidings.model.access import TENANT_RULE, Caller, Key, is_tenant, key_hash
from tidings.model.errors import NotFound, Unauthorized
from tidings.model.ids import ALPHABET, ID_CHARS, made_at, new_id
from tidings.model.moment import HOUR, SECOND, Clock, Micros
from tidings.model.portal.link import PREFIX, SCOPES, Logo, May, PortalLink, PortalOptions, Theme
from tidings.rules.network.origin import ANY, origins
from tidings.rules.portal import theme as themes
from tidings.rules.reading.refused import Refused
from tidings.store.base import Db, R, Run
from tidings.store.callers import portal as store
from tidings.store.catalog import Catalog
from tidings.store.readers import Readers

READ, WRITE = "keys:read", "keys:write"
"""The scopes for portal links. A link gives access like a key, so the scopes for keys decide who may create one."""
EXPIRES_SECONDS, EXPIRES_SECONDS_MIN, EXPIRES_SECONDS_MAX = 3600, 60, 7 * 86_400
SESSION: Micros = 24 * HOUR
STRANGERS = "-portal-"
"""The queue in which portal links are looked up for people without a key, so that a flood of these look-ups delays
only itself."""
FRAME_ORIGINS_MAX = 16
URL_CHARS_MAX = 2_000
RETURN_URL_PATTERN = r"^([Hh][Tt][Tt][Pp][Ss]?://[A-Za-z0-9._~:\[\]-]+(/[!#-;=?-\[\]^-~]*)?)?$"

_ID = re.compile(rf"{PREFIX}_[{ALPHABET}]{{{ID_CHARS}}}")
_RETURN_URL = re.compile(RETURN_URL_PATTERN)
UNKNOWN = "This portal link is not valid. Go back to where you got it, and ask for a new one."


class NewPortalLink(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A portal link to create. It can be opened once, within `expires_in` seconds; the session that follows lasts 24
    hours. `may`: whether people can change their endpoints, or only view them. Only pages of the `frame_origins` can
    show the portal in a frame. `return_url` is the page to which the portal links back.
    """

    expires_in: int = EXPIRES_SECONDS
    may: May = "change"
    frame_origins: tuple[str, ...] = ()
    theme: Theme = Theme()
    return_url: str = ""


class MadeLink(msgspec.Struct, frozen=True):
    """A new link with its token, which is shown only here and not stored."""

    link: PortalLink
    token: str


class PortalSession(NamedTuple):
    """The result of opening a link: the key, with its text, which is shown only here and not stored."""

    key: Key
    text: str
    link: PortalLink


class LinkPage(NamedTuple):
    """Some links of a tenant; `total`: how many there are in all, if requested and not too many to count."""

    links: list[PortalLink]
    total: int | None


class PortalLinks:
    """What callers may do with portal links, and how these are opened. Belongs to one event loop."""

    def __init__(
        self,
        catalog: Catalog,
        readers: Readers,
        clock: Clock,
        token: Callable[[], str] = lambda: secrets.token_urlsafe(32),
    ) -> None:
        self._catalog, self._readers, self._clock, self._token = catalog, readers, clock, token

    # --- for those who make them --------------------------------------------------------------------------------------

    async def create(self, caller: Caller, tenant: str, new: NewPortalLink, run: Run[MadeLink, R]) -> R:
        """Make a link. Raises NotFound, Invalid, or Forbidden if the caller's key lacks a scope that it grants."""
        self._check_caller(caller, WRITE, tenant)
        check_may(caller, new.may)
        options, logo = _checked(new, caller.key)
        now, token = self._clock.now(), self._token()
        ident = new_id(PREFIX, now)
        link = PortalLink(
            id=ident,
            tenant=tenant,
            hash=key_hash(token),
            options=options,
            created=made_at(ident),  # lists are in the order of ids, which know milliseconds
            expires=now + new.expires_in * SECOND,
        )

        def job(db: Db) -> MadeLink:
            store.put(db, link, logo)
            return MadeLink(link, token)

        return await run(job)

    async def page(
        self, caller: Caller, tenant: str, limit: int, after: str | None, *, oldest_first: bool, counted: bool
    ) -> LinkPage:
        """A page of a tenant's links after `after`. Raises NotFound."""
        self._check_caller(caller, READ, tenant)
        where = {} if after is None else {"after" if oldest_first else "before": after}

        def read(db: Db) -> LinkPage:
            links = store.page(db, tenant, limit, oldest_first=oldest_first, **where)
            return LinkPage(links, store.count(db, tenant) if counted else None)

        return await self._readers.call(read, caller.tenant)

    async def find(self, caller: Caller, ident: str, scope: str = READ) -> PortalLink:
        """One link. Raises NotFound, also if it belongs to another tenant."""
        caller.need(scope)
        link = await self._known(ident)
        if link is None or not caller.sees(link.tenant):
            raise NotFound(f"There is no portal link {ident[:64]}.")
        return link

    async def revoke(self, caller: Caller, ident: str, run: Run[None, R]) -> R:
        """End a link and its session. Raises NotFound, or Forbidden if the caller's key could not make this link."""
        link, now = await self.find(caller, ident, WRITE), self._clock.now()
        check_may(caller, link.options.may)

        def job(db: Db) -> None:
            store.revoke(db, self._catalog, store.find(db, link.id) or link, now)

        return await run(job)

    async def revoke_all(self, caller: Caller, tenant: str, run: Run[int, R]) -> R:
        """End every link of a tenant, with their sessions; returns how many.

        Raises NotFound, or Forbidden unless the caller's key could make links of both kinds.
        """
        self._check_caller(caller, WRITE, tenant)
        check_may(caller, "change")
        now = self._clock.now()
        return await run(lambda db: store.revoke_all(db, self._catalog, tenant, now))

    # --- for those who have one ---------------------------------------------------------------------------------------

    async def shown(self, ident: str) -> PortalLink:
        """A link by its public id, which says how its pages look and who may frame them. Raises NotFound."""
        link = await self._known(ident)
        if link is None:
            raise NotFound(UNKNOWN, code="portal_link_unknown")
        return link

    async def logo(self, ident: str) -> Logo:
        """The image that a link shows. Raises NotFound."""
        logo = await self._readers.brief(lambda db: store.logo(db, ident), STRANGERS, single=True)
        if logo is None:
            raise NotFound("This portal has no logo.")
        return logo

    async def open(self, ident: str, token: str, run: Run[PortalSession, R]) -> R:
        """Exchange a link's token for a session, once. Raises Unauthorized with the reason.

        Only those who have its token learn why a link cannot be opened.
        """
        digest = key_hash(token)
        link = await self._known(ident)
        if link is None or not hmac.compare_digest(link.hash, digest):
            raise Unauthorized(UNKNOWN, code="portal_link_unknown")
        now, text = self._clock.now(), "tdk_" + self._token()

        def job(db: Db) -> PortalSession:
            present = store.find(db, ident)
            if present is None:
                raise Unauthorized(UNKNOWN, code="portal_link_unknown")
            _check_open(present, now)
            key = _session_key(present, text, now)
            self._catalog.put_key(db, key)
            assert key.expires is not None
            store.note_opened(db, ident, key.id, now, key.expires)
            return PortalSession(key, text, present)

        return await run(job)

    async def _known(self, ident: str) -> PortalLink | None:
        if not _ID.fullmatch(ident):
            return None
        return await self._readers.brief(lambda db: store.find(db, ident), STRANGERS, single=True)

    def _check_caller(self, caller: Caller, scope: str, tenant: str) -> None:
        caller.need(scope)
        if not is_tenant(tenant) or not caller.sees(tenant):
            raise NotFound(f"There is no tenant {tenant[:64]}. {TENANT_RULE}")


def check_may(caller: Caller, may: May) -> None:
    """Raise Forbidden if the caller's key lacks a scope that such a link grants."""
    for scope in SCOPES[may]:
        caller.need(scope)


def _check_open(link: PortalLink, now: Micros) -> None:
    """Raise Unauthorized unless the link can be opened now."""
    if link.revoked is not None:
        raise Unauthorized(
            "This portal link was revoked. Go back to where you got it, and ask for a new one.",
            code="portal_link_revoked",
        )
    if link.opened is not None:
        raise Unauthorized(
            "This portal link was already opened, and each link works only once. Go back to where you got it, and ask "
            "for a new one. If you did not open it, tell the people who gave it to you: they can end the session.",
            code="portal_link_used",
        )
    if link.expires <= now:
        raise Unauthorized(
            "This portal link has expired. Go back to where you got it, and ask for a new one.",
            code="portal_link_expired",
        )


def _session_key(link: PortalLink, text: str, now: Micros) -> Key:
    """The key of a session. It grants no more, and lasts no longer, than the key that made the link."""
    options, until = link.options, now + SESSION
    return Key(
        id=new_id("key", now),
        hash=key_hash(text),
        name=f"portal {link.id}",
        scopes=SCOPES[options.may],
        tenant=link.tenant,
        expires=until if options.session_until is None else min(until, options.session_until),
        created=now,
        shared_limits=options.shared_limits,
    )


def _checked(new: NewPortalLink, maker: Key) -> tuple[PortalOptions, Logo | None]:
    """A new link as stored, and its image. Raises Refused with the wrong place."""
    if not EXPIRES_SECONDS_MIN <= new.expires_in <= EXPIRES_SECONDS_MAX:
        detail = f"expires_in must be from {EXPIRES_SECONDS_MIN} to {EXPIRES_SECONDS_MAX:,} seconds."
        raise Refused("/expires_in", "out_of_range", detail)
    if len(new.frame_origins) > FRAME_ORIGINS_MAX:
        raise Refused("/frame_origins", "too_many", f"There may be at most {FRAME_ORIGINS_MAX} origins.")
    found = origins(new.frame_origins, "/frame_origins")
    for index, each in enumerate(found):
        if each == ANY or not each.startswith(("https://", "http://")):
            detail = (
                "List each origin whose pages may show the portal, such as https://app.example.com. * is not allowed."
            )
            raise Refused(f"/frame_origins/{index}", "origin", detail)
    if len(new.return_url) > URL_CHARS_MAX or not _RETURN_URL.fullmatch(new.return_url):
        detail = "return_url must be a percent-encoded http or https URL, such as https://app.example.com/settings."
        raise Refused("/return_url", "url", detail)
    theme, logo = themes.checked(new.theme)
    options = PortalOptions(
        may=new.may,
        frame_origins=found,
        theme=theme,
        return_url=new.return_url,
        maker=maker.id,
        shared_limits=maker.passed_on,
        session_until=maker.expires,
    )
    return options, logo
