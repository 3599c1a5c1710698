-- Acts: who changed what, when, by which operation, and what was before and after. They hold no secrets.
CREATE TABLE act (
    id TEXT NOT NULL PRIMARY KEY,
    time INTEGER NOT NULL,
    key TEXT NOT NULL,
    operation TEXT NOT NULL,
    path TEXT NOT NULL,
    request_id TEXT NOT NULL,
    changes TEXT NOT NULL,
    changes_total INTEGER NOT NULL
) STRICT;

-- What an act is about, by id or name, to find the acts of one thing.
CREATE TABLE act_about (
    about TEXT NOT NULL,
    act TEXT NOT NULL,
    PRIMARY KEY (about, act)
) STRICT, WITHOUT ROWID;
CREATE INDEX act_about_by_act ON act_about (act);
