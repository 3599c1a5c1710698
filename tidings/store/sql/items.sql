-- Tables of items that no collection has.

-- name: discarded_tables
-- Their names, without quotes.
SELECT name FROM discarded_table ORDER BY name;

-- name: discarded_put (sqlite)
-- Tables that no collection has; `names` is a JSON array.
INSERT INTO discarded_table (name) SELECT value FROM json_each(:names) WHERE TRUE ON CONFLICT (name) DO NOTHING;

-- name: discarded_put (postgres)
-- Tables that no collection has; `names` is a JSON array.
INSERT INTO discarded_table (name) SELECT json_array_elements_text(CAST(:names AS JSON)) ON CONFLICT (name) DO NOTHING;

-- name: discarded_drop (sqlite)
-- They are collections' now, or they are gone; `names` is a JSON array.
DELETE FROM discarded_table WHERE name IN (SELECT value FROM json_each(:names));

-- name: discarded_drop (postgres)
-- They are collections' now, or they are gone; `names` is a JSON array.
DELETE FROM discarded_table WHERE name IN (SELECT json_array_elements_text(CAST(:names AS JSON)));
