-- What a link's answers said beyond failures: its last success, what it refuses, and until when it asked for a rest.

ALTER TABLE link_state ADD COLUMN succeeded_at INTEGER;
ALTER TABLE link_state ADD COLUMN new_fails INTEGER NOT NULL DEFAULT 0;
ALTER TABLE link_state ADD COLUMN refusing INTEGER NOT NULL DEFAULT 0;
ALTER TABLE link_state ADD COLUMN held_until INTEGER;
ALTER TABLE link_state ADD COLUMN held_status INTEGER;
ALTER TABLE link_state ADD COLUMN hold_delay_seconds REAL NOT NULL DEFAULT 0;
