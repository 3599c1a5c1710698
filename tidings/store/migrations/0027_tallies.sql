-- Tallies: what came of attempts, added up by link and minute, and by link and hour. Link 0 is all links together, and
-- has the events accepted. The columns b0 to b11 count durations (rules/deliver/tally.py).
CREATE TABLE tally (
    link INTEGER NOT NULL,
    seconds INTEGER NOT NULL,
    at INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    timeout INTEGER NOT NULL,
    unreachable INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    skipped INTEGER NOT NULL,
    ms_sum INTEGER NOT NULL,
    b0 INTEGER NOT NULL,
    b1 INTEGER NOT NULL,
    b2 INTEGER NOT NULL,
    b3 INTEGER NOT NULL,
    b4 INTEGER NOT NULL,
    b5 INTEGER NOT NULL,
    b6 INTEGER NOT NULL,
    b7 INTEGER NOT NULL,
    b8 INTEGER NOT NULL,
    b9 INTEGER NOT NULL,
    b10 INTEGER NOT NULL,
    b11 INTEGER NOT NULL,
    PRIMARY KEY (link, seconds, at)
) STRICT, WITHOUT ROWID;
CREATE INDEX tally_by_time ON tally (seconds, at);

-- Why attempts failed, by link and hour, with the last delivery as an example.
CREATE TABLE tally_reason (
    link INTEGER NOT NULL,
    at INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    status INTEGER NOT NULL,    -- 0: there was no response
    reason TEXT NOT NULL,       -- with # for numbers and * for ids
    count INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    delivery INTEGER NOT NULL,
    created INTEGER NOT NULL,   -- of the delivery, whose public id is made of both
    PRIMARY KEY (link, at, outcome, status, reason)
) STRICT, WITHOUT ROWID;
CREATE INDEX tally_reason_by_time ON tally_reason (at);

-- Up to which event events are tallied, and the number of the last batch of tallies.
INSERT INTO cursor (name, journal, position) SELECT 'tallied', journal, position FROM cursor WHERE name = 'event';
INSERT INTO cursor (name, journal, position) SELECT 'tally', journal, 0 FROM cursor WHERE name = 'event';
