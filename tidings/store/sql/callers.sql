-- What is kept of callers: the answers to their Idempotency-Keys, their calls in time windows, and portal links.

-- name: answer_find
-- The answer that was given to the same request before.
SELECT fingerprint, status, headers, body FROM answer
WHERE key = :key AND idempotency_key = :idempotency_key AND created >= :since;

-- name: answer_claim
-- Before the work begins. An answer that is too old gives way; no row: somebody has the name.
INSERT INTO answer (key, idempotency_key, fingerprint, status, headers, body, created)
VALUES (:key, :idempotency_key, :fingerprint, 0, '', '', :created)
ON CONFLICT (key, idempotency_key) DO UPDATE SET fingerprint = excluded.fingerprint, created = excluded.created
WHERE answer.created < :since;

-- name: answer_put
-- The answer to what was claimed.
UPDATE answer SET status = :status, headers = :headers, body = :body
WHERE key = :key AND idempotency_key = :idempotency_key;

-- name: answer_drop
-- Take a claim back.
DELETE FROM answer WHERE key = :key AND idempotency_key = :idempotency_key;

-- name: answers_prune (sqlite)
-- Drop answers that are too old to be repeated.
DELETE FROM answer WHERE created < :before;

-- name: answers_prune (postgres)
-- The same, without waiting for another node that drops them.
DELETE FROM answer WHERE (key, idempotency_key) IN (
    SELECT key, idempotency_key FROM answer WHERE created < :before LIMIT 1000 FOR UPDATE SKIP LOCKED
);

-- name: call_counts
-- All counts, read at the start.
SELECT key, seconds, window_start, calls FROM call_count;

-- name: call_count_put
-- Store the count of one key and window.
INSERT INTO call_count (key, seconds, window_start, calls) VALUES (:key, :seconds, :window_start, :calls)
ON CONFLICT (key, seconds) DO UPDATE SET window_start = excluded.window_start, calls = excluded.calls;

-- name: call_count_begin (postgres)
-- Count the calls of a key and window, if they are not counted yet.
INSERT INTO call_count (key, seconds, window_start, calls) VALUES (:key, :seconds, :start, 0)
ON CONFLICT (key, seconds) DO NOTHING;

-- name: call_count_reserve (postgres)
-- Reserve some calls for one of several nodes: fewer, the fewer are left and the more nodes there are; none if it is
-- full. A window that begins later, by any node's clock, takes the place of the one before.
UPDATE call_count AS c SET window_start = was.window_start, calls = was.calls + CASE
    WHEN was.calls < :limit THEN LEAST(:most, GREATEST(1, (:limit - was.calls) / (4 * GREATEST(1, (
        SELECT COUNT(*) FROM node WHERE seen > (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint - 10000000
    )))))
    ELSE 0
END
FROM (
    SELECT key, seconds, GREATEST(window_start, :start) AS window_start,
        CASE WHEN window_start < :start THEN 0 ELSE calls END AS calls
    FROM call_count WHERE key = :key AND seconds = :seconds FOR UPDATE
) AS was
WHERE c.key = was.key AND c.seconds = was.seconds
RETURNING c.window_start, was.calls, c.calls;

-- name: call_count_give_back (postgres)
-- Give back what was reserved and not used, unless the window is over.
UPDATE call_count SET calls = calls - :calls WHERE key = :key AND seconds = :seconds AND window_start = :start;

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
-- Links that ended before a time.
SELECT id FROM portal_link WHERE ends < :before ORDER BY ends LIMIT :count;

-- name: prune_portal_sessions
-- Keys of sessions that ended before a time.
SELECT p.session FROM portal_link AS p JOIN key AS k ON k.id = p.session WHERE p.ends < :before ORDER BY p.ends LIMIT :count;

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

-- name: act_put
-- Record an act, in the transaction of the change.
INSERT INTO act (id, time, key, operation, path, request_id, changes, changes_total)
VALUES (:id, :time, :key, :operation, :path, :request_id, :changes, :changes_total);

-- name: act_about_put (sqlite)
-- What it is about: a list of ids and names.
INSERT INTO act_about (about, act) SELECT value, :act FROM json_each(:about) WHERE TRUE ON CONFLICT DO NOTHING;

-- name: act_about_put (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
INSERT INTO act_about (about, act) SELECT value, CAST(:act AS TEXT) FROM jsonb_array_elements_text(CAST(:about AS jsonb))
ON CONFLICT DO NOTHING;

-- name: acts_page
-- Newest first. The casts tell PostgreSQL the type of a parameter that may be NULL.
SELECT id, time, key, operation, path, request_id, changes, changes_total FROM act
WHERE id < :before AND id > :after
    AND (CAST(:key AS TEXT) IS NULL OR key = CAST(:key AS TEXT))
    AND (CAST(:operation AS TEXT) IS NULL OR operation = CAST(:operation AS TEXT))
    AND (CAST(:about AS TEXT) IS NULL OR EXISTS (
        SELECT 1 FROM act_about AS a WHERE a.about = CAST(:about AS TEXT) AND a.act = act.id
    ))
ORDER BY id DESC LIMIT :count;

-- name: acts_page_up
-- The same, the oldest first.
SELECT id, time, key, operation, path, request_id, changes, changes_total FROM act
WHERE id < :before AND id > :after
    AND (CAST(:key AS TEXT) IS NULL OR key = CAST(:key AS TEXT))
    AND (CAST(:operation AS TEXT) IS NULL OR operation = CAST(:operation AS TEXT))
    AND (CAST(:about AS TEXT) IS NULL OR EXISTS (
        SELECT 1 FROM act_about AS a WHERE a.about = CAST(:about AS TEXT) AND a.act = act.id
    ))
ORDER BY id LIMIT :count;

-- name: acts_count
-- How many there are, up to a limit.
SELECT COUNT(*) FROM (
    SELECT 1 AS one FROM act
    WHERE id < :before AND id > :after
        AND (CAST(:key AS TEXT) IS NULL OR key = CAST(:key AS TEXT))
        AND (CAST(:operation AS TEXT) IS NULL OR operation = CAST(:operation AS TEXT))
        AND (CAST(:about AS TEXT) IS NULL OR EXISTS (
            SELECT 1 FROM act_about AS a WHERE a.about = CAST(:about AS TEXT) AND a.act = act.id
        ))
    LIMIT :count
) AS part;

-- name: acts_old
-- A step of the oldest acts.
SELECT id FROM act WHERE id < :before ORDER BY id LIMIT :count;

-- name: act_about_drop
-- What an old act was about.
DELETE FROM act_about WHERE act = :id;

-- name: act_drop
-- An old act.
DELETE FROM act WHERE id = :id;
