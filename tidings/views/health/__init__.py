"""How the server stands: what needs somebody, since when, for whom, why, and what to do."""
