"""Named statements (`-- name: x`), the ones that must differ between SQLite and PostgreSQL side by side."""
