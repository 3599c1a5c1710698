"""Keeping: what links remember of answers, for the subject of an event."""
