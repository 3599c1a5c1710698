"""The console at `/console`: its door, sessions, and what a page is."""
