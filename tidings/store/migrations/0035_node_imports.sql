-- Several nodes at work on one PostgreSQL database: how many files of items are on their way into each.
-- Older versions can run with this.
ALTER TABLE node ADD COLUMN imports INTEGER;
