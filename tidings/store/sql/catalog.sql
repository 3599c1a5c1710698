-- The catalogue: what is in it, and what of it changed.

-- name: catalog_version
-- The number of the last change.
SELECT position FROM cursor WHERE name = 'catalog' AND journal = 0;

-- name: catalog_expect (postgres)
-- Fail (22012, which nothing else causes) if the last change is another one.
SELECT 1 / (position = CAST(:version AS BIGINT))::int FROM cursor WHERE name = 'catalog' AND journal = 0;

-- name: moving_share (postgres)
-- Whether this transaction may write items: no collection is being declared until it ends.
SELECT pg_try_advisory_xact_lock_shared(CAST(:lock AS BIGINT));

-- name: moving_hold (postgres)
-- Wait until no other node writes items, and keep them from it until it is released.
SELECT pg_advisory_lock(CAST(:lock AS BIGINT));

-- name: moving_held (postgres)
-- Whether this session has it so.
SELECT 1 FROM pg_locks AS l
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.pid = pg_backend_pid() AND l.mode = 'ExclusiveLock'
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (CAST(l.classid AS BIGINT) << 32 | CAST(l.objid AS BIGINT)) = CAST(:lock AS BIGINT);

-- name: moving_release (postgres)
-- Release it.
SELECT pg_advisory_unlock(CAST(:lock AS BIGINT));

-- name: catalog_lock (postgres)
-- Keep other nodes from changing anything.
SELECT position FROM cursor WHERE name = 'catalog' AND journal = 0 FOR UPDATE;

-- name: catalog_expect_collections (postgres)
-- Fail (22012) if a declaration of a collection has changed since this version.
SELECT 1 / (NOT EXISTS (SELECT 1 FROM catalog_change WHERE number > :version AND kind = 'collection'))::int;

-- name: wakes_look (postgres)
-- Where the events and the catalogue are.
SELECT name, position FROM cursor WHERE journal = 0 AND name IN ('event', 'catalog');

-- name: wakes_tell (postgres)
-- The same of what has moved, and tell all who listen; another schema may belong to another Tidings. `more` is said with it.
SELECT name, position, pg_notify('tidings_' || name, current_schema() || ' ' || name || ' ' || position || CAST(:more AS text)) FROM cursor
WHERE journal = 0 AND ((name = 'event' AND position > :event) OR (name = 'catalog' AND position > :catalog));

-- name: catalog_changes
-- What has changed after a version, in order.
SELECT number, kind, name FROM catalog_change WHERE number > :after ORDER BY number LIMIT :count;

-- name: catalog_changes_put (sqlite)
-- Write down changes, in the transaction that makes them; `names` is a JSON array.
INSERT INTO catalog_change (number, kind, name) SELECT :first + key, :kind, value FROM json_each(:names);

-- name: catalog_changes_put (postgres)
-- Write down changes, in the transaction that makes them; `names` is a JSON array.
INSERT INTO catalog_change (number, kind, name)
SELECT CAST(:first AS BIGINT) + place - 1, :kind, name
FROM json_array_elements_text(CAST(:names AS JSON)) WITH ORDINALITY AS made (name, place);

-- name: catalog_changes_drop
-- Forget changes that are too old for anybody to catch up with.
DELETE FROM catalog_change WHERE number <= :until;

-- name: links
-- Every link, deleted ones included.
SELECT num, id, kind, tenant, options, sealed, mode, reason, revision, created, updated, deleted, after_event FROM link;

-- name: links_declared
-- The links that operators have declared, without the deleted ones.
SELECT num, id, kind, tenant, options, sealed, mode, reason, revision, created, updated, deleted, after_event FROM link
WHERE kind <> 'endpoint' AND deleted IS NULL ORDER BY num;

-- name: endpoints_of_tenant
-- How many endpoints a tenant has.
SELECT COUNT(*) FROM link WHERE tenant = :tenant AND kind = 'endpoint' AND deleted IS NULL;

-- name: link_changed
-- One link, to be read again.
SELECT num, id, kind, tenant, options, sealed, mode, reason, revision, created, updated, deleted, after_event FROM link WHERE num = :name;

-- name: links_changed (sqlite)
-- Some links, to be read again; `names` is a JSON array of their numbers as texts.
SELECT num, id, kind, tenant, options, sealed, mode, reason, revision, created, updated, deleted, after_event FROM link
WHERE num IN (SELECT CAST(value AS INTEGER) FROM json_each(:names));

-- name: links_changed (postgres)
-- Some links, to be read again; `names` is a JSON array of their numbers as texts.
SELECT num, id, kind, tenant, options, sealed, mode, reason, revision, created, updated, deleted, after_event FROM link
WHERE num IN (SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(:names AS JSON)));

-- name: link_next
-- The number that the next link gets.
SELECT COALESCE(MAX(num), 0) + 1 FROM link;

-- name: links_put (sqlite)
-- Create or replace links; what never changes is left alone. `rows` is a JSON array of objects, with `sealed` in hex.
INSERT INTO link (num, id, kind, tenant, options, sealed, mode, reason, revision, created, updated, deleted, after_event)
SELECT value ->> 'num', value ->> 'id', value ->> 'kind', value ->> 'tenant', value ->> 'options', unhex(value ->> 'sealed'),
    value ->> 'mode', value ->> 'reason', value ->> 'revision', value ->> 'created', value ->> 'updated',
    value ->> 'deleted', value ->> 'after'
FROM json_each(:rows) WHERE TRUE
ON CONFLICT (num) DO UPDATE SET kind = excluded.kind, options = excluded.options, sealed = excluded.sealed, mode = excluded.mode,
    reason = excluded.reason, revision = excluded.revision, updated = excluded.updated, deleted = excluded.deleted;

-- name: links_put (postgres)
-- Create or replace links; what never changes is left alone. `rows` is a JSON array of objects, with `sealed` in hex.
INSERT INTO link (num, id, kind, tenant, options, sealed, mode, reason, revision, created, updated, deleted, after_event)
SELECT num, id, kind, tenant, options, decode(sealed, 'hex'), mode, reason, revision, created, updated, deleted, after
FROM json_to_recordset(CAST(:rows AS JSON)) AS made (
    num BIGINT, id TEXT, kind TEXT, tenant TEXT, options TEXT, sealed TEXT, mode TEXT, reason TEXT, revision BIGINT,
    created BIGINT, updated BIGINT, deleted BIGINT, after BIGINT
)
ON CONFLICT (num) DO UPDATE SET kind = excluded.kind, options = excluded.options, sealed = excluded.sealed, mode = excluded.mode,
    reason = excluded.reason, revision = excluded.revision, updated = excluded.updated, deleted = excluded.deleted;

-- name: links_delete (sqlite)
-- Mark links as deleted. `rows` is a JSON array of objects.
UPDATE link SET mode = gone.mode, reason = gone.reason, revision = gone.revision, updated = gone.updated, deleted = gone.deleted
FROM (
    SELECT value ->> 'num' AS num, value ->> 'mode' AS mode, value ->> 'reason' AS reason, value ->> 'revision' AS revision,
        value ->> 'updated' AS updated, value ->> 'deleted' AS deleted
    FROM json_each(:rows)
) AS gone WHERE link.num = gone.num;

-- name: links_delete (postgres)
-- Mark links as deleted. `rows` is a JSON array of objects.
UPDATE link SET mode = gone.mode, reason = gone.reason, revision = gone.revision, updated = gone.updated, deleted = gone.deleted
FROM json_to_recordset(CAST(:rows AS JSON)) AS gone (
    num BIGINT, mode TEXT, reason TEXT, revision BIGINT, updated BIGINT, deleted BIGINT
)
WHERE link.num = gone.num;

-- name: keys
-- Every key, revoked ones included.
SELECT id, hash, name, scopes, tenant, limits, expires, created, revoked, permits, cors_origins, shared_limits FROM key;

-- name: keys_with_permits
-- The keys with permits, revoked ones included.
SELECT id, hash, name, scopes, tenant, limits, expires, created, revoked, permits, cors_origins, shared_limits FROM key WHERE permits <> '[]';

-- name: keys_changed (sqlite)
-- Some keys, to be read again; `names` is a JSON array.
SELECT id, hash, name, scopes, tenant, limits, expires, created, revoked, permits, cors_origins, shared_limits FROM key
WHERE id IN (SELECT value FROM json_each(:names));

-- name: keys_changed (postgres)
-- Some keys, to be read again; `names` is a JSON array.
SELECT id, hash, name, scopes, tenant, limits, expires, created, revoked, permits, cors_origins, shared_limits FROM key
WHERE id IN (SELECT json_array_elements_text(CAST(:names AS JSON)));

-- name: key_put
-- Create or replace a key.
INSERT INTO key (
    id, hash, name, scopes, tenant, limits, expires, created, revoked, permits, cors_origins, shared_limits
)
VALUES (
    :id, :hash, :name, :scopes, :tenant, :limits, :expires, :created, :revoked, :permits, :cors_origins,
    :shared_limits
)
ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, name = excluded.name, scopes = excluded.scopes, tenant = excluded.tenant,
    limits = excluded.limits, expires = excluded.expires, revoked = excluded.revoked, permits = excluded.permits,
    cors_origins = excluded.cors_origins, shared_limits = excluded.shared_limits;

-- name: permits_put (sqlite)
-- Replace the permits of keys. `rows` is a JSON array of objects.
UPDATE key SET permits = made.permits
FROM (SELECT value ->> 'id' AS id, value ->> 'permits' AS permits FROM json_each(:rows)) AS made WHERE key.id = made.id;

-- name: permits_put (postgres)
-- Replace the permits of keys. `rows` is a JSON array of objects.
UPDATE key SET permits = CAST(made.permits AS TEXT)
FROM json_to_recordset(CAST(:rows AS JSON)) AS made (id TEXT, permits JSON) WHERE key.id = made.id;

-- name: event_types
-- Every event type.
SELECT name, description, schema, example, revision, created, updated, notes FROM event_type;

-- name: event_type_names
-- The names of all event types.
SELECT name FROM event_type;

-- name: event_type_changed
-- One event type, to be read again.
SELECT name, description, schema, example, revision, created, updated, notes FROM event_type WHERE name = :name;

-- name: event_type_put
-- Create or replace an event type.
INSERT INTO event_type (name, description, schema, example, revision, created, updated, notes)
VALUES (:name, :description, :schema, :example, :revision, :created, :updated, :notes)
ON CONFLICT (name) DO UPDATE SET description = excluded.description, schema = excluded.schema,
    example = excluded.example, revision = excluded.revision, updated = excluded.updated, notes = excluded.notes;

-- name: event_type_drop
-- Remove an event type; its events stay.
DELETE FROM event_type WHERE name = :name;

-- name: tenants
-- Every tenant that has an entry.
SELECT id, name, revision, created, updated, notes FROM tenant;

-- name: tenant_changed
-- One tenant, to be read again.
SELECT id, name, revision, created, updated, notes FROM tenant WHERE id = :name;

-- name: tenant_put
-- Create or replace a tenant.
INSERT INTO tenant (id, name, revision, created, updated, notes)
VALUES (:id, :name, :revision, :created, :updated, :notes)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, revision = excluded.revision, updated = excluded.updated,
    notes = excluded.notes;

-- name: tenant_drop
-- Remove the entry of a tenant.
DELETE FROM tenant WHERE id = :id;

-- name: hooks
-- Every hook.
SELECT id, tenant, options, sealed, revision, created, updated FROM hook;

-- name: hook_changed
-- One hook, to be read again.
SELECT id, tenant, options, sealed, revision, created, updated FROM hook WHERE id = :name;

-- name: hook_put
-- Create or replace a hook.
INSERT INTO hook (id, tenant, path, options, sealed, revision, created, updated)
VALUES (:id, :tenant, :path, :options, :sealed, :revision, :created, :updated)
ON CONFLICT (id) DO UPDATE SET path = excluded.path, options = excluded.options, sealed = excluded.sealed,
    revision = excluded.revision, updated = excluded.updated;

-- name: hook_drop
-- Delete a hook.
DELETE FROM hook WHERE id = :id;

-- name: hook_at
-- Which hook has a path.
SELECT id FROM hook WHERE path = :path;

-- name: hooks_of_tenant
-- How many hooks a tenant has.
SELECT COUNT(*) FROM hook WHERE tenant = :tenant;

-- name: forms
-- Every form.
SELECT id, tenant, options, revision, created, updated FROM form;

-- name: form_changed
-- One form, to be read again.
SELECT id, tenant, options, revision, created, updated FROM form WHERE id = :name;

-- name: form_put
-- Create or replace a form.
INSERT INTO form (id, tenant, path, options, revision, created, updated)
VALUES (:id, :tenant, :path, :options, :revision, :created, :updated)
ON CONFLICT (id) DO UPDATE SET path = excluded.path, options = excluded.options, revision = excluded.revision,
    updated = excluded.updated;

-- name: form_drop
-- Delete a form.
DELETE FROM form WHERE id = :id;

-- name: form_at
-- Which form has a path.
SELECT id FROM form WHERE path = :path;

-- name: forms_of_tenant
-- How many forms a tenant has.
SELECT COUNT(*) FROM form WHERE tenant = :tenant;

-- name: connections
-- Every connection, by name.
SELECT id, name, options, sealed, revision, created, updated FROM connection ORDER BY name;

-- name: connection_changed
-- One connection, to be read again.
SELECT id, name, options, sealed, revision, created, updated FROM connection WHERE name = :name;

-- name: connection_put
-- Create or replace a connection.
INSERT INTO connection (id, name, options, sealed, revision, created, updated)
VALUES (:id, :name, :options, :sealed, :revision, :created, :updated)
ON CONFLICT (id) DO UPDATE SET options = excluded.options, sealed = excluded.sealed, revision = excluded.revision,
    updated = excluded.updated;

-- name: connection_drop
-- Delete a connection.
DELETE FROM connection WHERE id = :id;

-- name: connection_token
-- The last token of a connection.
SELECT sealed FROM connection_token WHERE connection = :id;

-- name: connection_token_put
-- Keep a token in the place of the one before.
INSERT INTO connection_token (connection, sealed) VALUES (:id, :sealed)
ON CONFLICT (connection) DO UPDATE SET sealed = excluded.sealed;

-- name: connection_token_drop
-- Forget the token of a connection.
DELETE FROM connection_token WHERE connection = :id;
