"""One caller's access to one collection: the operations on items, their schemas and parameters, and files."""
