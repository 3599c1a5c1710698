"""What runs in the background to keep the store in order: retention, and the clock across restarts."""
