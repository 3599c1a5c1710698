"""What is appended: events, in the order of their commit; deliveries in lists; replays."""
