-- What operators and owners look at: endpoints with what waits for them, deliveries with their attempts.

-- name: waiting_count
-- Rows with a due time, and the link's deliveries that were never tried.
SELECT (SELECT COUNT(*) FROM waiting AS w WHERE w.link = :link) + (
    SELECT COUNT(*) FROM delivery AS d
    WHERE d.link = :link
        AND d.number > COALESCE(
            (SELECT s.cursor FROM link_state AS s WHERE s.link = :link),
            (SELECT c.position FROM cursor AS c WHERE c.name = 'deliver' AND c.journal = :journal)
        )
        AND NOT EXISTS (SELECT 1 FROM attempt AS a WHERE a.delivery = d.number)
        AND NOT EXISTS (SELECT 1 FROM waiting AS w WHERE w.delivery = d.number)
);

-- name: delivery_attempts
-- Every attempt of a delivery, in order.
SELECT n, at, outcome, state, status, duration_ms, request, response, reason FROM attempt
WHERE delivery = :delivery ORDER BY n;

-- name: delivery_of_event
-- The delivery of an event to one link.
SELECT number, created FROM delivery WHERE event = (SELECT seq FROM event WHERE id = :id AND target = :link) AND link = :link;

-- name: first_delivery_since
-- Numbers grow with time: a step of the search for the first one of a time range.
SELECT number, created FROM delivery WHERE number >= :from ORDER BY number LIMIT 1;

-- name: first_event_since
-- The same for events.
SELECT seq, created FROM event WHERE seq >= :from ORDER BY seq LIMIT 1;

-- name: deliveries_by_number (sqlite)
-- Deliveries with their last attempt and their due time. SQLite has no arrays: the numbers come as JSON.
SELECT d.number, d.event, d.link, d.created, e.id, e.type, a.n, a.at, a.outcome, a.state, a.status, w.due, w.held, p.element
FROM json_each(:numbers) AS j CROSS JOIN delivery AS d ON d.number = j.value
    LEFT JOIN event AS e ON e.seq = d.event
    LEFT JOIN attempt AS a ON a.delivery = d.number
        AND a.n = (SELECT MAX(l.n) FROM attempt AS l WHERE l.delivery = d.number)
    LEFT JOIN waiting AS w ON w.delivery = d.number
    LEFT JOIN part AS p ON p.delivery = d.number
ORDER BY d.number DESC;

-- name: deliveries_by_number (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
SELECT d.number, d.event, d.link, d.created, e.id, e.type, a.n, a.at, a.outcome, a.state, a.status, w.due, w.held, p.element
FROM delivery AS d
    LEFT JOIN event AS e ON e.seq = d.event
    LEFT JOIN LATERAL (
        SELECT l.n, l.at, l.outcome, l.state, l.status FROM attempt AS l
        WHERE l.delivery = d.number ORDER BY l.n DESC LIMIT 1
    ) AS a ON TRUE
    LEFT JOIN waiting AS w ON w.delivery = d.number
    LEFT JOIN part AS p ON p.delivery = d.number
WHERE d.number = ANY (CAST(ARRAY(SELECT jsonb_array_elements_text(CAST(:numbers AS jsonb))) AS bigint[]))
ORDER BY d.number DESC;

-- The numbers of deliveries between two, from each place that lists are made from: the highest first, and (`_up`)
-- the lowest first.

-- name: numbers_all
-- All deliveries, the newest first.
SELECT number FROM delivery
WHERE number > :after AND number < :before ORDER BY number DESC LIMIT :count;

-- name: numbers_all_up
-- All deliveries, the oldest first.
SELECT number FROM delivery
WHERE number > :after AND number < :before ORDER BY number ASC LIMIT :count;

-- name: numbers_of_links (sqlite)
-- The deliveries of a few links, each beyond a number of its own, the newest first: the first ones of each.
SELECT d.link, d.number FROM json_each(:links) AS j CROSS JOIN delivery AS d
WHERE d.link = j.value ->> 'link' AND d.number IN (
    SELECT number FROM delivery
    WHERE link = j.value ->> 'link' AND number > max(:after, j.value ->> 'after') AND number < :before
    ORDER BY number DESC LIMIT :count
);

-- name: numbers_of_links (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
SELECT part.link, d.number FROM json_to_recordset(CAST(:links AS json)) AS part (link bigint, after bigint) CROSS JOIN LATERAL (
    SELECT number FROM delivery
    WHERE link = part.link AND number > greatest(:after, part.after) AND number < :before
    ORDER BY number DESC LIMIT :count
) AS d;

-- name: numbers_of_links_up (sqlite)
-- The deliveries of a few links, each beyond a number of its own, the oldest first: the first ones of each.
SELECT d.link, d.number FROM json_each(:links) AS j CROSS JOIN delivery AS d
WHERE d.link = j.value ->> 'link' AND d.number IN (
    SELECT number FROM delivery
    WHERE link = j.value ->> 'link' AND number > max(:after, j.value ->> 'after') AND number < :before
    ORDER BY number ASC LIMIT :count
);

-- name: numbers_of_links_up (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
SELECT part.link, d.number FROM json_to_recordset(CAST(:links AS json)) AS part (link bigint, after bigint) CROSS JOIN LATERAL (
    SELECT number FROM delivery
    WHERE link = part.link AND number > greatest(:after, part.after) AND number < :before
    ORDER BY number ASC LIMIT :count
) AS d;

-- name: numbers_waiting_of_links (sqlite)
-- What has a due time of its own and belongs to a few links, the newest first: the first ones of each.
SELECT w.link, w.delivery FROM json_each(:links) AS j CROSS JOIN waiting AS w
WHERE w.delivery IN (
    SELECT delivery FROM waiting INDEXED BY waiting_of_link
    WHERE link >= 0 AND link = j.value ->> 'link' AND delivery > :after AND delivery < :before
    ORDER BY delivery DESC LIMIT :count
);

-- name: numbers_waiting_of_links (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart. Asked for `link = ...`, it would read the primary key backwards
-- through everybody's rows, as one link in a thousand promises it ten rows soon; pairs can be read from the index alone.
SELECT part.link, w.delivery FROM json_to_recordset(CAST(:links AS json)) AS part (link bigint) CROSS JOIN LATERAL (
    SELECT delivery FROM waiting
    WHERE link >= 0 AND (link, delivery) > (part.link, :after) AND (link, delivery) < (part.link, :before)
    ORDER BY link DESC, delivery DESC LIMIT :count
) AS w;

-- name: numbers_waiting_of_links_up (sqlite)
-- What has a due time of its own and belongs to a few links, the oldest first.
SELECT w.link, w.delivery FROM json_each(:links) AS j CROSS JOIN waiting AS w
WHERE w.delivery IN (
    SELECT delivery FROM waiting INDEXED BY waiting_of_link
    WHERE link >= 0 AND link = j.value ->> 'link' AND delivery > :after AND delivery < :before
    ORDER BY delivery ASC LIMIT :count
);

-- name: numbers_waiting_of_links_up (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
SELECT part.link, w.delivery FROM json_to_recordset(CAST(:links AS json)) AS part (link bigint) CROSS JOIN LATERAL (
    SELECT delivery FROM waiting
    WHERE link >= 0 AND (link, delivery) > (part.link, :after) AND (link, delivery) < (part.link, :before)
    ORDER BY link ASC, delivery ASC LIMIT :count
) AS w;

-- name: numbers_ended_of_links (sqlite)
-- What ended in a state and belongs to a few links, the newest first: the first ones of each.
SELECT a.ended_link, a.delivery FROM json_each(:links) AS j CROSS JOIN attempt AS a
WHERE a.ended_link = j.value ->> 'link' AND a.state = :state AND a.delivery IN (
    SELECT delivery FROM attempt
    WHERE ended_link = j.value ->> 'link' AND state = :state AND delivery > :after AND delivery < :before
    ORDER BY delivery DESC LIMIT :count
);

-- name: numbers_ended_of_links (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
SELECT part.link, a.delivery FROM json_to_recordset(CAST(:links AS json)) AS part (link bigint) CROSS JOIN LATERAL (
    SELECT delivery FROM attempt
    WHERE ended_link = part.link AND state = :state AND delivery > :after AND delivery < :before
    ORDER BY delivery DESC LIMIT :count
) AS a;

-- name: numbers_ended_of_links_up (sqlite)
-- What ended in a state and belongs to a few links, the oldest first.
SELECT a.ended_link, a.delivery FROM json_each(:links) AS j CROSS JOIN attempt AS a
WHERE a.ended_link = j.value ->> 'link' AND a.state = :state AND a.delivery IN (
    SELECT delivery FROM attempt
    WHERE ended_link = j.value ->> 'link' AND state = :state AND delivery > :after AND delivery < :before
    ORDER BY delivery ASC LIMIT :count
);

-- name: numbers_ended_of_links_up (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
SELECT part.link, a.delivery FROM json_to_recordset(CAST(:links AS json)) AS part (link bigint) CROSS JOIN LATERAL (
    SELECT delivery FROM attempt
    WHERE ended_link = part.link AND state = :state AND delivery > :after AND delivery < :before
    ORDER BY delivery ASC LIMIT :count
) AS a;

-- name: numbers_of_event
-- An event's deliveries, the newest first.
SELECT d.number FROM delivery AS d JOIN event AS e ON e.seq = d.event
WHERE e.id = :event AND d.number > :after AND d.number < :before ORDER BY d.number DESC LIMIT :count;

-- name: numbers_of_event_up
-- An event's deliveries, the oldest first.
SELECT d.number FROM delivery AS d JOIN event AS e ON e.seq = d.event
WHERE e.id = :event AND d.number > :after AND d.number < :before ORDER BY d.number ASC LIMIT :count;

-- name: numbers_ended_dead
-- The state stands in the text, so that the partial index is used.
SELECT delivery FROM attempt
WHERE state IN ('dead', 'cancelled') AND state = 'dead' AND delivery > :after AND delivery < :before
ORDER BY delivery DESC LIMIT :count;

-- name: numbers_ended_dead_up
-- The same, the oldest first.
SELECT delivery FROM attempt
WHERE state IN ('dead', 'cancelled') AND state = 'dead' AND delivery > :after AND delivery < :before
ORDER BY delivery ASC LIMIT :count;

-- name: numbers_ended_cancelled
-- What was cancelled, the newest first.
SELECT delivery FROM attempt
WHERE state IN ('dead', 'cancelled') AND state = 'cancelled' AND delivery > :after AND delivery < :before
ORDER BY delivery DESC LIMIT :count;

-- name: numbers_ended_cancelled_up
-- What was cancelled, the oldest first.
SELECT delivery FROM attempt
WHERE state IN ('dead', 'cancelled') AND state = 'cancelled' AND delivery > :after AND delivery < :before
ORDER BY delivery ASC LIMIT :count;

-- name: numbers_replaced
-- What a newer event replaced, the newest first.
SELECT delivery FROM attempt
WHERE state = 'replaced' AND delivery > :after AND delivery < :before ORDER BY delivery DESC LIMIT :count;

-- name: numbers_replaced_up
-- The same, the oldest first.
SELECT delivery FROM attempt
WHERE state = 'replaced' AND delivery > :after AND delivery < :before ORDER BY delivery ASC LIMIT :count;

-- name: numbers_waiting
-- What has a due time of its own, the newest first.
SELECT delivery FROM waiting
WHERE delivery > :after AND delivery < :before ORDER BY delivery DESC LIMIT :count;

-- name: numbers_waiting_up
-- What has a due time of its own, the oldest first.
SELECT delivery FROM waiting
WHERE delivery > :after AND delivery < :before ORDER BY delivery ASC LIMIT :count;

-- name: count_all
-- A count stops where it would take long.
SELECT COUNT(*) FROM (
    SELECT 1 AS one FROM delivery WHERE number > :after AND number < :before LIMIT :count
) AS part;

-- name: count_of_link
-- How many deliveries a link has between two numbers, up to a limit.
SELECT COUNT(*) FROM (
    SELECT 1 AS one FROM delivery WHERE link = :link AND number > :after AND number < :before LIMIT :count
) AS part;

-- name: links_lagging
-- Links that read their own backlog, and from where.
SELECT link, cursor FROM link_state WHERE cursor IS NOT NULL;

-- name: links_busy (sqlite)
-- Of some links, those with deliveries that have a due time, or that are beyond the head of the line.
SELECT j.value FROM json_each(:links) AS j WHERE EXISTS (SELECT 1 FROM waiting AS w WHERE w.link = j.value)
    OR EXISTS (SELECT 1 FROM delivery AS d WHERE d.link = j.value AND d.number > :head);

-- name: links_busy (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
SELECT l.num FROM (SELECT CAST(value AS bigint) AS num FROM jsonb_array_elements_text(CAST(:links AS jsonb))) AS l
WHERE EXISTS (SELECT 1 FROM waiting AS w WHERE w.link = l.num)
    OR EXISTS (SELECT 1 FROM delivery AS d WHERE d.link = l.num AND d.number > :head);

-- What health reports ask: each statement looks at a bounded number of rows, along an index.

-- name: waiting_first
-- The lowest numbers that have a due time: the oldest of many links at once.
SELECT delivery, link, created FROM waiting ORDER BY delivery LIMIT :count;

-- name: untried_first
-- The first deliveries that were never tried, among the next ones at the head of the line.
SELECT part.number, part.link, part.created FROM (
    SELECT number, link, created FROM delivery WHERE number > :after ORDER BY number LIMIT :count
) AS part
WHERE NOT EXISTS (SELECT 1 FROM attempt AS a WHERE a.delivery = part.number)
    AND NOT EXISTS (SELECT 1 FROM waiting AS w WHERE w.delivery = part.number)
ORDER BY part.number;

-- name: backlogs (sqlite)
-- Of each of a few links, with where it reads its own backlog from: the first delivery that was never tried and the oldest
-- that has a due time, each among the first ones; how many wait, up to a limit for each kind; and the last attempt of what
-- is retried next. In one statement, as each round trip waits for its turn when the server is busy.
WITH part AS (
    SELECT value ->> 'link' AS link, value ->> 'after' AS beyond FROM json_each(:links)
), found AS (
    SELECT part.link,
        (SELECT u.number FROM (
            SELECT number FROM delivery WHERE link = part.link AND number > part.beyond ORDER BY number LIMIT :looked
        ) AS u WHERE NOT EXISTS (SELECT 1 FROM attempt AS a WHERE a.delivery = u.number)
            AND NOT EXISTS (SELECT 1 FROM waiting AS w WHERE w.delivery = u.number)
        ORDER BY u.number LIMIT 1) AS untried,
        (SELECT t.delivery FROM (
            SELECT delivery FROM waiting WHERE link = part.link ORDER BY due LIMIT :looked
        ) AS t ORDER BY t.delivery LIMIT 1) AS timed,
        (SELECT COUNT(*) FROM (SELECT 1 AS one FROM waiting WHERE link = part.link LIMIT :count) AS t) AS timed_count,
        (SELECT COUNT(*) FROM (
            SELECT number FROM delivery WHERE link = part.link AND number > part.beyond ORDER BY number LIMIT :count
        ) AS u WHERE NOT EXISTS (SELECT 1 FROM attempt AS a WHERE a.delivery = u.number)
            AND NOT EXISTS (SELECT 1 FROM waiting AS w WHERE w.delivery = u.number)) AS untried_count,
        (SELECT delivery FROM waiting WHERE link = part.link AND n > 0 ORDER BY due LIMIT 1) AS failed
    FROM part
)
SELECT f.link, f.untried, d.created, f.timed, w.created, f.timed_count + f.untried_count, a.outcome, a.status, a.reason
FROM found AS f LEFT JOIN delivery AS d ON d.number = f.untried LEFT JOIN waiting AS w ON w.delivery = f.timed
    LEFT JOIN attempt AS a ON a.delivery = f.failed AND a.n = (SELECT MAX(l.n) FROM attempt AS l WHERE l.delivery = f.failed);

-- name: backlogs (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
SELECT part.link, u.number, u.created, t.delivery, t.created, tc.count + uc.count, f.outcome, f.status, f.reason
FROM json_to_recordset(CAST(:links AS json)) AS part (link bigint, after bigint)
LEFT JOIN LATERAL (
    SELECT d.number, d.created FROM (
        SELECT number, created FROM delivery WHERE link = part.link AND number > part.after ORDER BY number LIMIT :looked
    ) AS d
    WHERE NOT EXISTS (SELECT 1 FROM attempt AS a WHERE a.delivery = d.number)
        AND NOT EXISTS (SELECT 1 FROM waiting AS w WHERE w.delivery = d.number)
    ORDER BY d.number LIMIT 1
) AS u ON TRUE
LEFT JOIN LATERAL (
    SELECT w.delivery, w.created FROM (
        SELECT delivery, created FROM waiting WHERE link = part.link ORDER BY due LIMIT :looked
    ) AS w ORDER BY w.delivery LIMIT 1
) AS t ON TRUE
LEFT JOIN LATERAL (
    SELECT COUNT(*) AS count FROM (SELECT 1 AS one FROM waiting WHERE link = part.link LIMIT :count) AS timed
) AS tc ON TRUE
LEFT JOIN LATERAL (
    SELECT COUNT(*) AS count FROM (
        SELECT number FROM delivery WHERE link = part.link AND number > part.after ORDER BY number LIMIT :count
    ) AS d
    WHERE NOT EXISTS (SELECT 1 FROM attempt AS a WHERE a.delivery = d.number)
        AND NOT EXISTS (SELECT 1 FROM waiting AS w WHERE w.delivery = d.number)
) AS uc ON TRUE
LEFT JOIN LATERAL (
    SELECT a.outcome, a.status, a.reason FROM (
        SELECT delivery FROM waiting WHERE link = part.link AND n > 0 ORDER BY due LIMIT 1
    ) AS w JOIN attempt AS a ON a.delivery = w.delivery
    ORDER BY a.n DESC LIMIT 1
) AS f ON TRUE;

-- name: plan_by_index (sqlite)
-- SQLite reads along indexes anyway.
SELECT 1;

-- name: plan_by_index (postgres)
-- In this transaction, read along indexes up to the limits. Links differ a thousandfold, and a plan made for the average
-- one would first collect all rows of a large one. Compiling a statement would take longer than running it.
SELECT set_config(name, 'off', TRUE) FROM (VALUES
    ('enable_bitmapscan'), ('enable_seqscan'), ('enable_hashjoin'), ('enable_mergejoin'), ('jit')
) AS wanted (name);

-- name: backlog_size
-- How many deliveries a link that lags has in its backlog, up to a limit; the few that were tried early are counted too.
SELECT COUNT(*) FROM (SELECT 1 AS one FROM delivery WHERE link = :link AND number > :after LIMIT :count) AS part;

-- name: last_attempts (sqlite)
-- The last attempts of deliveries, and whether they wait. The reason is read only where it counts: it lies behind what
-- was answered.
SELECT d.number, d.link, d.created, a.at, a.outcome, a.state, a.status,
    CASE WHEN a.at >= :since THEN a.reason END, w.delivery
FROM json_each(:numbers) AS j CROSS JOIN delivery AS d ON d.number = j.value
    JOIN attempt AS a ON a.delivery = d.number AND a.n = (SELECT MAX(l.n) FROM attempt AS l WHERE l.delivery = d.number)
    LEFT JOIN waiting AS w ON w.delivery = d.number;

-- name: last_attempts (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
SELECT d.number, d.link, d.created, a.at, a.outcome, a.state, a.status, a.reason, w.delivery
FROM delivery AS d
    JOIN LATERAL (
        SELECT l.at, l.outcome, l.state, l.status, CASE WHEN l.at >= :since THEN l.reason END AS reason FROM attempt AS l
        WHERE l.delivery = d.number ORDER BY l.n DESC LIMIT 1
    ) AS a ON TRUE
    LEFT JOIN waiting AS w ON w.delivery = d.number
WHERE d.number = ANY (CAST(ARRAY(SELECT jsonb_array_elements_text(CAST(:numbers AS jsonb))) AS bigint[]));

-- name: links_of_deliveries (sqlite)
-- Through which links deliveries go.
SELECT d.number, d.link FROM json_each(:numbers) AS j CROSS JOIN delivery AS d ON d.number = j.value;

-- name: links_of_deliveries (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
SELECT number, link FROM delivery
WHERE number = ANY (CAST(ARRAY(SELECT jsonb_array_elements_text(CAST(:numbers AS jsonb))) AS bigint[]));
