-- What a link's failures mean for newer deliveries: when the newest that failed was made, and how far it is trusted.

ALTER TABLE link_state ADD COLUMN failed_to INTEGER NOT NULL DEFAULT 0;
ALTER TABLE link_state ADD COLUMN older_until INTEGER;
ALTER TABLE link_state ADD COLUMN doubted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE link_state ADD COLUMN suspected INTEGER NOT NULL DEFAULT 0;

-- And when what waits was made: `first`, the beginning of its round, is later after a resume or a retry by hand.
ALTER TABLE waiting ADD COLUMN created INTEGER NOT NULL DEFAULT 0;
UPDATE waiting SET created = COALESCE((SELECT d.created FROM delivery AS d WHERE d.number = waiting.delivery), first);
