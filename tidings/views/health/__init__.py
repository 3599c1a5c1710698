"""How the server stands: what needs attention, since when, for whom, why, and what to do."""
