-- Collections and the changes of their items. The items of each collection have a table of their own (tables.py).

CREATE TABLE collection (
    name TEXT NOT NULL PRIMARY KEY,
    declaration TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT;

-- The collection that a change event tells of; events that callers publish have none.
ALTER TABLE event ADD COLUMN collection TEXT;
CREATE INDEX event_by_collection ON event (collection, seq) WHERE collection IS NOT NULL;

ALTER TABLE key ADD COLUMN permits TEXT NOT NULL DEFAULT '[]';
