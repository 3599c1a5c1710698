-- The store as a whole: facts about it, and tallies of attempts.

-- name: store_fact
-- One fact.
SELECT value FROM store WHERE name = :name;

-- name: store_fact_put
-- Write a fact down, unless it is already so.
INSERT INTO store (name, value) VALUES (:name, :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE store.value <> excluded.value;

-- name: store_fact_keep
-- Write a fact down that stays as it was written first.
INSERT INTO store (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING;

-- name: any_link
-- Whether there is any link at all.
SELECT 1 FROM link LIMIT 1;

-- Tallies: what settlements add to, what charts read, what retention drops.

-- name: tally_add_one
-- Add to a row, or create it.
INSERT INTO tally (link, seconds, at, accepted, delivered, rejected, timeout, unreachable, failed, skipped, ms_sum, b0, b1, b2,
    b3, b4, b5, b6, b7, b8, b9, b10, b11)
VALUES (:link, :seconds, :at, :accepted, :delivered, :rejected, :timeout, :unreachable, :failed, :skipped, :ms_sum,
    :b0, :b1, :b2, :b3, :b4, :b5, :b6, :b7, :b8, :b9, :b10, :b11)
ON CONFLICT (link, seconds, at) DO UPDATE SET
    accepted = tally.accepted + excluded.accepted, delivered = tally.delivered + excluded.delivered,
    rejected = tally.rejected + excluded.rejected, timeout = tally.timeout + excluded.timeout,
    unreachable = tally.unreachable + excluded.unreachable, failed = tally.failed + excluded.failed,
    skipped = tally.skipped + excluded.skipped, ms_sum = tally.ms_sum + excluded.ms_sum,
    b0 = tally.b0 + excluded.b0, b1 = tally.b1 + excluded.b1, b2 = tally.b2 + excluded.b2,
    b3 = tally.b3 + excluded.b3, b4 = tally.b4 + excluded.b4, b5 = tally.b5 + excluded.b5,
    b6 = tally.b6 + excluded.b6, b7 = tally.b7 + excluded.b7, b8 = tally.b8 + excluded.b8,
    b9 = tally.b9 + excluded.b9, b10 = tally.b10 + excluded.b10, b11 = tally.b11 + excluded.b11;

-- name: tally_add (postgres)
-- The same for many rows, which come as JSON: one round trip.
INSERT INTO tally (link, seconds, at, accepted, delivered, rejected, timeout, unreachable, failed, skipped, ms_sum, b0, b1, b2,
    b3, b4, b5, b6, b7, b8, b9, b10, b11)
SELECT link, seconds, at, accepted, delivered, rejected, timeout, unreachable, failed, skipped, ms_sum, b0, b1, b2,
    b3, b4, b5, b6, b7, b8, b9, b10, b11
FROM json_populate_recordset(NULL::tally, CAST(:rows AS json))
ON CONFLICT (link, seconds, at) DO UPDATE SET
    accepted = tally.accepted + excluded.accepted, delivered = tally.delivered + excluded.delivered,
    rejected = tally.rejected + excluded.rejected, timeout = tally.timeout + excluded.timeout,
    unreachable = tally.unreachable + excluded.unreachable, failed = tally.failed + excluded.failed,
    skipped = tally.skipped + excluded.skipped, ms_sum = tally.ms_sum + excluded.ms_sum,
    b0 = tally.b0 + excluded.b0, b1 = tally.b1 + excluded.b1, b2 = tally.b2 + excluded.b2,
    b3 = tally.b3 + excluded.b3, b4 = tally.b4 + excluded.b4, b5 = tally.b5 + excluded.b5,
    b6 = tally.b6 + excluded.b6, b7 = tally.b7 + excluded.b7, b8 = tally.b8 + excluded.b8,
    b9 = tally.b9 + excluded.b9, b10 = tally.b10 + excluded.b10, b11 = tally.b11 + excluded.b11;

-- name: tally_reason_add (sqlite)
-- The same for reasons; the last example counts.
INSERT INTO tally_reason (link, at, outcome, status, reason, count, first, last, delivery, created)
SELECT j.value ->> '$.link', j.value ->> '$.at', j.value ->> '$.outcome', j.value ->> '$.status',
    j.value ->> '$.reason', j.value ->> '$.count', j.value ->> '$.first', j.value ->> '$.last',
    j.value ->> '$.delivery', j.value ->> '$.created'
FROM json_each(:rows) AS j WHERE TRUE
ON CONFLICT (link, at, outcome, status, reason) DO UPDATE SET
    count = tally_reason.count + excluded.count, last = excluded.last, delivery = excluded.delivery,
    created = excluded.created;

-- name: tally_reason_add (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
INSERT INTO tally_reason (link, at, outcome, status, reason, count, first, last, delivery, created)
SELECT link, at, outcome, status, reason, count, first, last, delivery, created FROM json_populate_recordset(NULL::tally_reason, CAST(:rows AS json))
ON CONFLICT (link, at, outcome, status, reason) DO UPDATE SET
    count = tally_reason.count + excluded.count, last = excluded.last, delivery = excluded.delivery,
    created = excluded.created;

-- name: tally_series (sqlite)
-- The steps of some links, added up by step.
SELECT at, SUM(accepted), SUM(delivered), SUM(rejected), SUM(timeout), SUM(unreachable), SUM(failed), SUM(skipped),
    SUM(ms_sum), SUM(b0), SUM(b1), SUM(b2), SUM(b3), SUM(b4), SUM(b5), SUM(b6), SUM(b7), SUM(b8), SUM(b9),
    SUM(b10), SUM(b11)
FROM tally WHERE link IN (SELECT value FROM json_each(:links)) AND seconds = :seconds AND at >= :since AND at < :until
GROUP BY at ORDER BY at;

-- name: tally_series (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
SELECT at, SUM(accepted), SUM(delivered), SUM(rejected), SUM(timeout), SUM(unreachable), SUM(failed), SUM(skipped),
    SUM(ms_sum), SUM(b0), SUM(b1), SUM(b2), SUM(b3), SUM(b4), SUM(b5), SUM(b6), SUM(b7), SUM(b8), SUM(b9),
    SUM(b10), SUM(b11)
FROM tally WHERE link = ANY (CAST(ARRAY(SELECT jsonb_array_elements_text(CAST(:links AS jsonb))) AS bigint[]))
    AND seconds = :seconds AND at >= :since AND at < :until
GROUP BY at ORDER BY at;

-- name: tally_of_links (sqlite)
-- The hours of some links.
SELECT link, at, accepted, delivered, rejected, timeout, unreachable, failed, skipped, ms_sum, b0, b1, b2, b3, b4, b5, b6, b7,
    b8, b9, b10, b11
FROM tally WHERE link IN (SELECT value FROM json_each(:links)) AND seconds = 3600 AND at >= :since AND at < :until
ORDER BY link, at;

-- name: tally_of_links (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
SELECT link, at, accepted, delivered, rejected, timeout, unreachable, failed, skipped, ms_sum, b0, b1, b2, b3, b4, b5, b6, b7,
    b8, b9, b10, b11
FROM tally WHERE link = ANY (CAST(ARRAY(SELECT jsonb_array_elements_text(CAST(:links AS jsonb))) AS bigint[]))
    AND seconds = 3600 AND at >= :since AND at < :until
ORDER BY link, at;

-- name: tally_sums (sqlite)
-- Of each of some links, its last minutes added up.
SELECT link, SUM(accepted), SUM(delivered), SUM(rejected), SUM(timeout), SUM(unreachable), SUM(failed), SUM(skipped), SUM(ms_sum),
    SUM(b0), SUM(b1), SUM(b2), SUM(b3), SUM(b4), SUM(b5), SUM(b6), SUM(b7), SUM(b8), SUM(b9), SUM(b10), SUM(b11)
FROM tally WHERE link IN (SELECT value FROM json_each(:links)) AND seconds = 60 AND at >= :since GROUP BY link;

-- name: tally_sums (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
SELECT link, SUM(accepted), SUM(delivered), SUM(rejected), SUM(timeout), SUM(unreachable), SUM(failed), SUM(skipped), SUM(ms_sum),
    SUM(b0), SUM(b1), SUM(b2), SUM(b3), SUM(b4), SUM(b5), SUM(b6), SUM(b7), SUM(b8), SUM(b9), SUM(b10), SUM(b11)
FROM tally WHERE link = ANY (CAST(ARRAY(SELECT jsonb_array_elements_text(CAST(:links AS jsonb))) AS bigint[]))
    AND seconds = 60 AND at >= :since GROUP BY link;

-- name: tally_reasons (sqlite)
-- Why attempts of some links failed, hour by hour, the newest first.
SELECT link, outcome, status, reason, count, first, last, delivery, created FROM tally_reason
WHERE link IN (SELECT value FROM json_each(:links)) AND at >= :since AND at < :until ORDER BY at DESC LIMIT :count;

-- name: tally_reasons (postgres)
-- The same, with PostgreSQL's way of taking a JSON list apart.
SELECT link, outcome, status, reason, count, first, last, delivery, created FROM tally_reason
WHERE link = ANY (CAST(ARRAY(SELECT jsonb_array_elements_text(CAST(:links AS jsonb))) AS bigint[]))
    AND at >= :since AND at < :until ORDER BY at DESC LIMIT :count;

-- name: tally_reasons_all
-- The same of all links.
SELECT link, outcome, status, reason, count, first, last, delivery, created FROM tally_reason
WHERE at >= :since AND at < :until ORDER BY at DESC LIMIT :count;

-- name: tally_prune
-- A step through the oldest rows.
DELETE FROM tally WHERE seconds = :seconds AND (link, at) IN (
    SELECT t.link, t.at FROM tally AS t WHERE t.seconds = :seconds AND t.at < :before ORDER BY t.at LIMIT :count
);

-- name: tally_reason_prune
-- The same of reasons.
DELETE FROM tally_reason WHERE (link, at) IN (
    SELECT r.link, r.at FROM tally_reason AS r WHERE r.at < :before ORDER BY r.at LIMIT :count
);

-- name: table_sizes (sqlite)
-- The tables, and how they were made.
SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name;

-- name: table_sizes (postgres)
-- The tables with how many rows statistics say they have, and their bytes with all indexes.
SELECT c.relname, c.reltuples, pg_total_relation_size(c.oid) FROM pg_class AS c
WHERE c.relkind = 'r' AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema());

-- name: store_size (sqlite)
-- SQLite's own pragmas say more.
SELECT 0;

-- name: store_size (postgres)
-- The whole database, in bytes.
SELECT pg_database_size(current_database());
