-- A replay with a filter is a bulk job: it retries or cancels all deliveries that fit.
ALTER TABLE replay ADD COLUMN filter TEXT;
