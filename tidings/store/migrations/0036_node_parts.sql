-- Several nodes at work on one PostgreSQL database: for how many parts of the endpoints each sends.
-- Older versions can run with this.
ALTER TABLE node ADD COLUMN parts INTEGER;
