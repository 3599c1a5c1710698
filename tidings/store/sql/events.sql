-- Events and their numbers: taking numbers, appending, and what the route stage reads.

-- name: event_last_stored
-- When the last event was stored.
SELECT created FROM event ORDER BY seq DESC LIMIT 1;

-- name: journal_begin
-- A journal that nobody has written to yet begins before its first number.
INSERT INTO cursor (name, journal, position) VALUES
    ('event', :journal, :position), ('delivery', :journal, :position), ('route', :journal, :position),
    ('deliver', :journal, :position), ('pruned', :journal, :position), ('tallied', :journal, :position),
    ('tally', :journal, 0)
ON CONFLICT (name, journal) DO NOTHING;

-- name: journal_join (postgres)
-- Of joined nodes, each stores its events no earlier than the last that was stored, whatever its clock says.
UPDATE cursor SET stored = GREATEST(stored, COALESCE((SELECT created FROM event ORDER BY seq DESC LIMIT 1), 0))
WHERE name = 'event' AND journal = :journal;

-- name: events_number (postgres)
-- Number and append events, which come as JSON, in this order. The counter's row is locked until the transaction ends.
WITH counter AS (
    UPDATE cursor SET position = position + :count, stored = GREATEST(stored, :now)
    WHERE name = 'event' AND journal = 0 RETURNING position - :count AS before, stored
)
INSERT INTO event (id, type, time, data, tenant, subject, previous, changed, actor, request_id, collection, target, cause, hops, trace, seq, created)
SELECT e.id, e.type, e.time, e.data, e.tenant, e.subject, e.previous, e.changed, e.actor, e.request_id, e.collection, e.target, e.cause, e.hops, e.trace, c.before + e.ordinality, c.stored
FROM counter AS c, json_populate_recordset(NULL::event, CAST(:rows AS json)) WITH ORDINALITY AS e;

-- name: counter_free (postgres)
-- End sessions that have numbered events, hold the counter's row since, and whose COMMIT has not arrived for a second, though
-- it was sent with that statement: the network broke in between, or within the messages of COMMIT itself.
SELECT a.application_name, pg_terminate_backend(a.pid) FROM pg_stat_activity AS a
WHERE a.datname = current_database() AND a.usename = current_user AND a.pid <> pg_backend_pid()
    AND a.state = 'active' AND a.wait_event = 'ClientRead' AND (a.query LIKE 'WITH counter AS (%' OR a.query = 'COMMIT')
    AND EXISTS (
        SELECT 1 FROM pg_locks AS l
        WHERE l.pid = a.pid AND l.relation = CAST('cursor' AS regclass) AND l.mode = 'RowExclusiveLock' AND l.granted
    )
    AND a.query_start < clock_timestamp() - CAST(:patience AS interval);

-- name: events_copied_make (postgres)
-- Where events are put that are too many for one statement, until they are numbered; `seq` is their place.
CREATE TEMPORARY TABLE copied_event (LIKE event) ON COMMIT DROP;

-- name: events_number_copied (postgres)
-- The same as `events_number` of events that were copied.
WITH counter AS (
    UPDATE cursor SET position = position + :count, stored = GREATEST(stored, :now)
    WHERE name = 'event' AND journal = 0 RETURNING position - :count AS before, stored
)
INSERT INTO event (id, type, time, data, tenant, subject, previous, changed, actor, request_id, collection, target, cause, hops, trace, seq, created)
SELECT e.id, e.type, e.time, e.data, e.tenant, e.subject, e.previous, e.changed, e.actor, e.request_id, e.collection, e.target, e.cause, e.hops, e.trace, c.before + e.seq, c.stored FROM counter AS c, copied_event AS e;

-- name: numbers_take
-- Take a run of numbers. The row is locked until the transaction ends, so that numbers become visible in order.
UPDATE cursor SET position = position + :count WHERE name = :name AND journal = :journal RETURNING position;

-- name: cursor_read
-- Where a counter or a cursor is.
SELECT position FROM cursor WHERE name = :name AND journal = :journal;

-- name: cursor_lock (postgres)
-- The same, and nobody else moves it until the transaction ends.
SELECT position FROM cursor WHERE name = :name AND journal = :journal FOR UPDATE;

-- name: cursors
-- Where a journal's counters and its stages are.
SELECT name, position FROM cursor WHERE name IN ('event', 'route', 'delivery', 'deliver') AND journal = :journal;

-- name: cursor_move
-- A stage is done up to a number.
UPDATE cursor SET position = :position WHERE name = :name AND journal = :journal;

-- name: cursors_move (postgres)
-- The same of several at once: names and positions are arrays.
UPDATE cursor AS c SET position = v.position
FROM unnest(CAST(:names AS text[]), CAST(:positions AS bigint[])) AS v (name, position)
WHERE c.name = v.name AND c.journal = :journal;

-- name: events_known (sqlite)
-- SQLite has no arrays: the ids come as JSON.
SELECT e.id, e.tenant, e.time, e.type, e.subject, e.collection, e.data FROM json_each(:ids) AS j JOIN event AS e ON e.id = j.value;

-- name: events_known (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
SELECT e.id, e.tenant, e.time, e.type, e.subject, e.collection, e.data
FROM jsonb_array_elements_text(CAST(:ids AS jsonb)) AS j (value) JOIN event AS e ON e.id = j.value;

-- name: events_to_route
-- What the route stage needs of the events after its cursor, up to the end of its journal; bodies are read only where a
-- filter asks for them.
SELECT seq, id, tenant, type, subject, target, created, trace FROM event
WHERE seq > (SELECT position FROM cursor WHERE name = 'route' AND journal = :journal) AND seq <= :until
ORDER BY seq LIMIT :count;

-- name: events_of_tenant_to_route
-- The same of one tenant that is aside, from its own position on.
SELECT seq, id, tenant, type, subject, target, created, trace FROM event
WHERE tenant = :tenant AND seq > :after AND seq <= :until ORDER BY seq LIMIT :count;

-- name: others_to_route
-- Whether events of other tenants stand behind this one's.
SELECT seq FROM event
WHERE seq > :after AND seq <= :until AND tenant IS DISTINCT FROM :tenant LIMIT 1;

-- name: events_between_to_route
-- The same of everybody: events without a tenant have no index.
SELECT seq, id, tenant, type, subject, target, created, trace FROM event
WHERE seq > :after AND seq <= :until ORDER BY seq LIMIT :count;

-- name: route_aside
-- The tenants that are routed from positions of their own.
SELECT tenant, position FROM route_aside;

-- name: route_aside_put
-- Put a tenant aside, or move its position.
INSERT INTO route_aside (tenant, position) VALUES (:tenant, :position)
ON CONFLICT (tenant) DO UPDATE SET position = excluded.position;

-- name: route_aside_drop
-- A tenant has caught up.
DELETE FROM route_aside WHERE tenant = :tenant;

-- name: route_aside_first
-- The first position of those that are aside; of one tenant, or (NULL) of any. The casts tell PostgreSQL the type.
SELECT MIN(position) FROM route_aside WHERE CAST(:tenant AS TEXT) IS NULL OR tenant = CAST(:tenant AS TEXT);

-- name: events_for_filter (sqlite)
-- SQLite has no arrays: the numbers come as JSON.
SELECT e.seq, e.type, e.subject, e.data, e.previous, e.changed
FROM json_each(:seqs) AS j CROSS JOIN event AS e ON e.seq = j.value;

-- name: events_for_filter (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
SELECT e.seq, e.type, e.subject, e.data, e.previous, e.changed
FROM event AS e WHERE e.seq = ANY (CAST(ARRAY(SELECT jsonb_array_elements_text(CAST(:seqs AS jsonb))) AS bigint[]));

-- name: event_for_filter
-- One event, with what a filter may ask about.
SELECT type, subject, data, previous, changed FROM event WHERE seq = :seq;

-- name: events_by_seq (sqlite)
-- SQLite has no arrays: the numbers come as JSON.
SELECT e.seq, e.id, e.tenant, e.type, e.subject, e.time, e.data, e.previous, e.changed,
    e.actor, e.request_id, e.collection, e.hops, e.trace
FROM json_each(:seqs) AS j CROSS JOIN event AS e ON e.seq = j.value;

-- name: events_by_seq (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
SELECT e.seq, e.id, e.tenant, e.type, e.subject, e.time, e.data, e.previous, e.changed,
    e.actor, e.request_id, e.collection, e.hops, e.trace
FROM event AS e WHERE e.seq = ANY (CAST(ARRAY(SELECT jsonb_array_elements_text(CAST(:seqs AS jsonb))) AS bigint[]));
