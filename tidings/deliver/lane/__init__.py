"""A lane: what the deliver stage holds in memory for one link, in which order it is sent, and when it is served
next."""
