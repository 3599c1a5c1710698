-- What links remember: timers, mirrors of other systems, and how far polls have read.

-- name: timer
-- The timer of one link.
SELECT link, due, look, last, run, wall, kick, kick_hops FROM timer WHERE link = :link;

-- name: timers_at
-- Those to check now, the longest overdue first.
SELECT link, due, look, last, run, wall, kick, kick_hops FROM timer WHERE look <= :now ORDER BY look LIMIT :count;

-- name: timers_of_day
-- Those that are due at times of day.
SELECT link, due, look, last, run, wall, kick, kick_hops FROM timer WHERE wall = 1;

-- name: timer_next
-- When to check next.
SELECT look FROM timer WHERE look IS NOT NULL ORDER BY look LIMIT 1;

-- name: timer_put
-- Store the timer of a link.
INSERT INTO timer (link, due, look, last, run, wall, kick, kick_hops)
VALUES (:link, :due, :look, :last, :run, :wall, :kick, :kick_hops)
ON CONFLICT (link) DO UPDATE SET due = excluded.due, look = excluded.look, last = excluded.last, run = excluded.run,
    wall = excluded.wall, kick = excluded.kick, kick_hops = excluded.kick_hops;

-- name: timer_kick
-- An event lets the link run now; if it is paused, once it continues.
UPDATE timer SET kick = (SELECT id FROM event WHERE seq = :event),
    kick_hops = (SELECT CASE WHEN e.hops > timer.kick_hops THEN e.hops ELSE timer.kick_hops END FROM event AS e WHERE e.seq = :event),
    look = CASE WHEN look IS NULL THEN NULL ELSE CAST(:now AS BIGINT) END
WHERE link = :link;

-- name: timer_drop
-- The link has no timer, or is deleted.
DELETE FROM timer WHERE link = :link;

-- name: timers_move
-- The clock was set: durations last as long as before.
UPDATE timer SET due = due + :by, look = look + :by, last = last + :by WHERE wall = 0;

-- name: timer_run
-- The deliveries of a run, each with the state that its last attempt left, and whether it waits. No row: it was dropped.
SELECT d.number,
    (SELECT a.state FROM attempt AS a WHERE a.delivery = d.number ORDER BY a.n DESC LIMIT 1),
    (SELECT 1 FROM waiting AS w WHERE w.delivery = d.number)
FROM event AS e LEFT JOIN delivery AS d ON d.event = e.seq AND d.link = :link WHERE e.id = :run;

-- name: mirror
-- One mirror.
SELECT number, sweep, sweeping FROM mirror WHERE tenant = :tenant AND type = :type;

-- name: mirror_new
-- A new mirror.
INSERT INTO mirror (number, tenant, type, sweep, sweeping)
VALUES ((SELECT COALESCE(MAX(number), 0) + 1 FROM mirror), :tenant, :type, 0, 0);

-- name: mirror_sweep
-- A full read begins or ends.
UPDATE mirror SET sweep = :sweep, sweeping = :sweeping WHERE number = :mirror;

-- name: mirror_forget
-- Forget every record of a mirror.
DELETE FROM mirrored WHERE mirror = :mirror;

-- name: mirrored (sqlite)
-- The records with these keys. SQLite has no arrays.
SELECT m.key, m.value, m.digest FROM json_each(:keys) AS j CROSS JOIN mirrored AS m
    ON m.mirror = :mirror AND m.key = j.value;

-- name: mirrored (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
SELECT m.key, m.value, m.digest FROM mirrored AS m
WHERE m.mirror = :mirror AND m.key = ANY (ARRAY(SELECT jsonb_array_elements_text(CAST(:keys AS jsonb))));

-- name: mirrored_put
-- Store a record as it is now.
INSERT INTO mirrored (mirror, key, value, digest, seen) VALUES (:mirror, :key, :value, :digest, :seen)
ON CONFLICT (mirror, key) DO UPDATE SET value = excluded.value, digest = excluded.digest, seen = excluded.seen;

-- name: mirrored_drop
-- A record is gone.
DELETE FROM mirrored WHERE mirror = :mirror AND key = :key;

-- name: mirrored_see (sqlite)
-- A full read has seen these.
UPDATE mirrored SET seen = :seen WHERE mirror = :mirror AND key IN (SELECT value FROM json_each(:keys)) AND seen < :seen;

-- name: mirrored_see (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
UPDATE mirrored SET seen = :seen
WHERE mirror = :mirror AND key = ANY (ARRAY(SELECT jsonb_array_elements_text(CAST(:keys AS jsonb)))) AND seen < :seen;

-- name: mirrored_missing
-- Records that a full read has not seen, in the order of their keys.
SELECT key, value, digest FROM mirrored WHERE mirror = :mirror AND seen < :seen AND key > :after ORDER BY key LIMIT :count;

-- name: mirrored_counts
-- How many records there are, and how many of them a full read has not seen.
SELECT COUNT(*), COALESCE(SUM(CASE WHEN seen < :seen THEN 1 ELSE 0 END), 0) FROM mirrored WHERE mirror = :mirror;

-- name: poll
-- How far a poll has read.
SELECT cursor, filled, swept, run, page FROM poll WHERE link = :link;

-- name: poll_put
-- Store how far a poll has read.
INSERT INTO poll (link, cursor, filled, swept, run, page) VALUES (:link, :cursor, :filled, :swept, :run, :page)
ON CONFLICT (link) DO UPDATE SET cursor = excluded.cursor, filled = excluded.filled, swept = excluded.swept,
    run = excluded.run, page = excluded.page;

-- name: polls_move
-- The clock was set.
UPDATE poll SET swept = swept + :by WHERE swept IS NOT NULL;

-- name: poll_drop
-- It begins again.
DELETE FROM poll WHERE link = :link;

-- name: kept
-- What is kept for a subject.
SELECT value, updated FROM kept WHERE space = :space AND tenant = :tenant AND subject = :subject;

-- name: kept_put
-- Keep this for a subject.
INSERT INTO kept (space, tenant, subject, value, updated) VALUES (:space, :tenant, :subject, :value, :updated)
ON CONFLICT (space, tenant, subject) DO UPDATE SET value = excluded.value, updated = excluded.updated;

-- name: kept_drop
-- Nothing is kept for a subject any more.
DELETE FROM kept WHERE space = :space AND tenant = :tenant AND subject = :subject;

-- name: kept_forget
-- Forget what is kept for a subject, or everything.
DELETE FROM kept WHERE space = :space AND (CAST(:subject AS text) IS NULL OR subject = CAST(:subject AS text));

-- name: kept_any
-- Whether anything is kept.
SELECT 1 FROM kept WHERE space = :space LIMIT 1;

-- name: kept_rename
-- The link has another name.
UPDATE kept SET space = :after WHERE space = :before;

-- name: poll_rename
-- The link has another name.
UPDATE poll SET link = :after WHERE link = :before;

-- name: timers_failed
-- The last runs of timers, where a delivery of them is dead.
SELECT t.link, a.at, a.reason FROM (SELECT link, run FROM timer ORDER BY link LIMIT :count) AS t
    JOIN event AS e ON e.id = t.run
    JOIN delivery AS d ON d.event = e.seq AND d.link = t.link
    JOIN attempt AS a ON a.delivery = d.number AND a.state = 'dead'
        AND a.n = (SELECT MAX(l.n) FROM attempt AS l WHERE l.delivery = d.number)
WHERE NOT EXISTS (SELECT 1 FROM waiting AS w WHERE w.delivery = d.number)
ORDER BY t.link;
