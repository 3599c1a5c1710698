-- Declarations of collections. Statements on items are composed per collection (store/items/items.py).

-- name: collections
-- Every declaration.
SELECT name, declaration, revision, created, updated FROM collection;

-- name: collection_changed
-- One declaration, to be read again.
SELECT name, declaration, revision, created, updated FROM collection WHERE name = :name;

-- name: collections_changed (sqlite)
-- Some declarations, to be read again; `names` is a JSON array.
SELECT name, declaration, revision, created, updated FROM collection
WHERE name IN (SELECT value FROM json_each(:names));

-- name: collections_changed (postgres)
-- Some declarations, to be read again; `names` is a JSON array.
SELECT name, declaration, revision, created, updated FROM collection
WHERE name IN (SELECT json_array_elements_text(CAST(:names AS JSON)));

-- name: collection_revisions
-- What tells each declaration from all others that it had or will have.
SELECT name, revision, created FROM collection;

-- name: collections_put (sqlite)
-- Create or replace declarations; `rows` is a JSON array of objects.
INSERT INTO collection (name, declaration, revision, created, updated)
SELECT value ->> 'name', value ->> 'declaration', value ->> 'revision', value ->> 'created', value ->> 'updated'
FROM json_each(:rows) WHERE TRUE
ON CONFLICT (name) DO UPDATE SET declaration = excluded.declaration, revision = excluded.revision, updated = excluded.updated;

-- name: collections_put (postgres)
-- Create or replace declarations; `rows` is a JSON array of objects.
INSERT INTO collection (name, declaration, revision, created, updated)
SELECT name, declaration, revision, created, updated FROM json_to_recordset(CAST(:rows AS JSON))
    AS made (name TEXT, declaration TEXT, revision BIGINT, created BIGINT, updated BIGINT)
ON CONFLICT (name) DO UPDATE SET declaration = excluded.declaration, revision = excluded.revision, updated = excluded.updated;

-- name: collections_drop (sqlite)
-- Remove declarations; `names` is a JSON array.
DELETE FROM collection WHERE name IN (SELECT value FROM json_each(:names));

-- name: collections_drop (postgres)
-- Remove declarations; `names` is a JSON array.
DELETE FROM collection WHERE name IN (SELECT json_array_elements_text(CAST(:names AS JSON)));
