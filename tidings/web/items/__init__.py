"""One caller's way into one collection: its operations on items, their forms and parameters, and its files."""
