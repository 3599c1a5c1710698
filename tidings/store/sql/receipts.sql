-- Receipts: requests to hooks, as received.

-- name: receipt_put
-- Keep a request; nothing where the sender's delivery is there already, which its unique key tells.
INSERT INTO receipt (id, hook, tenant, key, state, received, client, method, target, headers, body, event, reason, detail)
VALUES (
    :id, :hook, :tenant, :key, :state, :received, :client, :method, :target, :headers, :body, :event, :reason, :detail
)
ON CONFLICT (hook, key) DO NOTHING;

-- name: receipt_accept
-- A refused request is let in after all, unless its delivery came in another way meanwhile.
UPDATE receipt SET state = 'accepted', key = :key, event = :event, reason = NULL, detail = NULL
WHERE id = :id AND state = 'refused'
    AND NOT EXISTS (SELECT 1 FROM receipt AS other WHERE other.hook = receipt.hook AND other.key = :key);

-- name: receipt_of
-- One receipt, whole.
SELECT id, hook, tenant, state, received, client, method, target, headers, body, event, reason, detail FROM receipt
WHERE id = :id;

-- name: receipts_page
-- Newest first, without headers and bodies. The casts tell PostgreSQL the type of a parameter that may be NULL.
SELECT id, hook, tenant, state, received, client, method, target, LENGTH(body), event, reason, detail FROM receipt
WHERE id < :before AND id > :after
    AND (CAST(:tenant AS TEXT) IS NULL OR tenant = CAST(:tenant AS TEXT))
    AND (CAST(:hook AS TEXT) IS NULL OR hook = CAST(:hook AS TEXT))
ORDER BY id DESC LIMIT :count;

-- name: receipts_page_up
-- The same, the oldest first.
SELECT id, hook, tenant, state, received, client, method, target, LENGTH(body), event, reason, detail FROM receipt
WHERE id < :before AND id > :after
    AND (CAST(:tenant AS TEXT) IS NULL OR tenant = CAST(:tenant AS TEXT))
    AND (CAST(:hook AS TEXT) IS NULL OR hook = CAST(:hook AS TEXT))
ORDER BY id LIMIT :count;

-- name: refusals_page
-- Those that were refused, newest first. The state stands in the text, so that the partial index is used.
SELECT id, hook, tenant, state, received, client, method, target, LENGTH(body), event, reason, detail FROM receipt
WHERE state = 'refused' AND id < :before AND id > :after
    AND (CAST(:tenant AS TEXT) IS NULL OR tenant = CAST(:tenant AS TEXT))
    AND (CAST(:hook AS TEXT) IS NULL OR hook = CAST(:hook AS TEXT))
ORDER BY id DESC LIMIT :count;

-- name: refusals_page_up
-- The same, the oldest first.
SELECT id, hook, tenant, state, received, client, method, target, LENGTH(body), event, reason, detail FROM receipt
WHERE state = 'refused' AND id < :before AND id > :after
    AND (CAST(:tenant AS TEXT) IS NULL OR tenant = CAST(:tenant AS TEXT))
    AND (CAST(:hook AS TEXT) IS NULL OR hook = CAST(:hook AS TEXT))
ORDER BY id LIMIT :count;

-- name: receipts_count
-- How many there are, up to a number.
SELECT COUNT(*) FROM (
    SELECT 1 FROM receipt
    WHERE (CAST(:tenant AS TEXT) IS NULL OR tenant = CAST(:tenant AS TEXT))
        AND (CAST(:hook AS TEXT) IS NULL OR hook = CAST(:hook AS TEXT))
    LIMIT :most
) AS found;

-- name: refusals_count
-- How many were refused, up to a number.
SELECT COUNT(*) FROM (
    SELECT 1 FROM receipt
    WHERE state = 'refused' AND (CAST(:tenant AS TEXT) IS NULL OR tenant = CAST(:tenant AS TEXT))
        AND (CAST(:hook AS TEXT) IS NULL OR hook = CAST(:hook AS TEXT))
    LIMIT :most
) AS found;

-- name: receipts_prune
-- Drop old receipts of what became events, some at once.
DELETE FROM receipt WHERE id IN (
    SELECT id FROM receipt WHERE state = 'accepted' AND id < :before ORDER BY id LIMIT :count
);

-- name: refusals_prune
-- Drop old refused requests, some at once.
DELETE FROM receipt WHERE id IN (
    SELECT id FROM receipt WHERE state = 'refused' AND id < :before ORDER BY id LIMIT :count
);

-- name: refusals_trim
-- Of a hook's refused requests, keep the newest of each address first, then the second newest of each, and so on.
DELETE FROM receipt WHERE id IN (
    SELECT id FROM (
        SELECT id, ROW_NUMBER() OVER (ORDER BY nth, id DESC) AS place, SUM(bytes) OVER (ORDER BY nth, id DESC) AS held
        FROM (
            SELECT id, LENGTH(body) + LENGTH(headers) AS bytes,
                ROW_NUMBER() OVER (PARTITION BY client ORDER BY id DESC) AS nth
            FROM receipt WHERE hook = :hook AND state = 'refused'
        ) AS numbered
    ) AS placed
    WHERE place > :count OR held > :size
);

-- name: refusals_since
-- The newest refused requests; the state stands in the text, so that the partial index is used.
SELECT id, hook FROM receipt WHERE state = 'refused' AND id > :after ORDER BY id DESC LIMIT :count;

-- name: refusal_reason
-- Why a request was refused.
SELECT reason, detail FROM receipt WHERE id = :id;

-- name: receipt_accepted
-- Whether one of the newest requests to a hook was accepted.
SELECT 1 FROM (
    SELECT state FROM receipt WHERE hook = :hook AND id > :after ORDER BY id DESC LIMIT :count
) AS part WHERE state = 'accepted' LIMIT 1;
