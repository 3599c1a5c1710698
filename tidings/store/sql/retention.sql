-- Retention: what is older than it must be kept, and has ended, goes in small steps.

-- name: prune_candidates
-- Old events in order, each with how many deliveries would go with it. What is not routed yet stays.
SELECT e.seq, e.created, (SELECT COUNT(*) FROM delivery AS d WHERE d.event = e.seq) FROM event AS e
WHERE e.seq > :after AND e.seq <= (SELECT c.position FROM cursor AS c WHERE c.name = 'route' AND c.journal = :journal)
    AND NOT EXISTS (SELECT 1 FROM route_aside AS a WHERE a.position < e.seq)
ORDER BY e.seq LIMIT :count;

-- name: prune_kept
-- Those of a step that stay, because a delivery has not ended. Deliveries of deleted links have.
SELECT DISTINCT d.event FROM event AS e JOIN delivery AS d ON d.event = e.seq JOIN link AS l ON l.num = d.link
WHERE e.seq > :after AND e.seq <= :until AND l.deleted IS NULL AND (
    EXISTS (SELECT 1 FROM waiting AS w WHERE w.delivery = d.number)
    OR NOT EXISTS (SELECT 1 FROM attempt AS a WHERE a.delivery = d.number AND a.state <> 'waiting')
);

-- name: prune_attempts (sqlite)
-- SQLite has no arrays: the numbers come as JSON.
DELETE FROM attempt WHERE delivery IN (
    SELECT d.number FROM delivery AS d WHERE d.event IN (SELECT value FROM json_each(:seqs))
);

-- name: prune_attempts (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
DELETE FROM attempt WHERE delivery IN (
    SELECT d.number FROM delivery AS d
    WHERE d.event IN (SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(:seqs AS jsonb)))
);

-- name: prune_waiting (sqlite)
-- Rows that deleted links left behind.
DELETE FROM waiting WHERE delivery IN (
    SELECT d.number FROM delivery AS d WHERE d.event IN (SELECT value FROM json_each(:seqs))
);

-- name: prune_waiting (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
DELETE FROM waiting WHERE delivery IN (
    SELECT d.number FROM delivery AS d
    WHERE d.event IN (SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(:seqs AS jsonb)))
);

-- name: prune_parts (sqlite)
-- What deliveries were about.
DELETE FROM part WHERE delivery IN (
    SELECT d.number FROM delivery AS d WHERE d.event IN (SELECT value FROM json_each(:seqs))
);

-- name: prune_parts (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
DELETE FROM part WHERE delivery IN (
    SELECT d.number FROM delivery AS d
    WHERE d.event IN (SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(:seqs AS jsonb)))
);

-- name: prune_deliveries (sqlite)
-- SQLite has no arrays: the numbers come as JSON.
DELETE FROM delivery WHERE event IN (SELECT value FROM json_each(:seqs));

-- name: prune_deliveries (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
DELETE FROM delivery
WHERE event IN (SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(:seqs AS jsonb)));

-- name: prune_events (sqlite)
-- SQLite has no arrays: the numbers come as JSON.
DELETE FROM event WHERE seq IN (SELECT value FROM json_each(:seqs));

-- name: prune_events (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
DELETE FROM event WHERE seq IN (SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(:seqs AS jsonb)));

-- name: pruned_move
-- Events up to here may be gone.
UPDATE cursor SET position = :position WHERE name = 'pruned' AND journal = :journal AND position < :position;

-- name: prune_answers
-- A step through the answers kept for Idempotency-Key, oldest first.
DELETE FROM answer WHERE created < :before
    AND created <= (SELECT MAX(created) FROM (SELECT created FROM answer ORDER BY created LIMIT :count) AS oldest);

-- name: prune_call_counts
-- Windows that are over, in seconds.
DELETE FROM call_count WHERE window_start + seconds < :before;

-- name: event_newest
-- When the last event was created.
SELECT created FROM event ORDER BY seq DESC LIMIT 1;
