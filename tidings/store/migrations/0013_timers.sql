-- Timers of links: when each is due. `look`: when to check it next; NULL: the link is paused.
-- `run` is the event of the last run, `last` when that was due, `wall` 1 if it is due at times of day.
CREATE TABLE timer (
    link INTEGER NOT NULL PRIMARY KEY,
    due INTEGER NOT NULL,
    look INTEGER,
    last INTEGER,
    run TEXT,
    wall INTEGER NOT NULL
) STRICT;
CREATE INDEX timer_look ON timer (look) WHERE look IS NOT NULL;
