"""A lane: what the deliver stage holds in memory of one link, in which order that goes, and when it is served next."""
