-- The first schema. Written in SQLite's words; migrate.py turns four of them into PostgreSQL's.
-- A fact's number (seq, number) has its shard in the bits above 48, so that nodes can own shards later.

-- Counters and cursors: the only rows that the hot path rewrites, one per name and shard.
CREATE TABLE cursor (
    name TEXT NOT NULL,
    shard INTEGER NOT NULL,
    position INTEGER NOT NULL,
    epoch INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (name, shard)
) STRICT, WITHOUT ROWID;

INSERT INTO cursor (name, shard, position) VALUES
    ('event', 0, 0),        -- the last number given to an event
    ('delivery', 0, 0),     -- the last number given to a delivery
    ('route', 0, 0),        -- the last event that was routed
    ('deliver', 0, 0),      -- every delivery up to here was attempted, or its link reads its own backlog
    ('pruned', 0, 0);       -- events up to here may have been dropped by retention

CREATE TABLE event (
    seq INTEGER NOT NULL PRIMARY KEY,
    id TEXT NOT NULL,
    tenant TEXT,
    type TEXT NOT NULL,
    subject TEXT,
    time INTEGER NOT NULL,
    created INTEGER NOT NULL,
    data TEXT NOT NULL,
    previous TEXT,
    changed TEXT,
    actor TEXT,
    request_id TEXT,
    target INTEGER
) STRICT;
CREATE UNIQUE INDEX event_by_id ON event (id, COALESCE(tenant, ''));
CREATE INDEX event_by_type ON event (type, seq);
CREATE INDEX event_by_subject ON event (subject, seq) WHERE subject IS NOT NULL;
CREATE INDEX event_by_tenant ON event (tenant, seq) WHERE tenant IS NOT NULL;
CREATE INDEX event_by_time ON event (time);

CREATE TABLE delivery (
    number INTEGER NOT NULL PRIMARY KEY,
    event INTEGER NOT NULL,
    link INTEGER NOT NULL,
    created INTEGER NOT NULL
) STRICT;
CREATE INDEX delivery_by_link ON delivery (link, number);
CREATE INDEX delivery_by_event ON delivery (event);

CREATE TABLE attempt (
    delivery INTEGER NOT NULL,
    n INTEGER NOT NULL,
    at INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    state TEXT NOT NULL,
    status INTEGER,
    duration_ms INTEGER NOT NULL,
    request TEXT,
    response TEXT,
    reason TEXT,
    PRIMARY KEY (delivery, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempt_ended_badly ON attempt (state, delivery) WHERE state IN ('dead', 'cancelled');

-- Deliveries with a due time of their own: retries, and those held behind an earlier one of their subject.
CREATE TABLE waiting (
    delivery INTEGER NOT NULL PRIMARY KEY,
    link INTEGER NOT NULL,
    event INTEGER NOT NULL,
    due INTEGER NOT NULL,
    n INTEGER NOT NULL,
    earlier INTEGER NOT NULL,
    first INTEGER NOT NULL,
    subject TEXT,
    held INTEGER NOT NULL
) STRICT;
CREATE INDEX waiting_by_link ON waiting (link, due);

CREATE TABLE link (
    num INTEGER NOT NULL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    tenant TEXT,
    options TEXT NOT NULL,
    sealed BLOB NOT NULL,
    mode TEXT NOT NULL,
    reason TEXT,
    revision INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    deleted INTEGER
) STRICT;

CREATE TABLE link_state (
    link INTEGER NOT NULL PRIMARY KEY,
    cursor INTEGER,
    fails INTEGER NOT NULL,
    failing_since INTEGER,
    last_failure INTEGER,
    open INTEGER NOT NULL,
    probe_at INTEGER,
    probe_delay_seconds REAL NOT NULL
) STRICT;

CREATE TABLE event_type (
    name TEXT NOT NULL PRIMARY KEY,
    description TEXT NOT NULL,
    schema TEXT,
    example TEXT,
    revision INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT;

CREATE TABLE tenant (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT;

CREATE TABLE key (
    id TEXT NOT NULL PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    tenant TEXT,
    limits TEXT NOT NULL,
    expires INTEGER,
    created INTEGER NOT NULL,
    revoked INTEGER
) STRICT;

-- Calls counted per key and window, so that a restart does not reset a day.
CREATE TABLE call_count (
    key TEXT NOT NULL,
    seconds INTEGER NOT NULL,
    window_start INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    PRIMARY KEY (key, seconds)
) STRICT, WITHOUT ROWID;

-- Answers kept for Idempotency-Key, written in the transaction of the change they answer.
CREATE TABLE answer (
    key TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL,
    headers TEXT NOT NULL,
    body TEXT NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (key, idempotency_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX answer_by_created ON answer (created);

CREATE TABLE replay (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT,
    link INTEGER NOT NULL,
    which TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    state TEXT NOT NULL,
    position INTEGER NOT NULL,
    finish INTEGER NOT NULL,
    total INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    looked_at INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT;
