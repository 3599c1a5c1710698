-- What a door for another system's callers keeps with a tenant or an event type, as JSON; null: nothing.
-- Older versions can run with this.
ALTER TABLE tenant ADD COLUMN notes TEXT;
ALTER TABLE event_type ADD COLUMN notes TEXT;
