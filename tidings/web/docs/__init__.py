"""The pages `/docs` and `/docs/reference`, and their files."""
