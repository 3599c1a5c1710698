-- Deliveries that newer events replaced, for lists of them.
CREATE INDEX attempt_replaced ON attempt (delivery) WHERE state = 'replaced';
