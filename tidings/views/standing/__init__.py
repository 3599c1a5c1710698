"""How things stand, as callers see it: tallies of attempts, long jobs, who changed what."""
