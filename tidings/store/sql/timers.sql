-- Timers of links.

-- name: timer
-- The timer of one link.
SELECT link, due, look, last, run, wall FROM timer WHERE link = :link;

-- name: timers_at
-- Those to check now, the longest overdue first.
SELECT link, due, look, last, run, wall FROM timer WHERE look <= :now ORDER BY look LIMIT :count;

-- name: timers_of_day
-- Those that are due at times of day.
SELECT link, due, look, last, run, wall FROM timer WHERE wall = 1;

-- name: timer_next
-- When to check next.
SELECT look FROM timer WHERE look IS NOT NULL ORDER BY look LIMIT 1;

-- name: timer_put
-- Store the timer of a link.
INSERT INTO timer (link, due, look, last, run, wall) VALUES (:link, :due, :look, :last, :run, :wall)
ON CONFLICT (link) DO UPDATE SET due = excluded.due, look = excluded.look, last = excluded.last, run = excluded.run,
    wall = excluded.wall;

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
