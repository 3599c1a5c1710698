-- What is kept of callers: the answers to their Idempotency-Keys, and their calls in time windows.

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
