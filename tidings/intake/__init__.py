"""Floor 3, the first stage: what comes in is checked, and becomes events."""
