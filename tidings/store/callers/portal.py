"""Portal links, and the images that they show."""

from __future__ import annotations

import msgspec

from tidings.model.moment import Micros
from tidings.model.portal.link import PREFIX, Logo, PortalLink, PortalOptions
from tidings.store.base import Db, Row
from tidings.store.catalog import Catalog

FIRST, LAST = "", f"{PREFIX}_" + "z" * 26
"""Below and above every id."""
COUNTED_MAX = 100_000

_OPTIONS = msgspec.json.Decoder(PortalOptions)


def put(db: Db, link: PortalLink, logo: Logo | None) -> None:
    """Keep a new link and its image, as a write job."""
    if logo is not None:
        db.run("portal_logo_put", **msgspec.structs.asdict(logo))
    db.run(
        "portal_link_put",
        id=link.id,
        tenant=link.tenant,
        hash=link.hash,
        options=msgspec.json.encode(link.options).decode(),
        logo=None if logo is None else logo.hash,
        created=link.created,
        expires=link.expires,
    )


def find(db: Db, ident: str) -> PortalLink | None:
    """One link."""
    row = db.one("portal_link_of", id=ident)
    return None if row is None else _link(row)


def page(
    db: Db, tenant: str, count: int, *, after: str = FIRST, before: str = LAST, oldest_first: bool = False
) -> list[PortalLink]:
    """A page of a tenant's links, by time."""
    statement = "portal_links_page_up" if oldest_first else "portal_links_page"
    return [_link(row) for row in db.all(statement, tenant=tenant, after=after, before=before, count=count)]


def count(db: Db, tenant: str) -> int | None:
    """How many links a tenant has; None if there are too many to count."""
    row = db.one("portal_links_count", tenant=tenant, most=COUNTED_MAX + 1)
    total = 0 if row is None else int(row[0])
    return total if total <= COUNTED_MAX else None


def logo(db: Db, ident: str) -> Logo | None:
    """The image that a link shows."""
    row = db.one("portal_logo_of", id=ident)
    return None if row is None else Logo(row[0], row[1], bytes(row[2]))


def note_opened(db: Db, ident: str, session: str, now: Micros, until: Micros) -> None:
    """Note that a link was opened, as a write job. `session`: the id of its key."""
    db.run("portal_link_open", id=ident, session=session, now=now, session_expires=until)


def revoke(db: Db, catalog: Catalog, link: PortalLink, now: Micros) -> None:
    """End a link and its session, as a write job."""
    db.run("portal_link_revoke", id=link.id, now=now)
    if link.session is not None:
        catalog.revoke_key(db, link.session, now)


def revoke_all(db: Db, catalog: Catalog, tenant: str, now: Micros) -> int:
    """End every link of a tenant, with their sessions, as a write job; returns how many there were."""
    links = [_link(row) for row in db.all("portal_links_open", tenant=tenant, now=now)]
    for link in links:
        revoke(db, catalog, link, now)
    return len(links)


def sessions(db: Db, tenant: str) -> int:
    """How many of a tenant's keys belong to sessions and are not revoked."""
    row = db.one("portal_sessions_of_tenant", tenant=tenant)
    return 0 if row is None else int(row[0])


def prune_sessions(db: Db, catalog: Catalog, before: Micros, count: int) -> int:
    """Drop the keys of sessions that ended before a time; returns how many."""
    idents = [row[0] for row in db.all("prune_portal_sessions", before=before, count=count)]
    catalog.drop_keys(db, idents)
    return len(idents)


def prune(db: Db, before: Micros, count: int) -> int:
    """Drop links that ended before a time and whose sessions' keys were dropped; returns how many."""
    rows = db.all("prune_portal_candidates", before=before, count=count)
    for row in rows:
        db.run("prune_portal_link", id=row[0])
    if rows:
        db.run("prune_portal_logos")
    return len(rows)


def _link(row: Row) -> PortalLink:
    ident, tenant, digest, options, created, expires, opened, session, session_expires, revoked = row
    return PortalLink(
        id=ident,
        tenant=tenant,
        hash=digest,
        options=_OPTIONS.decode(options),
        created=created,
        expires=expires,
        opened=opened,
        session=session,
        session_expires=session_expires,
        revoked=revoked,
    )
