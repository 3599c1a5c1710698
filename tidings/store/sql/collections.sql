-- Declarations of collections. Statements on items are composed per collection (store/items/items.py).

-- name: collections
-- Every declaration.
SELECT name, declaration, revision, created, updated FROM collection;

-- name: collection_changed
-- One declaration, to be read again.
SELECT name, declaration, revision, created, updated FROM collection WHERE name = :name;

-- name: collection_put
-- Create or replace a declaration.
INSERT INTO collection (name, declaration, revision, created, updated)
VALUES (:name, :declaration, :revision, :created, :updated)
ON CONFLICT (name) DO UPDATE SET declaration = excluded.declaration, revision = excluded.revision, updated = excluded.updated;

-- name: collection_drop
-- Remove a declaration.
DELETE FROM collection WHERE name = :name;
