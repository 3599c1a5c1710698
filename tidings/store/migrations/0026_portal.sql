-- Portal links: how a tenant's people reach their own pages. `ends`: when neither the link nor its session can be used.

CREATE TABLE portal_link (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    hash TEXT NOT NULL,
    options TEXT NOT NULL,
    logo TEXT,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    opened INTEGER,
    session TEXT,
    session_expires INTEGER,
    revoked INTEGER,
    ends INTEGER NOT NULL
) STRICT;

CREATE INDEX portal_link_by_tenant ON portal_link (tenant, id);
CREATE INDEX portal_link_by_end ON portal_link (ends);
CREATE INDEX portal_link_by_logo ON portal_link (logo);

-- Images for portals, once each: `hash` is that of the content.
CREATE TABLE portal_logo (
    hash TEXT NOT NULL PRIMARY KEY,
    media TEXT NOT NULL,
    content BLOB NOT NULL
) STRICT;
