"""Floor 3, the first stage: events, items, and requests to hooks and forms are checked, then stored as events."""
