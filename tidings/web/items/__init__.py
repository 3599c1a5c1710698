"""One caller's way into one collection: its operations on items, their schemas and parameters, and its files."""
