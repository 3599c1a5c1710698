-- Events that links bring about name the event that they acted on, and how many links in a row led to them.
ALTER TABLE event ADD COLUMN cause TEXT;
ALTER TABLE event ADD COLUMN hops INTEGER NOT NULL DEFAULT 0;

-- The links that operators have declared are few among many endpoints.
CREATE INDEX link_declared ON link (num) WHERE kind <> 'endpoint';
