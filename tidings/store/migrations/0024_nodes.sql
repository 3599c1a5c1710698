-- The servers that share a PostgreSQL database: which one works, which stand by, and when each was last heard of.
-- Times are microseconds by the database's clock, so that the servers' clocks need not agree.

CREATE TABLE node (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    started INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    session INTEGER,
    session_started INTEGER
) STRICT;
