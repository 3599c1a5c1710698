"""Deliveries: bodies, what an answer means, when to try again, when to leave an endpoint alone or disable it."""
