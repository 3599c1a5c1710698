"""Items and what callers may do with them: fields, checks, conditions, permits, changes, files line by line."""
