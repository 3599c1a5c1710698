-- Replays: durable jobs. Each step and its progress are one transaction.

-- name: replay_put
-- Create a replay, or store its progress.
INSERT INTO replay (
    id, tenant, link, which, since, until, state, position, finish, total, sent, looked_at, created, updated, filter
)
VALUES (
    :id, :tenant, :link, :which, :since, :until, :state, :position, :finish, :total, :sent, :looked_at, :created, :updated,
    :filter
)
ON CONFLICT (id) DO UPDATE SET state = excluded.state, position = excluded.position, sent = excluded.sent,
    looked_at = excluded.looked_at, updated = excluded.updated;

-- name: replay_of
-- One replay.
SELECT id, tenant, link, which, since, until, state, position, finish, total, sent, looked_at, created, updated, filter
FROM replay WHERE id = :id;

-- name: replays_running
-- The replays to go on with after a start.
SELECT id, filter FROM replay WHERE state = 'running' ORDER BY id;

-- name: replays_page
-- Newest first. The casts tell PostgreSQL the type of a parameter that may be NULL.
SELECT id, tenant, link, which, since, until, state, position, finish, total, sent, looked_at, created, updated, filter
FROM replay
WHERE id < :before
    AND (CAST(:tenant AS TEXT) IS NULL OR tenant = CAST(:tenant AS TEXT))
    AND (CAST(:state AS TEXT) IS NULL OR state = CAST(:state AS TEXT))
    AND (:link = 0 OR link = :link)
    AND CAST(:hidden AS TEXT) NOT LIKE '%,' || link || ',%'
ORDER BY id DESC LIMIT :count;

-- name: replays_page_up
-- The same, the oldest first.
SELECT id, tenant, link, which, since, until, state, position, finish, total, sent, looked_at, created, updated, filter
FROM replay
WHERE id > :after
    AND (CAST(:tenant AS TEXT) IS NULL OR tenant = CAST(:tenant AS TEXT))
    AND (CAST(:state AS TEXT) IS NULL OR state = CAST(:state AS TEXT))
    AND (:link = 0 OR link = :link)
    AND CAST(:hidden AS TEXT) NOT LIKE '%,' || link || ',%'
ORDER BY id LIMIT :count;

-- name: replays_count
-- How many there are, up to a limit.
SELECT COUNT(*) FROM (
    SELECT 1 AS one FROM replay
    WHERE (CAST(:tenant AS TEXT) IS NULL OR tenant = CAST(:tenant AS TEXT))
    AND (CAST(:state AS TEXT) IS NULL OR state = CAST(:state AS TEXT))
    AND (:link = 0 OR link = :link)
    AND CAST(:hidden AS TEXT) NOT LIKE '%,' || link || ',%'
    LIMIT :most
) AS part;

-- name: replay_count_deliveries
-- How many deliveries a replay of failed ones will look at: those that ended dead at some time.
SELECT COUNT(DISTINCT delivery) FROM attempt
WHERE ended_link = :link AND state = 'dead' AND delivery > :after AND delivery <= :finish;

-- name: replay_count_events
-- How many events a replay will look at.
SELECT COUNT(*) FROM event WHERE seq > :after AND seq <= :finish;

-- name: replay_deliveries
-- A step through a link's deliveries that ended dead at some time: how each stands now.
SELECT d.number, d.event, d.created,
    (SELECT a.state FROM attempt AS a WHERE a.delivery = d.number ORDER BY a.n DESC LIMIT 1),
    (SELECT MAX(a.n) FROM attempt AS a WHERE a.delivery = d.number),
    (SELECT w.delivery FROM waiting AS w WHERE w.delivery = d.number)
FROM (
    SELECT DISTINCT e.delivery FROM attempt AS e
    WHERE e.ended_link = :link AND e.state = 'dead' AND e.delivery > :after AND e.delivery <= :finish
    ORDER BY e.delivery LIMIT :count
) AS part JOIN delivery AS d ON d.number = part.delivery
ORDER BY d.number;

-- name: replay_events
-- A step through the events; bodies are read only where a filter asks for them.
SELECT seq, tenant, type, subject, target, created FROM event
WHERE seq > :after AND seq <= :finish ORDER BY seq LIMIT :count;

-- name: replays_under_way
-- Among the newest replays, those that have not ended.
SELECT id, tenant, link, which, since, until, state, position, finish, total, sent, looked_at, created, updated, filter FROM (
    SELECT id, tenant, link, which, since, until, state, position, finish, total, sent, looked_at, created, updated, filter
    FROM replay ORDER BY id DESC LIMIT :newest
) AS part WHERE part.state = 'running' ORDER BY part.id LIMIT :count;
