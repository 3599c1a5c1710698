-- The trace that an event belongs to: a `traceparent`, then a space and its `tracestate` if it has one.
-- Older versions can run with this.
ALTER TABLE event ADD COLUMN trace TEXT;
