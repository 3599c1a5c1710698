-- A tenant whose filters cost more than its part of a step is routed from a position of its own ('' is no tenant).
CREATE TABLE route_aside (
    tenant TEXT NOT NULL PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Events may be routed late, so each link remembers the last event before it was made.
ALTER TABLE link ADD COLUMN after_event INTEGER NOT NULL DEFAULT 0;
