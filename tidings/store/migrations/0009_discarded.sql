-- Tables of items that no collection has: what a declaration has replaced or dropped, and what it is filling. They are
-- emptied and dropped beside the writes.
CREATE TABLE discarded_table (
    name TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;
