"""The operations on the server itself: health, readiness, metrics, shares."""
