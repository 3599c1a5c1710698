-- Declarations of collections. Statements on items are composed per collection (store/items/items.py).

-- name: collections
SELECT name, declaration, revision, created, updated FROM collection;

-- name: collection_changed
SELECT name, declaration, revision, created, updated FROM collection WHERE name = :name;

-- name: collection_put
INSERT INTO collection (name, declaration, revision, created, updated)
VALUES (:name, :declaration, :revision, :created, :updated)
ON CONFLICT (name) DO UPDATE SET declaration = excluded.declaration, revision = excluded.revision, updated = excluded.updated;

-- name: collection_drop
DELETE FROM collection WHERE name = :name;
