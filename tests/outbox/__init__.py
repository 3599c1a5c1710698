"""The outbox: events in the transactions of applications."""
