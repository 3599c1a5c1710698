-- What links keep of answers, by the name of their connection (or of the link) and the subject of events.
CREATE TABLE kept (
    space TEXT NOT NULL,
    tenant TEXT NOT NULL,
    subject TEXT NOT NULL,
    value TEXT NOT NULL,
    updated INTEGER NOT NULL,
    PRIMARY KEY (space, tenant, subject)
) STRICT, WITHOUT ROWID;
