-- Counters and cursors belong to a journal; a change of the catalogue is written down, so that others than who made it hear of it.
ALTER TABLE cursor RENAME COLUMN shard TO journal;

-- What of the catalogue changed, in order: the kind of thing and its name. The catalogue's version is the last number.
CREATE TABLE catalog_change (
    number INTEGER NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL
) STRICT;

INSERT INTO cursor (name, journal, position) VALUES ('catalog', 0, 0);
