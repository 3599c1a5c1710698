"""SQLite and PostgreSQL: opening a store by its URL, running the statements of sql/, applying migrations/."""
