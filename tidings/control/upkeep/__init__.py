"""Background work that keeps the store in order: retention, and the clock across restarts."""
