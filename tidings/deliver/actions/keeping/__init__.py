"""Keeping: what links remember from responses, for the subject of an event."""
