"""Deliveries: bodies, what a response means, the next due time, when an endpoint is paused or disabled."""
