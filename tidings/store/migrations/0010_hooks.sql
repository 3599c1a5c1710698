-- Hooks: URLs at which others' webhooks come in. Options as JSON, secrets sealed.
CREATE TABLE hook (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT,
    path TEXT NOT NULL UNIQUE,
    options TEXT NOT NULL,
    sealed BLOB NOT NULL,
    revision INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT;

-- What came to hooks, as it came. `key` names a delivery of the sender's, so that a repeat is one failed insert.
CREATE TABLE receipt (
    id TEXT NOT NULL PRIMARY KEY,
    hook TEXT NOT NULL,
    tenant TEXT,
    key TEXT,
    state TEXT NOT NULL,
    received INTEGER NOT NULL,
    client TEXT NOT NULL,
    method TEXT NOT NULL,
    target TEXT NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL,
    event TEXT,
    reason TEXT,
    detail TEXT
) STRICT;
CREATE UNIQUE INDEX receipt_once ON receipt (hook, key);
CREATE INDEX receipt_of_hook ON receipt (hook, id);
CREATE INDEX receipt_refused ON receipt (id) WHERE state = 'refused';
CREATE INDEX receipt_refused_of_hook ON receipt (hook, id) WHERE state = 'refused';
