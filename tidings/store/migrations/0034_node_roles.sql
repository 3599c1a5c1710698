-- Several nodes at work on one PostgreSQL database: where the others reach this one, whether it sends or takes in, and
-- how many seconds it is given if it was asked to end.
-- Older versions can run with this.
ALTER TABLE node ADD COLUMN address TEXT;
ALTER TABLE node ADD COLUMN role TEXT;
ALTER TABLE node ADD COLUMN draining INTEGER;
