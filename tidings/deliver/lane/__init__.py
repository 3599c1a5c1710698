"""A lane: what the deliver stage holds in memory for one link, its order, and when it is served next."""
