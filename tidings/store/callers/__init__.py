"""Data about callers: the responses kept for their Idempotency-Keys, and how often they called."""
