"""Named statements (`-- name: x`), with those that must differ between SQLite and PostgreSQL side by side."""
