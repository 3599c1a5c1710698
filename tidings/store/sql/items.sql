-- Tables of items that no collection has.

-- name: discarded_tables
-- Their names, without quotes.
SELECT name FROM discarded_table ORDER BY name;

-- name: discarded_put
-- A table that no collection has.
INSERT INTO discarded_table (name) VALUES (:name) ON CONFLICT (name) DO NOTHING;

-- name: discarded_drop
-- It is a collection's now, or it is gone.
DELETE FROM discarded_table WHERE name = :name;
