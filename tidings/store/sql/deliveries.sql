-- What the deliver stage reads and writes: its backlogs, what waits, and the state of links.

-- name: deliveries_after
-- The head of the line: what the deliver stage has not seen yet, for all links.
SELECT number, link, event, created FROM delivery WHERE number > :after ORDER BY number LIMIT :count;

-- name: delivery_of_others (sqlite)
-- The first delivery at the head of the line that is not for one of these links. SQLite has no arrays.
SELECT number FROM delivery WHERE number > :after AND number <= :until
    AND link NOT IN (SELECT value FROM json_each(:links)) ORDER BY number LIMIT 1;

-- name: delivery_of_others (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
SELECT number FROM delivery WHERE number > :after AND number <= :until
    AND link <> ALL (CAST(ARRAY(SELECT jsonb_array_elements_text(CAST(:links AS jsonb))) AS bigint[]))
ORDER BY number LIMIT 1;

-- name: deliveries_after_unattempted
-- The same after a restart: without what was attempted already.
SELECT d.number, d.link, d.event, d.created FROM delivery AS d
WHERE d.number > :after AND d.number <= :until
    AND NOT EXISTS (SELECT 1 FROM attempt AS a WHERE a.delivery = d.number)
    AND NOT EXISTS (SELECT 1 FROM waiting AS w WHERE w.delivery = d.number)
ORDER BY d.number LIMIT :count;

-- name: backlog
-- One link's own backlog after its cursor.
SELECT d.number, d.link, d.event, d.created FROM delivery AS d
WHERE d.link = :link AND d.number > :after AND d.number <= :until
    AND NOT EXISTS (SELECT 1 FROM attempt AS a WHERE a.delivery = d.number)
    AND NOT EXISTS (SELECT 1 FROM waiting AS w WHERE w.delivery = d.number)
ORDER BY d.number LIMIT :count;

-- name: backlog_newest
-- The newest of it, for those that are tried before their turn.
SELECT d.number, d.link, d.event, d.created FROM delivery AS d
WHERE d.link = :link AND d.number > :after AND d.number < :before
    AND NOT EXISTS (SELECT 1 FROM attempt AS a WHERE a.delivery = d.number)
    AND NOT EXISTS (SELECT 1 FROM waiting AS w WHERE w.delivery = d.number)
ORDER BY d.number DESC LIMIT :count;

-- name: backlog_of_subject
-- For each of a subject's newest events, its delivery in the backlog before another one, or NULL.
SELECT (
    SELECT MIN(d.number) FROM delivery AS d
    WHERE d.event = e.seq AND d.link = :link AND d.number > :after AND d.number < :before
        AND NOT EXISTS (SELECT 1 FROM attempt AS a WHERE a.delivery = d.number)
        AND NOT EXISTS (SELECT 1 FROM waiting AS w WHERE w.delivery = d.number)
) FROM (SELECT seq FROM event WHERE subject = :subject ORDER BY seq DESC LIMIT :count) AS e;

-- name: backlog_newer
-- Whether one of a subject's newest events has a delivery in the backlog after a number. `tenant`: only of this one ('':
-- without one); NULL: of any.
SELECT 1 FROM (
    SELECT seq FROM event
    WHERE subject = :subject AND (CAST(:tenant AS text) IS NULL OR COALESCE(tenant, '') = CAST(:tenant AS text))
    ORDER BY seq DESC LIMIT :count
) AS e JOIN delivery AS d ON d.event = e.seq AND d.link = :link
WHERE d.number > :after
    AND NOT EXISTS (SELECT 1 FROM attempt AS a WHERE a.delivery = d.number)
    AND NOT EXISTS (SELECT 1 FROM waiting AS w WHERE w.delivery = d.number)
LIMIT 1;

-- name: waiting_hasten
-- The link was edited or resumed: what waits for another try is due now, with a new schedule. In steps, for there may be many.
UPDATE waiting SET due = :now, first = :now, earlier = n
WHERE delivery IN (SELECT delivery FROM waiting WHERE link = :link AND held = 0 AND due > :now ORDER BY due LIMIT :count);

-- name: waiting_hasten_recovered
-- The same after an outage, once an endpoint accepts a delivery, for what it was not done for before (`Recovery.covers`).
UPDATE waiting SET due = :now, first = :now, earlier = n
WHERE delivery IN (
    SELECT delivery FROM waiting
    WHERE link = :link AND held = 0 AND due > :now AND first < :now AND (first = created OR first > :since)
    ORDER BY due LIMIT :count
);

-- name: waiting_due
-- A link's deliveries that are due, the longest overdue first.
SELECT delivery, link, event, due, n, earlier, first, subject, held, created FROM waiting
WHERE link = :link AND due <= :now AND held = 0 ORDER BY due, delivery LIMIT :count;

-- name: waiting_next
-- The next one that is not due yet.
SELECT due FROM waiting WHERE link = :link AND due > :after ORDER BY due LIMIT 1;

-- name: waiting_links
-- Which links have deliveries waiting, and when the first of each is due.
SELECT link, MIN(due) FROM waiting GROUP BY link;

-- name: waiting_move
-- The clock was set: all that waits is moved by as much. What is held is due at no time of its own.
UPDATE waiting SET due = CASE WHEN held = 0 THEN due + :by ELSE due END, first = first + :by, created = created + :by;

-- name: link_state_move
-- The clock was set: every moment in the health of a link moves by as much.
UPDATE link_state SET failing_since = failing_since + :by, last_failure = last_failure + :by, probe_at = probe_at + :by,
    held_until = held_until + :by, succeeded_at = succeeded_at + :by, older_until = older_until + :by,
    failed_to = CASE WHEN failed_to > 0 THEN failed_to + :by ELSE 0 END;

-- name: waiting_of
-- The waiting row of one delivery.
SELECT delivery, link, event, due, n, earlier, first, subject, held, created FROM waiting WHERE delivery = :delivery;

-- name: delivery_of
-- One delivery with what its last attempt left.
SELECT d.number, d.link, d.event, d.created,
    (SELECT COALESCE(MAX(a.n), 0) FROM attempt AS a WHERE a.delivery = d.number),
    (SELECT a.state FROM attempt AS a WHERE a.delivery = d.number ORDER BY a.n DESC LIMIT 1)
FROM delivery AS d WHERE d.number = :delivery;

-- name: waiting_blocking
-- Of an ordered link, those that others wait for.
SELECT delivery, link, event, due, n, earlier, first, subject, held, created FROM waiting
WHERE link = :link AND held = 0 AND subject IS NOT NULL ORDER BY delivery;

-- name: waiting_lines
-- The first one held of each line, and the number of the last one.
SELECT w.delivery, w.link, w.event, w.due, w.n, w.earlier, w.first, w.subject, w.held, w.created, line.last FROM waiting AS w
JOIN (
    SELECT MIN(delivery) AS first, MAX(delivery) AS last FROM waiting WHERE link = :link AND held = 1 GROUP BY subject
) AS line ON w.delivery = line.first
ORDER BY w.delivery;

-- name: waiting_line
-- The first ones held of one line.
SELECT delivery, link, event, due, n, earlier, first, subject, held, created FROM waiting
WHERE link = :link AND subject = :subject AND held = 1 ORDER BY delivery LIMIT :count;

-- name: waiting_free
-- The link is no longer ordered: what was held may go. In steps, for there may be many.
UPDATE waiting SET due = :now, held = 0, subject = NULL
WHERE delivery IN (SELECT delivery FROM waiting WHERE link = :link AND held = 1 LIMIT :count);

-- name: waiting_put
-- Give a delivery its next due time, or hold it behind another.
INSERT INTO waiting (delivery, link, event, due, n, earlier, first, subject, held, created)
VALUES (:delivery, :link, :event, :due, :n, :earlier, :first, :subject, :held, :created)
ON CONFLICT (delivery) DO UPDATE SET due = excluded.due, n = excluded.n, earlier = excluded.earlier, first = excluded.first,
    subject = excluded.subject, held = excluded.held;

-- name: waiting_put_all (sqlite)
-- The same for many at once. `rows` is a JSON array of objects.
INSERT INTO waiting (delivery, link, event, due, n, earlier, first, subject, held, created)
SELECT value ->> 'delivery', value ->> 'link', value ->> 'event', value ->> 'due', value ->> 'n',
    value ->> 'earlier', value ->> 'first', value ->> 'subject', value ->> 'held', value ->> 'created'
FROM json_each(:rows) WHERE TRUE
ON CONFLICT (delivery) DO UPDATE SET due = excluded.due, n = excluded.n, earlier = excluded.earlier, first = excluded.first,
    subject = excluded.subject, held = excluded.held;

-- name: waiting_put_all (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
INSERT INTO waiting (delivery, link, event, due, n, earlier, first, subject, held, created)
SELECT delivery, link, event, due, n, earlier, first, subject, held, created FROM json_populate_recordset(NULL::waiting, CAST(:rows AS json))
ON CONFLICT (delivery) DO UPDATE SET due = excluded.due, n = excluded.n, earlier = excluded.earlier, first = excluded.first,
    subject = excluded.subject, held = excluded.held;

-- name: waiting_drop
-- A delivery no longer waits.
DELETE FROM waiting WHERE delivery = :delivery;

-- name: link_states
-- The health and the cursor of every link.
SELECT link, cursor, fails, failing_since, last_failure, open, probe_at, probe_delay_seconds, new_fails, refusing,
    held_until, held_status, hold_delay_seconds, succeeded_at, failed_to, older_until, doubted, suspected
FROM link_state;

-- name: link_states_of (sqlite)
-- The same of some links.
SELECT s.link, s.cursor, s.fails, s.failing_since, s.last_failure, s.open, s.probe_at, s.probe_delay_seconds, s.new_fails,
    s.refusing, s.held_until, s.held_status, s.hold_delay_seconds, s.succeeded_at
FROM json_each(:links) AS j JOIN link_state AS s ON s.link = j.value;

-- name: link_states_of (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
SELECT s.link, s.cursor, s.fails, s.failing_since, s.last_failure, s.open, s.probe_at, s.probe_delay_seconds, s.new_fails,
    s.refusing, s.held_until, s.held_status, s.hold_delay_seconds, s.succeeded_at
FROM link_state AS s
WHERE s.link IN (SELECT CAST(value AS bigint) FROM jsonb_array_elements_text(CAST(:links AS jsonb)));

-- name: link_state_put
-- Store the health and the cursor of a link.
INSERT INTO link_state (
    link, cursor, fails, failing_since, last_failure, open, probe_at, probe_delay_seconds, new_fails, refusing,
    held_until, held_status, hold_delay_seconds, succeeded_at, failed_to, older_until, doubted, suspected
) VALUES (
    :link, :cursor, :fails, :failing_since, :last_failure, :open, :probe_at, :probe_delay_seconds, :new_fails, :refusing,
    :held_until, :held_status, :hold_delay_seconds, :succeeded_at, :failed_to, :older_until, :doubted, :suspected
)
ON CONFLICT (link) DO UPDATE SET cursor = excluded.cursor, fails = excluded.fails,
    failing_since = excluded.failing_since, last_failure = excluded.last_failure, open = excluded.open,
    probe_at = excluded.probe_at, probe_delay_seconds = excluded.probe_delay_seconds, new_fails = excluded.new_fails,
    refusing = excluded.refusing, held_until = excluded.held_until, held_status = excluded.held_status,
    hold_delay_seconds = excluded.hold_delay_seconds, succeeded_at = excluded.succeeded_at,
    failed_to = excluded.failed_to, older_until = excluded.older_until, doubted = excluded.doubted,
    suspected = excluded.suspected;

-- name: attempt_of
-- One attempt, to tell a repeated settlement from another one.
SELECT at, outcome FROM attempt WHERE delivery = :delivery AND n = :n;

-- name: last_attempt_number
-- How often a delivery was attempted.
SELECT COALESCE(MAX(n), 0) FROM attempt WHERE delivery = :delivery;

-- name: part_of
-- The element that a delivery is about.
SELECT element FROM part WHERE delivery = :delivery;

-- name: parts_of
-- How many deliveries were made of one.
SELECT COUNT(*) FROM part WHERE link = :link AND parent = :parent;

-- name: link_parts
-- Whether a link has ever split an event.
SELECT 1 FROM part WHERE link = :link LIMIT 1;

-- name: link_once
-- Whether a link has succeeded for a key.
SELECT 1 FROM link_once WHERE link = :link AND key = :key;

-- name: link_once_put
-- Write down that a link has succeeded for a key.
INSERT INTO link_once (link, key) VALUES (:link, :key) ON CONFLICT DO NOTHING;

-- name: waiting_numbers
-- A link's deliveries that have a due time, in the order of their numbers.
SELECT delivery FROM waiting
WHERE link >= 0 AND link = :link AND delivery > :after AND delivery <= :until ORDER BY delivery LIMIT :count;

-- name: link_window
-- Where a step over a link's deliveries ends.
SELECT MAX(number), COUNT(*) FROM (
    SELECT number FROM delivery WHERE link = :link AND number > :after AND number <= :until ORDER BY number LIMIT :count
) AS step;

-- name: untried_cancel
-- Write down that all of a step were cancelled: one statement, because there may be a million.
INSERT INTO attempt (delivery, n, at, outcome, state, status, duration_ms, request, response, reason, ended_link)
SELECT d.number, 1, :now, :outcome, :state, NULL, 0, NULL, NULL, :reason, d.link FROM delivery AS d
WHERE d.link = :link AND d.number > :after AND d.number <= :until
    AND NOT EXISTS (SELECT 1 FROM attempt AS a WHERE a.delivery = d.number)
    AND NOT EXISTS (SELECT 1 FROM waiting AS w WHERE w.delivery = d.number);

-- name: untried_from
-- Where a link's own backlog begins.
SELECT COALESCE(
    (SELECT s.cursor FROM link_state AS s WHERE s.link = :link),
    (SELECT c.position FROM cursor AS c WHERE c.name = 'deliver' AND c.journal = :journal)
);

-- name: waiting_hurry
-- Let it be due now, and begin its schedule anew.
UPDATE waiting SET due = :now, first = :now, earlier = n WHERE delivery = :delivery AND held = 0;
