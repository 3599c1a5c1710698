"""The state of things, read on behalf of callers: tallies of attempts, long jobs, who changed what."""
