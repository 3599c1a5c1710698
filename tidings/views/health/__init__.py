"""The health of the server: what needs attention, since when, for whom, why, and what to do."""
