"""What comes in at hooks: a body becomes an event's data, and a request the type, subject and delivery of an event."""
