-- An event that lets a link with a timer run now: its id until the run begins, and how many links in a row led to it.
ALTER TABLE timer ADD COLUMN kick TEXT;
ALTER TABLE timer ADD COLUMN kick_hops INTEGER NOT NULL DEFAULT 0;
