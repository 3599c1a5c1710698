"""Floor 3, the first stage: events, items, hooks and forms as they arrive; checked, then stored as events."""
