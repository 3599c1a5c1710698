-- When the last event of a journal was stored: joined nodes take over from one another, and clocks differ a little.
-- Older versions can run with this.

ALTER TABLE cursor ADD COLUMN stored INTEGER NOT NULL DEFAULT 0;
