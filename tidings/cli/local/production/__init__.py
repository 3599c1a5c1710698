"""What `tidings doctor --production` checks: each point of the list in docs/howto/production.md."""
