-- Mirrors: other systems' records as last seen, one mirror for each type of events. `sweep` counts full reads.
CREATE TABLE mirror (
    number INTEGER NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    type TEXT NOT NULL,
    sweep INTEGER NOT NULL,
    sweeping INTEGER NOT NULL,
    UNIQUE (tenant, type)
) STRICT;
CREATE TABLE mirrored (
    mirror INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    digest TEXT NOT NULL,
    seen INTEGER NOT NULL,
    PRIMARY KEY (mirror, key)
) STRICT, WITHOUT ROWID;

-- How far each poll has read, by the name of its link: an edit, and a link that is declared again, continue there.
CREATE TABLE poll (
    link TEXT NOT NULL PRIMARY KEY,
    cursor TEXT,
    filled INTEGER NOT NULL,
    swept INTEGER,
    run TEXT,
    page INTEGER NOT NULL
) STRICT;
