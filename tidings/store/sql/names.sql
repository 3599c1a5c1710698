-- Single rows of the catalogue as the present transaction sees them; the snapshot in memory may be one commit older.

-- name: event_type_of
-- One event type.
SELECT name, description, schema, example, revision, created, updated, notes FROM event_type WHERE name = :name;

-- name: tenant_of
-- One tenant.
SELECT id, name, revision, created, updated, notes FROM tenant WHERE id = :id;

-- name: key_of
-- Whether a key exists, and when it was revoked.
SELECT id, revoked FROM key WHERE id = :id;

-- name: tenant_endpoints
-- How many endpoints a tenant still has.
SELECT COUNT(*) FROM link WHERE tenant = :tenant AND deleted IS NULL;

-- name: tenant_keys
-- How many keys a tenant still has.
SELECT COUNT(*) FROM key WHERE tenant = :tenant AND revoked IS NULL;
