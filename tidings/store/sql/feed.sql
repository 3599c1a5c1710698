-- Events for people and for those who catch up.

-- name: events_shown (sqlite)
-- SQLite has no arrays: the numbers come as JSON.
SELECT e.seq, e.id, e.tenant, e.type, e.subject, e.time, e.created, e.data, e.previous, e.changed, e.target,
    e.actor, e.request_id, e.collection, e.cause, e.hops
FROM json_each(:seqs) AS j CROSS JOIN event AS e ON e.seq = j.value ORDER BY e.seq;

-- name: events_shown (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
SELECT e.seq, e.id, e.tenant, e.type, e.subject, e.time, e.created, e.data, e.previous, e.changed, e.target,
    e.actor, e.request_id, e.collection, e.cause, e.hops
FROM event AS e WHERE e.seq = ANY (CAST(ARRAY(SELECT jsonb_array_elements_text(CAST(:seqs AS jsonb))) AS bigint[]))
ORDER BY e.seq;

-- name: events_with_id
-- An id is unique within its tenant only.
SELECT seq, tenant FROM event WHERE id = :id ORDER BY seq;

-- name: event_span
-- The first and the last number of the events of a time range, read from the index of times.
SELECT MIN(seq), MAX(seq) FROM event WHERE time >= :since AND time < :until;

-- name: numbers_of_seq
-- An event's deliveries.
SELECT number FROM delivery WHERE event = :seq ORDER BY number LIMIT :count;

-- name: event_headers
-- What was committed, without its data: enough to see who waits for it.
SELECT seq, tenant, type, subject, time, collection FROM event WHERE seq > :after ORDER BY seq LIMIT :count;

-- name: events_caused
-- The events that links made of one event, and whose they are.
SELECT seq, tenant FROM event WHERE cause = :cause ORDER BY seq LIMIT :count;

-- name: attempt_reason
-- Why an attempt came to its outcome.
SELECT reason FROM attempt WHERE delivery = :delivery AND n = :n;
