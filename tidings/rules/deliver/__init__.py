"""Deliveries: bodies, what an answer means, the next due time, when an endpoint is left alone or disabled."""
