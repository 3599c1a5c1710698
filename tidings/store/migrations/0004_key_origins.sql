-- Origins whose pages may use a key in a browser (CORS).
ALTER TABLE key ADD COLUMN cors_origins TEXT NOT NULL DEFAULT '[]';
