-- What is kept of callers: the answers to their Idempotency-Keys, their calls in time windows, and portal links.

-- name: answer_find
-- The answer that was given to the same request before.
SELECT fingerprint, status, headers, body FROM answer
WHERE key = :key AND idempotency_key = :idempotency_key AND created >= :since;

-- name: answer_put
-- An answer that is too old gives way to the new one.
INSERT INTO answer (key, idempotency_key, fingerprint, status, headers, body, created)
VALUES (:key, :idempotency_key, :fingerprint, :status, :headers, :body, :created)
ON CONFLICT (key, idempotency_key) DO UPDATE SET fingerprint = excluded.fingerprint, status = excluded.status,
    headers = excluded.headers, body = excluded.body, created = excluded.created;

-- name: answers_prune
-- Drop answers that are too old to be repeated.
DELETE FROM answer WHERE created < :before;

-- name: call_counts
-- All counts, read at the start.
SELECT key, seconds, window_start, calls FROM call_count;

-- name: call_count_put
-- Store the count of one key and window.
INSERT INTO call_count (key, seconds, window_start, calls) VALUES (:key, :seconds, :window_start, :calls)
ON CONFLICT (key, seconds) DO UPDATE SET window_start = excluded.window_start, calls = excluded.calls;

-- name: portal_link_put
-- Keep a new link.
INSERT INTO portal_link (id, tenant, hash, options, logo, created, expires, ends)
VALUES (:id, :tenant, :hash, :options, :logo, :created, :expires, :expires);

-- name: portal_link_of
-- One link.
SELECT id, tenant, hash, options, created, expires, opened, session, session_expires, revoked
FROM portal_link WHERE id = :id;

-- name: portal_links_page
-- A page of a tenant's links, newest first.
SELECT id, tenant, hash, options, created, expires, opened, session, session_expires, revoked
FROM portal_link WHERE tenant = :tenant AND id < :before AND id > :after ORDER BY id DESC LIMIT :count;

-- name: portal_links_page_up
-- A page of a tenant's links, oldest first.
SELECT id, tenant, hash, options, created, expires, opened, session, session_expires, revoked
FROM portal_link WHERE tenant = :tenant AND id < :before AND id > :after ORDER BY id LIMIT :count;

-- name: portal_links_count
-- How many links a tenant has, up to a number.
SELECT COUNT(*) FROM (SELECT 1 FROM portal_link WHERE tenant = :tenant LIMIT :most) AS counted;

-- name: portal_link_open
-- Note that a link was opened, and by which session.
UPDATE portal_link SET opened = :now, session = :session, session_expires = :session_expires, ends = :session_expires
WHERE id = :id;

-- name: portal_link_revoke
-- End a link.
UPDATE portal_link SET revoked = :now, ends = :now WHERE id = :id AND revoked IS NULL;

-- name: portal_links_open
-- The links of a tenant that can still be opened, or whose session lasts.
SELECT id, tenant, hash, options, created, expires, opened, session, session_expires, revoked
FROM portal_link WHERE tenant = :tenant AND ends > :now AND revoked IS NULL ORDER BY id;

-- name: portal_sessions_of_tenant
-- How many keys of a tenant that were not revoked belong to sessions of the portal.
SELECT COUNT(*) FROM portal_link AS p JOIN key AS k ON k.id = p.session WHERE p.tenant = :tenant AND k.revoked IS NULL;

-- name: prune_portal_candidates
-- Links that ended before a time, with their sessions' keys.
SELECT id, session FROM portal_link WHERE ends < :before ORDER BY ends LIMIT :count;

-- name: prune_portal_link
-- Forget a link.
DELETE FROM portal_link WHERE id = :id;

-- name: prune_portal_logos
-- Forget images that no link shows any more.
DELETE FROM portal_logo WHERE NOT EXISTS (SELECT 1 FROM portal_link AS p WHERE p.logo = portal_logo.hash);

-- name: portal_logo_put
-- Keep an image, if it is not there yet.
INSERT INTO portal_logo (hash, media, content) VALUES (:hash, :media, :content) ON CONFLICT (hash) DO NOTHING;

-- name: portal_logo_of
-- The image that a link shows.
SELECT l.hash, l.media, l.content FROM portal_link AS p JOIN portal_logo AS l ON l.hash = p.logo WHERE p.id = :id;

-- name: key_drop
-- Forget a key.
DELETE FROM key WHERE id = :id;
