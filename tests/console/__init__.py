"""The console in a real browser, and as plain requests."""
