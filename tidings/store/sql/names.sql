-- Single rows of the catalogue as the present transaction sees them; the snapshot in memory may be one commit older.

-- name: event_type_of
SELECT name, description, schema, example, revision, created, updated FROM event_type WHERE name = :name;

-- name: tenant_of
SELECT id, name, revision, created, updated FROM tenant WHERE id = :id;

-- name: key_of
SELECT id, revoked FROM key WHERE id = :id;

-- name: tenant_endpoints
SELECT COUNT(*) FROM link WHERE tenant = :tenant AND deleted IS NULL;

-- name: tenant_keys
SELECT COUNT(*) FROM key WHERE tenant = :tenant AND revoked IS NULL;
