"""The page /docs, the reference next to it and their files: most of it in a real browser."""
