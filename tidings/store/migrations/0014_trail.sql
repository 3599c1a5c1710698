-- From an event to those that links made of it: few events have a cause.
CREATE INDEX event_cause ON event (cause) WHERE cause IS NOT NULL;
