-- Facts about the store as a whole.

-- name: store_fact
-- One fact.
SELECT value FROM store WHERE name = :name;

-- name: store_fact_put
-- Write a fact down, unless it is already so.
INSERT INTO store (name, value) VALUES (:name, :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE store.value <> excluded.value;

-- name: any_link
-- Whether there is any link at all.
SELECT 1 FROM link LIMIT 1;
