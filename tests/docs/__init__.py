"""The page /docs, the reference beside it and their files: most of it in a real browser."""
