"""What is appended: events, in the order of their commit, and deliveries; both in lists; replays."""
