"""Requests to hooks: the body as an event's data, and the type, subject and delivery id of the event."""
