-- The calls of a key that a limited key has made count in the windows of its maker too.
ALTER TABLE key ADD COLUMN shared_limits TEXT NOT NULL DEFAULT '[]';
