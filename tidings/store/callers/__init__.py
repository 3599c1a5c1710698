"""What is kept of callers: answers for their Idempotency-Keys, and how often they called."""
